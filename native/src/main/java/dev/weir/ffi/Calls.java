package dev.weir.ffi;

import java.nio.ByteBuffer;

/**
 * The seam between the two bindings and everything else: C functions by number of arguments, every
 * argument a register. On the 64-bit ABIs of Linux an int argument may arrive in a long, so one
 * shape per arity serves all functions, and a binding links seven shapes instead of seventy.
 * Results come as the kernel gives them: a value, or a negative errno.
 */
interface Calls {
  /** {@code ffm} or {@code jnr}. */
  String name();

  long call(Function function);

  long call(Function function, long a);

  long call(Function function, long a, long b);

  long call(Function function, long a, long b, long c);

  long call(Function function, long a, long b, long c, long d);

  long call(Function function, long a, long b, long c, long d, long e);

  long call(Function function, long a, long b, long c, long d, long e, long f);

  long call(Function function, long a, long b, long c, long d, long e, long f, long g);

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
