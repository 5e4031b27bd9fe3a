package dev.weir.ffi;

import java.util.concurrent.atomic.AtomicInteger;

/**
 * A socket that one thread may close while others wait in it. Closing shuts the socket down, which
 * wakes them; the number goes back to the kernel when the last has left, so that none of them can
 * wake up in a stranger's descriptor.
 */
final class HeldSocket {
  private static final int CLOSING = Integer.MIN_VALUE;
  private static final int SHUT_RDWR = 2;

  private final Calls calls;
  private final int number;
  private final AtomicInteger users = new AtomicInteger();

  HeldSocket(Calls calls, int number) {
    this.calls = calls;
    this.number = number;
  }

  /**
   * The number, to be given back by {@link #leave}; negative once closed, and then there is nothing
   * to leave.
   */
  int enter() {
    for (int seen = users.get(); seen >= 0; seen = users.get()) {
      if (users.compareAndSet(seen, seen + 1)) {
        return number;
      }
    }
    return -1;
  }

  void leave() {
    if (users.decrementAndGet() == CLOSING) {
      Descriptor.close(calls, number);
    }
  }

  boolean closing() {
    return users.get() < 0;
  }

  void close() {
    if (enter() < 0) {
      return;
    }
    int seen = users.get();
    while (seen >= 0 && !users.compareAndSet(seen, seen | CLOSING)) {
      seen = users.get();
    }
    // A peer that left first makes this ENOTCONN, and there is nobody to wake.
    calls.call(Function.SHUTDOWN, number, SHUT_RDWR);
    leave();
  }
}
