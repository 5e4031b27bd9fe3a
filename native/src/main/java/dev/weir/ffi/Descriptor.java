package dev.weir.ffi;

import java.util.concurrent.atomic.AtomicBoolean;

/** A descriptor that closes itself once. */
final class Descriptor implements Fd {
  private final Calls calls;
  private final int number;
  private final AtomicBoolean closed = new AtomicBoolean();

  Descriptor(Calls calls, int number) {
    this.calls = calls;
    this.number = number;
  }

  /** A closed descriptor's number may be somebody else's by now, so asking for it is an error. */
  @Override
  public int number() {
    if (closed.get()) {
      throw new IllegalStateException("descriptor %d: closed (expected: open)".formatted(number));
    }
    return number;
  }

  @Override
  public boolean isOpen() {
    return !closed.get();
  }

  @Override
  public void close() {
    if (closed.compareAndSet(false, true)) {
      close(calls, number);
    }
  }

  /**
   * Linux frees the number whatever close(2) says, except where it was not open: then someone
   * closed what is not theirs.
   */
  static void close(Calls calls, int number) {
    if (calls.call(Function.CLOSE, number) == -Errno.EBADF) {
      throw new KernelException("close", Errno.EBADF, "descriptor " + number);
    }
  }

  @Override
  public String toString() {
    return "fd " + number + (closed.get() ? " (closed)" : "");
  }
}
