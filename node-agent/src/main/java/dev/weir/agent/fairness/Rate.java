package dev.weir.agent.fairness;

import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;

/**
 * So many a second, and after a quiet second as many at once: the generic cell rate algorithm
 * (ITU-T I.371), one number and no timer. Any thread.
 */
final class Rate {
  private static final long SECOND = TimeUnit.SECONDS.toNanos(1);

  private final long interval;
  private final AtomicLong due;

  Rate(int perSecond, long now) {
    this.interval = SECOND / perSecond;
    this.due = new AtomicLong(now);
  }

  /** Whether one more may be had now. */
  boolean take(long now) {
    while (true) {
      long before = due.get();
      long from = before - now > 0 ? before : now;
      if (from - now > SECOND - interval) {
        return false;
      }
      if (due.compareAndSet(before, from + interval)) {
        return true;
      }
    }
  }
}
