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
import java.util.Arrays;
import java.util.concurrent.atomic.AtomicReferenceArray;

/**
 * The default binding. A function is linked at its first call: start-up pays only for what it uses.
 */
@SuppressWarnings("EnumOrdinal") // indexes into arrays of our own, never stored
final class FfmCalls implements Calls {
  private static final Linker LINKER = Linker.nativeLinker();
  private static final long ERRNO =
      Linker.Option.captureStateLayout().byteOffset(MemoryLayout.PathElement.groupElement("errno"));

  private final AtomicReferenceArray<MethodHandle> handles =
      new AtomicReferenceArray<>(Function.values().length);
  private final SymbolLookup[] libraries = new SymbolLookup[Function.Library.values().length];
  private final ThreadLocal<MemorySegment> state =
      ThreadLocal.withInitial(() -> Arena.ofAuto().allocate(Linker.Option.captureStateLayout()));

  @Override
  public String name() {
    return "ffm";
  }

  @Override
  public long call(Function function) {
    MemorySegment captured = state.get();
    try {
      return answer(function, (long) handle(function, 0).invokeExact(captured), captured);
    } catch (Throwable e) {
      throw unexpected(function, e);
    }
  }

  @Override
  public long call(Function function, long a) {
    MemorySegment captured = state.get();
    try {
      return answer(function, (long) handle(function, 1).invokeExact(captured, a), captured);
    } catch (Throwable e) {
      throw unexpected(function, e);
    }
  }

  @Override
  public long call(Function function, long a, long b) {
    MemorySegment captured = state.get();
    try {
      return answer(function, (long) handle(function, 2).invokeExact(captured, a, b), captured);
    } catch (Throwable e) {
      throw unexpected(function, e);
    }
  }

  @Override
  public long call(Function function, long a, long b, long c) {
    MemorySegment captured = state.get();
    try {
      return answer(function, (long) handle(function, 3).invokeExact(captured, a, b, c), captured);
    } catch (Throwable e) {
      throw unexpected(function, e);
    }
  }

  @Override
  public long call(Function function, long a, long b, long c, long d) {
    MemorySegment captured = state.get();
    try {
      return answer(
          function, (long) handle(function, 4).invokeExact(captured, a, b, c, d), captured);
    } catch (Throwable t) {
      throw unexpected(function, t);
    }
  }

  @Override
  public long call(Function function, long a, long b, long c, long d, long e) {
    MemorySegment captured = state.get();
    try {
      return answer(
          function, (long) handle(function, 5).invokeExact(captured, a, b, c, d, e), captured);
    } catch (Throwable t) {
      throw unexpected(function, t);
    }
  }

  @Override
  public long call(Function function, long a, long b, long c, long d, long e, long f) {
    MemorySegment captured = state.get();
    try {
      return answer(
          function, (long) handle(function, 6).invokeExact(captured, a, b, c, d, e, f), captured);
    } catch (Throwable t) {
      throw unexpected(function, t);
    }
  }

  @Override
  public long call(Function function, long a, long b, long c, long d, long e, long f, long g) {
    MemorySegment captured = state.get();
    try {
      return answer(
          function,
          (long) handle(function, 7).invokeExact(captured, a, b, c, d, e, f, g),
          captured);
    } catch (Throwable t) {
      throw unexpected(function, t);
    }
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

  private static long answer(Function function, long register, MemorySegment captured) {
    return function.failed(register) ? -captured.get(JAVA_INT, ERRNO) : function.answer(register);
  }

  private static RuntimeException unexpected(Function function, Throwable thrown) {
    return switch (thrown) {
      case RuntimeException e -> e;
      case Error e -> throw e;
      default -> new IllegalStateException(function.symbol, thrown);
    };
  }

  /** Linking twice in a race costs a little time and nothing else. */
  private MethodHandle handle(Function function, int arity) {
    MethodHandle handle = handles.getAcquire(function.ordinal());
    return handle != null ? handle : link(function, arity);
  }

  private MethodHandle link(Function function, int arity) {
    if (function.arity != arity) {
      throw new IllegalArgumentException(
          "%s: %d arguments (expected: %d)".formatted(function.symbol, arity, function.arity));
    }
    MemoryLayout[] registers = new MemoryLayout[arity];
    Arrays.fill(registers, JAVA_LONG);
    FunctionDescriptor shape = FunctionDescriptor.of(JAVA_LONG, registers);
    MemorySegment symbol =
        library(function.library)
            .find(function.symbol)
            .orElseThrow(() -> missing(function.library, function.symbol + " is not in it"));
    Linker.Option errno = Linker.Option.captureCallState("errno");
    MethodHandle handle =
        function == Function.OPEN
            ? LINKER.downcallHandle(symbol, shape, errno, Linker.Option.firstVariadicArg(arity))
            : LINKER.downcallHandle(symbol, shape, errno);
    handles.setRelease(function.ordinal(), handle);
    return handle;
  }

  private synchronized SymbolLookup library(Function.Library library) {
    SymbolLookup found = libraries[library.ordinal()];
    if (found == null) {
      try {
        found = SymbolLookup.libraryLookup(library.file, Arena.global());
      } catch (IllegalArgumentException e) {
        KernelException missing = missing(library, "not found");
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
