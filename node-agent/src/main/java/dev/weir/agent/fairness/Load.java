package dev.weir.agent.fairness;

import java.util.List;
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

  /**
   * Longer rounds are nobody's who has little to do, on any machine. Between {@link #LONG_NANOS}
   * and this it is relative, since a machine that is slow for a while makes all rounds longer: they
   * are long beside a loop whose rounds are not half as long, and where there is none nobody waits.
   */
  static final long LONG_ANYWHERE_NANOS = 160_000;

  static final int BUSY = 180;

  /**
   * A loop that was busy stays it until it was not for a second: streams between busy programs come
   * in bursts, and a loop that is quick again for each would be ahead of whoever has little.
   */
  static final long QUIETENS_NANOS = 1_000_000_000;

  // Nothing was heard of it since: it sleeps.
  private static final long STALE_NANOS = 4 * WINDOW_NANOS;

  private final LongSupplier cpuNanos;
  private final List<Load> all;
  private long windowBegan;
  private long cpuBefore;
  private int rounds;
  private boolean begun;
  private boolean busy;
  private long lastBusy;
  private volatile int thousandths;
  private volatile int workedThousandths;
  private volatile long measured;

  /** What a round took on average. */
  private volatile long roundNanos;

  /**
   * @param cpuNanos how long the loop's thread has had a processor; asked on it
   * @param all the loads of this agent's loops, of which this one is another
   */
  Load(LongSupplier cpuNanos, long now, List<Load> all) {
    this.cpuNanos = cpuNanos;
    this.all = all;
    this.windowBegan = now;
    this.measured = now;
    all.add(this);
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
    // What the thread did before its first round was to start.
    long worked = begun ? cpu - cpuBefore : 0;
    long average = worked / rounds;
    int part = (int) Math.min(1000, worked * 1000 / window);
    int now = areLong(average, ended) ? part : 0;
    workedThousandths = part;
    begun = true;
    cpuBefore = cpu;
    rounds = 0;
    windowBegan = ended;
    thousandths = now;
    roundNanos = average;
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

  private boolean areLong(long average, long now) {
    if (average < LONG_NANOS || average >= LONG_ANYWHERE_NANOS) {
      return average >= LONG_NANOS;
    }
    for (Load each : all) {
      long other = each.roundNanos;
      if (other > 0 && other <= average / 2 && now - each.measured <= STALE_NANOS) {
        return true;
      }
    }
    return false;
  }

  boolean isBusy() {
    return busy;
  }

  /** The part of the time that the thread had a processor, however long its rounds. Any thread. */
  int workedThousandths(long now) {
    return now - measured > STALE_NANOS ? 0 : workedThousandths;
  }

  /** Any thread. */
  int thousandths(long now) {
    return now - measured > STALE_NANOS ? 0 : thousandths;
  }
}
