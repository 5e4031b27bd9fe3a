/**
 * What Weir asks of libbpf and of the kernel that Java has no API for. One interface ({@link
 * dev.weir.ffi.Kernel}), two bindings behind it: {@code java.lang.foreign} (default) and jnr-ffi
 * ({@code -Dweir.ffi=jnr}). This room knows nothing of meshes; anyone may call it from any platform
 * thread, never from a virtual one (a network namespace belongs to the thread that entered it).
 */
@NullMarked
package dev.weir.ffi;

import org.jspecify.annotations.NullMarked;
