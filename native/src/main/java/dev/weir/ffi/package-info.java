/**
 * What Weir asks of libbpf and of the kernel that Java has no API for. The door is {@link
 * dev.weir.ffi.Kernel}. Behind it everything is written once, over one seam of C functions ({@code
 * Calls}), which {@code java.lang.foreign} (default) and jnr-ffi ({@code -Dweir.ffi=jnr}) bind,
 * both under the same contract tests. Needs 64-bit Linux with glibc, and libbpf 1.x where eBPF is
 * used.
 *
 * <p>This room knows nothing of meshes. It has no thread and no state but each thread's scratch
 * memory; anyone may call it from any platform thread, never from a virtual one (a network
 * namespace belongs to the thread that entered it). Whatever it opens has one owner, who closes it;
 * every failure is a {@link dev.weir.ffi.KernelException} with the call, errno and what it was
 * about.
 */
@NullMarked
package dev.weir.ffi;

import org.jspecify.annotations.NullMarked;
