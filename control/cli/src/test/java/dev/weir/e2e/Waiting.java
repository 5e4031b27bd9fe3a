package dev.weir.e2e;

import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BooleanSupplier;

/** Conditions with a deadline. */
final class Waiting {
  private static final long LOOK_AGAIN_NANOS = TimeUnit.MILLISECONDS.toNanos(20);

  private Waiting() {}

  static void until(String what, BooleanSupplier condition) {
    within(20, what, condition);
  }

  static void within(int seconds, String what, BooleanSupplier condition) {
    long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(seconds);
    while (!condition.getAsBoolean()) {
      if (System.nanoTime() > deadline) {
        throw new AssertionError("waited %d s in vain for %s".formatted(seconds, what));
      }
      LockSupport.parkNanos(LOOK_AGAIN_NANOS);
    }
  }
}
