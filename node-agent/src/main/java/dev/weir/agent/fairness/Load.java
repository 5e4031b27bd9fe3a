package dev.weir.agent.fairness;

import java.util.function.LongSupplier;

/**
 * How busy a loop is: the part of the time, in thousandths, that its thread lately had a processor,
 * where its rounds are so long that whoever else is on the loop waits for them. Relaying round
 * trips takes short rounds however many they are; streams and floods make long ones. What counts is
 * the processor's time: by the clock, a loop that waits for a processor would look busy, would be
 * treated as such, and wait the more. Owned by the loop; any thread may ask.
 */
final class Load {
  static final long WINDOW_NANOS = 50_000_000;

  /**
   * On average, in a window. Seen on a slow machine: for round trips 35 to 60 us, beside busy
   * neighbours, who leave cold caches, up to 100; for many new connections 90 to 160, for streams
   * 160 to 500.
   */
  static final long LONG_NANOS = 100_000;

  static final int BUSY = 180;

  /**
   * A loop that was busy stays it until it was not for a second: streams between busy programs come
   * in bursts, and a loop that is quick again for each would be ahead of whoever has little.
   */
  static final long QUIETENS_NANOS = 1_000_000_000;

  // Nothing was heard of it since: it sleeps.
  private static final long STALE_NANOS = 4 * WINDOW_NANOS;

  private final LongSupplier cpuNanos;
  private long windowBegan;
  private long cpuBefore;
  private int rounds;
  private boolean busy;
  private long lastBusy;
  private volatile int thousandths;
  private volatile long measured;

  /**
   * @param cpuNanos how long the loop's thread has had a processor; asked on it
   */
  Load(LongSupplier cpuNanos, long now) {
    this.cpuNanos = cpuNanos;
    this.windowBegan = now;
    this.measured = now;
  }

  /**
   * A round has ended.
   *
   * @return whether the loop has become busy by that, or has ceased to be
   */
  boolean round(long ended) {
    rounds++;
    long window = ended - windowBegan;
    if (window < WINDOW_NANOS) {
      return false;
    }
    long cpu = cpuNanos.getAsLong();
    long worked = cpu - cpuBefore;
    int now = worked / rounds < LONG_NANOS ? 0 : (int) Math.min(1000, worked * 1000 / window);
    cpuBefore = cpu;
    rounds = 0;
    windowBegan = ended;
    thousandths = now;
    measured = ended;
    boolean before = busy;
    if (now >= BUSY) {
      lastBusy = ended;
      busy = true;
    } else if (ended - lastBusy > QUIETENS_NANOS) {
      busy = false;
    }
    return busy != before;
  }

  boolean isBusy() {
    return busy;
  }

  /** Any thread. */
  int thousandths(long now) {
    return now - measured > STALE_NANOS ? 0 : thousandths;
  }
}
