package dev.weir.ffi;

import java.nio.ByteBuffer;

/**
 * The seam between the two bindings and everything else. On the 64-bit ABIs of Linux an int may
 * arrive in a long, a function does not look at arguments that it does not have, and integers after
 * an ellipsis go where the others go. So one shape, seven longs to a long, serves every function,
 * and a binding links it once: that saves the agent some 60 ms of its start. Results come as the
 * kernel gives them: a value, or a negative errno.
 */
interface Calls {
  /** {@code ffm} or {@code jnr}. */
  String name();

  long call(Function function, long a, long b, long c, long d, long e, long f, long g);

  default long call(Function function) {
    return call(function, 0, 0, 0, 0, 0, 0, 0);
  }

  default long call(Function function, long a) {
    return call(function, a, 0, 0, 0, 0, 0, 0);
  }

  default long call(Function function, long a, long b) {
    return call(function, a, b, 0, 0, 0, 0, 0);
  }

  default long call(Function function, long a, long b, long c) {
    return call(function, a, b, c, 0, 0, 0, 0);
  }

  default long call(Function function, long a, long b, long c, long d) {
    return call(function, a, b, c, d, 0, 0, 0);
  }

  default long call(Function function, long a, long b, long c, long d, long e) {
    return call(function, a, b, c, d, e, 0, 0);
  }

  default long call(Function function, long a, long b, long c, long d, long e, long f) {
    return call(function, a, b, c, d, e, f, 0);
  }

  /** Where a direct buffer's byte 0 lies; the caller keeps the buffer reachable. */
  long address(ByteBuffer direct);

  /** Native memory as a buffer in native byte order; who owns the memory keeps it alive. */
  ByteBuffer view(long address, int bytes);

  /** A C function pointer that calls back into Java; lives as long as the process. */
  long callback(Printer printer);

  /**
   * {@code int (*)(enum libbpf_print_level, const char *, va_list)}; on both x86-64 and aarch64 a
   * va_list arrives as a pointer.
   */
  interface Printer {
    int print(int level, long format, long arguments);
  }
}
