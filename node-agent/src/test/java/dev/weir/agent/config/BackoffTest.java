package dev.weir.agent.config;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

final class BackoffTest {
  private final Backoff backoff = new Backoff(new SplittableRandom(1));

  @Test
  void aNodeThatKnowsTheMeshAsksEverMoreRarely() {
    assertThat(backoff.nextMillis(true)).isBetween(5L, 10L);
    for (int i = 0; i < 20; i++) {
      backoff.nextMillis(true);
    }
    assertThat(backoff.nextMillis(true)).isBetween(7_500L, 15_000L);
    backoff.reset();
    assertThat(backoff.nextMillis(true)).isBetween(5L, 10L);
  }

  @Test
  void aNodeThatKnowsNothingAsksEachHalfSecondForMinutes() {
    long waited = 0;
    for (int i = 0; i < Backoff.UNINFORMED_TRIES; i++) {
      long wait = backoff.nextMillis(false);
      assertThat(wait).isLessThanOrEqualTo(500);
      waited += wait;
    }
    assertThat(waited).isGreaterThan(60_000);
    assertThat(backoff.nextMillis(false)).isGreaterThan(5_000);
  }
}
