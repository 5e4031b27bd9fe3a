package dev.weir.ffi;

import com.kenai.jffi.MemoryIO;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicReferenceArray;
import jnr.ffi.LastError;
import jnr.ffi.LibraryLoader;
import jnr.ffi.Pointer;
import jnr.ffi.Runtime;
import jnr.ffi.annotations.Delegate;

/** The second binding, by jnr-ffi. Each function is a library loaded with that one name mapped. */
@SuppressWarnings("EnumOrdinal") // an index into an array of our own, never stored
final class JnrCalls implements Calls {
  private final Runtime runtime = Runtime.getSystemRuntime();
  private final AtomicReferenceArray<Call> bound =
      new AtomicReferenceArray<>(Function.values().length);

  /** jnr-ffi frees a closure with its Java object, and C goes on holding the pointer. */
  private final Queue<NativePrinter> callbacks = new ConcurrentLinkedQueue<>();

  /**
   * jnr-ffi generates its implementation in a class loader of its own, hence public. Seven longs
   * are also what its 2.3.4 gets right: the x86-64 stub that it makes for six hands over garbage as
   * the sixth (seen with mmap and snprintf).
   */
  public interface Call {
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
  public long call(Function function, long a, long b, long c, long d, long e, long f, long g) {
    long register = bound(function).call(a, b, c, d, e, f, g);
    return function.failed(register) ? -LastError.getLastError(runtime) : function.answer(register);
  }

  @Override
  public long address(ByteBuffer direct) {
    return Pointer.wrap(runtime, direct.duplicate().clear()).address();
  }

  @Override
  public ByteBuffer view(long address, int bytes) {
    return MemoryIO.getInstance()
        .newDirectByteBuffer(address, bytes)
        .order(ByteOrder.nativeOrder());
  }

  @Override
  public long callback(Printer printer) {
    NativePrinter target = printer::print;
    callbacks.add(target);
    return runtime.getClosureManager().getClosurePointer(NativePrinter.class, target).address();
  }

  private Call bound(Function function) {
    Call known = bound.getAcquire(function.ordinal());
    return known != null ? known : bind(function);
  }

  private Call bind(Function function) {
    Call loaded;
    try {
      loaded =
          LibraryLoader.create(Call.class)
              .map("call", function.symbol)
              .failImmediately()
              .load(function.library.file);
    } catch (UnsatisfiedLinkError e) {
      KernelException missing =
          new KernelException(
              "dlopen",
              Errno.ELIBACC,
              "%s: cannot be loaded; install %s"
                  .formatted(function.library.file, function.library.comesFrom));
      missing.initCause(e);
      throw missing;
    }
    bound.setRelease(function.ordinal(), loaded);
    return loaded;
  }
}
