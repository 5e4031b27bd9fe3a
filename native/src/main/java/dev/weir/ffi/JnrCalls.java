package dev.weir.ffi;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.concurrent.atomic.AtomicReferenceArray;
import jnr.ffi.LastError;
import jnr.ffi.LibraryLoader;
import jnr.ffi.Pointer;
import jnr.ffi.Runtime;
import jnr.ffi.annotations.Delegate;

/**
 * The second binding, by jnr-ffi. One interface per arity; each function is a library loaded with
 * that one name mapped.
 */
@SuppressWarnings("EnumOrdinal") // an index into an array of our own, never stored
final class JnrCalls implements Calls {
  private final Runtime runtime = Runtime.getSystemRuntime();
  private final AtomicReferenceArray<Object> bound =
      new AtomicReferenceArray<>(Function.values().length);

  /** jnr-ffi generates their implementations in a class loader of its own, hence public. */
  public interface Call0 {
    long call();
  }

  public interface Call1 {
    long call(long a);
  }

  public interface Call2 {
    long call(long a, long b);
  }

  public interface Call3 {
    long call(long a, long b, long c);
  }

  public interface Call4 {
    long call(long a, long b, long c, long d);
  }

  public interface Call5 {
    long call(long a, long b, long c, long d, long e);
  }

  public interface Call6 {
    long call(long a, long b, long c, long d, long e, long f);
  }

  public interface Call7 {
    long call(long a, long b, long c, long d, long e, long f, long g);
  }

  public interface NativePrinter {
    @Delegate
    int print(int level, long format, long arguments);
  }

  @Override
  public String name() {
    return "jnr";
  }

  @Override
  public long call(Function function) {
    return answer(function, bound(function, Call0.class).call());
  }

  @Override
  public long call(Function function, long a) {
    return answer(function, bound(function, Call1.class).call(a));
  }

  @Override
  public long call(Function function, long a, long b) {
    return answer(function, bound(function, Call2.class).call(a, b));
  }

  @Override
  public long call(Function function, long a, long b, long c) {
    return answer(function, bound(function, Call3.class).call(a, b, c));
  }

  @Override
  public long call(Function function, long a, long b, long c, long d) {
    return answer(function, bound(function, Call4.class).call(a, b, c, d));
  }

  @Override
  public long call(Function function, long a, long b, long c, long d, long e) {
    return answer(function, bound(function, Call5.class).call(a, b, c, d, e));
  }

  @Override
  public long call(Function function, long a, long b, long c, long d, long e, long f) {
    return answer(function, bound(function, Call6.class).call(a, b, c, d, e, f));
  }

  @Override
  public long call(Function function, long a, long b, long c, long d, long e, long f, long g) {
    return answer(function, bound(function, Call7.class).call(a, b, c, d, e, f, g));
  }

  @Override
  public long address(ByteBuffer direct) {
    return Pointer.wrap(runtime, direct.duplicate().clear()).address();
  }

  @Override
  public ByteBuffer view(long address, int bytes) {
    return com.kenai.jffi.MemoryIO.getInstance()
        .newDirectByteBuffer(address, bytes)
        .order(ByteOrder.nativeOrder());
  }

  @Override
  public long callback(Printer printer) {
    NativePrinter target = printer::print;
    callbacks.add(target);
    return runtime.getClosureManager().getClosurePointer(NativePrinter.class, target).address();
  }

  /** jnr-ffi frees a closure with its Java object, and C goes on holding the pointer. */
  private final java.util.Queue<NativePrinter> callbacks =
      new java.util.concurrent.ConcurrentLinkedQueue<>();

  private long answer(Function function, long register) {
    return function.failed(register) ? -LastError.getLastError(runtime) : function.answer(register);
  }

  private <T> T bound(Function function, Class<T> shape) {
    Object known = bound.getAcquire(function.ordinal());
    return shape.cast(known != null ? known : bind(function, shape));
  }

  private <T> T bind(Function function, Class<T> shape) {
    T loaded;
    try {
      loaded =
          LibraryLoader.create(shape)
              .map("call", function.symbol)
              .failImmediately()
              .load(function.library.file);
    } catch (UnsatisfiedLinkError e) {
      KernelException missing =
          new KernelException(
              "dlopen",
              Errno.ELIBACC,
              "%s: %s; install %s"
                  .formatted(function.library.file, e.getMessage(), function.library.comesFrom));
      missing.initCause(e);
      throw missing;
    }
    bound.setRelease(function.ordinal(), loaded);
    return loaded;
  }
}
