package dev.weir.ffi;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.MethodType;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.concurrent.atomic.AtomicReferenceArray;

/**
 * The default binding. A function is looked up at its first call: start-up pays for what it uses.
 */
@SuppressWarnings("EnumOrdinal") // indexes into arrays of our own, never stored
final class FfmCalls implements Calls {
  private static final Linker LINKER = Linker.nativeLinker();
  private static final MethodHandle CALL =
      LINKER.downcallHandle(
          FunctionDescriptor.of(
              JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG,
              JAVA_LONG),
          Linker.Option.captureCallState("errno"));
  private static final int ERRNO =
      (int)
          Linker.Option.captureStateLayout()
              .byteOffset(MemoryLayout.PathElement.groupElement("errno"));

  private final AtomicReferenceArray<MemorySegment> symbols =
      new AtomicReferenceArray<>(Function.values().length);
  private final SymbolLookup[] libraries = new SymbolLookup[Function.Library.values().length];
  private final ThreadLocal<State> states = ThreadLocal.withInitial(State::new);

  /** Where the linker leaves errno; a buffer, since reading a segment would build a var handle. */
  private static final class State {
    final ByteBuffer bytes =
        ByteBuffer.allocateDirect((int) Linker.Option.captureStateLayout().byteSize())
            .order(ByteOrder.nativeOrder());
    final MemorySegment segment = MemorySegment.ofBuffer(bytes);
  }

  @Override
  public String name() {
    return "ffm";
  }

  @Override
  public long call(Function function, long a, long b, long c, long d, long e, long f, long g) {
    State state = states.get();
    long register;
    try {
      register = (long) CALL.invokeExact(symbol(function), state.segment, a, b, c, d, e, f, g);
    } catch (RuntimeException | Error thrown) {
      throw thrown;
    } catch (Throwable thrown) {
      throw new IllegalStateException(function.symbol, thrown);
    }
    return function.failed(register) ? -state.bytes.getInt(ERRNO) : function.answer(register);
  }

  @Override
  public long address(ByteBuffer direct) {
    return MemorySegment.ofBuffer(direct).address() - direct.position();
  }

  @Override
  public ByteBuffer view(long address, int bytes) {
    return MemorySegment.ofAddress(address)
        .reinterpret(bytes)
        .asByteBuffer()
        .order(ByteOrder.nativeOrder());
  }

  @Override
  public long callback(Printer printer) {
    MethodType type = MethodType.methodType(int.class, int.class, long.class, long.class);
    try {
      MethodHandle target =
          MethodHandles.lookup().findVirtual(Printer.class, "print", type).bindTo(printer);
      return LINKER
          .upcallStub(
              target,
              FunctionDescriptor.of(JAVA_INT, JAVA_INT, JAVA_LONG, JAVA_LONG),
              Arena.global())
          .address();
    } catch (NoSuchMethodException | IllegalAccessException e) {
      throw new LinkageError("libbpf's print callback", e);
    }
  }

  /** Looking up twice in a race costs a little time and nothing else. */
  private MemorySegment symbol(Function function) {
    MemorySegment known = symbols.getAcquire(function.ordinal());
    return known != null ? known : lookUp(function);
  }

  private MemorySegment lookUp(Function function) {
    MemorySegment found =
        library(function.library)
            .find(function.symbol)
            .orElseThrow(() -> missing(function.library, function.symbol + " is not in it"));
    symbols.setRelease(function.ordinal(), found);
    return found;
  }

  private synchronized SymbolLookup library(Function.Library library) {
    SymbolLookup found = libraries[library.ordinal()];
    if (found == null) {
      try {
        found = SymbolLookup.libraryLookup(library.file, Arena.global());
      } catch (IllegalArgumentException e) {
        KernelException missing = missing(library, "cannot be loaded");
        missing.initCause(e);
        throw missing;
      }
      libraries[library.ordinal()] = found;
    }
    return found;
  }

  private static KernelException missing(Function.Library library, String what) {
    return new KernelException(
        "dlopen",
        Errno.ELIBACC,
        "%s: %s; install %s".formatted(library.file, what, library.comesFrom));
  }
}
