/**
 * The whole of Weir at work: a lab of two nodes with real agents, real kernel programs and a real
 * control plane, driven by the {@code weir} command as a user would. Needs root, BTF and cgroup2;
 * without them the tests are skipped with the reason, and fail when CI=true.
 */
@NullMarked
package dev.weir.e2e;

import org.jspecify.annotations.NullMarked;
