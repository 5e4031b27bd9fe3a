package dev.weir.agent.config;

import java.util.random.RandomGenerator;

/**
 * Waits between attempts: 10 ms, doubled up to 15 s as ztunnel does, each less up to half at random
 * so that nodes do not march.
 */
final class Backoff {
  static final long FIRST_MILLIS = 10;
  static final long MOST_MILLIS = 15_000;

  private final RandomGenerator random;
  private int failures;

  Backoff(RandomGenerator random) {
    this.random = random;
  }

  long nextMillis() {
    long whole = Math.min(MOST_MILLIS, FIRST_MILLIS << Math.min(failures, 11));
    failures++;
    return whole - random.nextLong(whole / 2 + 1);
  }

  void reset() {
    failures = 0;
  }
}
