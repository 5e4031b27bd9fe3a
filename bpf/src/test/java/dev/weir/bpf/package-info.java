/**
 * The programs on the running kernel: layouts against the object's own BTF, packets by
 * BPF_PROG_TEST_RUN, and the hooks that it cannot run in real network namespaces.
 */
@NullMarked
package dev.weir.bpf;

import org.jspecify.annotations.NullMarked;
