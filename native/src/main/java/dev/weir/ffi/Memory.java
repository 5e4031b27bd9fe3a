package dev.weir.ffi;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/**
 * Native memory for the arguments of calls. Each thread has a small stack of its own; a frame takes
 * from its top and gives back when it closes, so a call made inside another's callback cannot
 * overwrite it. What does not fit comes from calloc until the frame closes.
 */
final class Memory {
  private static final int STACK_BYTES = 16 * 1024;
  private static final int ALIGNMENT = 16;

  /** Names and messages; whoever reads more says how much. */
  private static final int LONGEST_STRING = 1 << 16;

  private final Calls calls;
  private final ThreadLocal<Stack> stacks;

  Memory(Calls calls) {
    this.calls = calls;
    this.stacks =
        ThreadLocal.withInitial(() -> {
          ByteBuffer bytes = ByteBuffer.allocateDirect(STACK_BYTES).order(ByteOrder.nativeOrder());
          return new Stack(bytes, calls.address(bytes));
        });
  }

  Frame frame() {
    return new Frame(calls, stacks.get());
  }

  /** The C string at an address, "" at NULL. */
  static String string(Calls calls, long address) {
    return string(calls, address, LONGEST_STRING);
  }

  static String string(Calls calls, long address, int longest) {
    if (address == 0) {
      return "";
    }
    ByteBuffer bytes = calls.view(address, longest);
    int length = 0;
    while (length < longest && bytes.get(length) != 0) {
      length++;
    }
    return StandardCharsets.UTF_8.decode(bytes.slice(0, length)).toString();
  }

  private static final class Stack {
    final ByteBuffer bytes;
    final long address;
    int top;

    Stack(ByteBuffer bytes, long address) {
      this.bytes = bytes;
      this.address = address;
    }
  }

  /** What one operation allocates; belongs to the thread that took it. */
  static final class Frame implements AutoCloseable {
    private final Calls calls;
    private final Stack stack;
    private final int bottom;
    private @Nullable Overflow overflow;

    private record Overflow(long address, @Nullable Overflow next) {}

    private Frame(Calls calls, Stack stack) {
      this.calls = calls;
      this.stack = stack;
      this.bottom = stack.top;
    }

    /** So many zero bytes, aligned to 16. */
    Block zeroed(int bytes) {
      int room = (Math.max(bytes, 1) + ALIGNMENT - 1) & -ALIGNMENT;
      if (room < bytes || room > STACK_BYTES - stack.top) {
        return overflowing(bytes);
      }
      int start = stack.top;
      stack.top += room;
      for (int i = start; i < stack.top; i += Long.BYTES) {
        stack.bytes.putLong(i, 0);
      }
      return new Block(
          stack.address + start, stack.bytes.slice(start, bytes).order(ByteOrder.nativeOrder()));
    }

    private Block overflowing(int bytes) {
      long address = calls.call(Function.CALLOC, 1, bytes);
      if (address < 0 && address > -4096) {
        throw new KernelException("calloc", (int) -address, bytes + " bytes");
      }
      overflow = new Overflow(address, overflow);
      return new Block(address, calls.view(address, bytes));
    }

    /** A copy of these bytes. */
    long copy(byte[] bytes) {
      Block block = zeroed(bytes.length);
      block.bytes().put(0, bytes);
      return block.address();
    }

    long string(String text) {
      byte[] encoded = text.getBytes(StandardCharsets.UTF_8);
      Block block = zeroed(encoded.length + 1);
      block.bytes().put(0, encoded);
      return block.address();
    }

    long path(Path path) {
      return string(path.toString());
    }

    @Override
    public void close() {
      stack.top = bottom;
      for (Overflow each = overflow; each != null; each = each.next()) {
        calls.call(Function.FREE, each.address());
      }
    }
  }

  /** A piece of native memory: the same bytes for C and for Java. */
  record Block(long address, ByteBuffer bytes) {
    byte[] copy(int offset, int length) {
      byte[] copy = new byte[length];
      bytes.get(offset, copy);
      return copy;
    }
  }
}
