package dev.weir.agent.config;

import java.util.random.RandomGenerator;

/**
 * Waits between attempts: 10 ms, doubled up to 15 s as ztunnel does, each less up to half at random
 * so that nodes do not march. For the first minutes of a node that knows nothing yet it is half a
 * second at most: a control plane that starts beside it must not be found seconds late.
 */
final class Backoff {
  static final long FIRST_MILLIS = 10;
  static final long MOST_MILLIS = 15_000;
  static final long MOST_UNINFORMED_MILLIS = 500;
  static final int UNINFORMED_TRIES = 300;

  private final RandomGenerator random;
  private int failures;

  Backoff(RandomGenerator random) {
    this.random = random;
  }

  /**
   * How long to wait.
   *
   * @param informed whether something is known, so that nobody waits for more
   */
  long nextMillis(boolean informed) {
    long most = informed || failures >= UNINFORMED_TRIES ? MOST_MILLIS : MOST_UNINFORMED_MILLIS;
    long whole = Math.min(most, FIRST_MILLIS << Math.min(failures, 11));
    failures++;
    return whole - random.nextLong(whole / 2 + 1);
  }

  void reset() {
    failures = 0;
  }
}
