package dev.weir.agent.fairness;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

class LoadTest {
  private static final long MILLI = 1_000_000;

  private final List<Boolean> changes = new ArrayList<>();
  private long now;
  private long cpu;
  private final List<Load> all = new ArrayList<>();
  private final Load load = new Load(() -> this.cpu, 0, all);

  /** For so long, rounds that take so much of a processor, and then pauses. */
  private void run(long nanos, long roundNanos, long pauseNanos) {
    long end = now + nanos;
    while (now < end) {
      now += roundNanos + pauseNanos;
      cpu += roundNanos;
      if (load.round(now)) {
        changes.add(load.isBusy());
      }
    }
  }

  @Test
  void aLoopThatHasLongRoundsIsBusyUntilItHadNoneForASecond() {
    run(200 * MILLI, MILLI, 9 * MILLI);
    assertThat(load.thousandths(now)).isBetween(80, 120);
    assertThat(changes).isEmpty();
    run(200 * MILLI, MILLI, 0);
    assertThat(load.thousandths(now)).isBetween(980, 1000);
    assertThat(changes).containsExactly(true);
    run(700 * MILLI, MILLI, 9 * MILLI);
    run(100 * MILLI, MILLI, 0);
    run(700 * MILLI, MILLI, 9 * MILLI);
    assertThat(changes).containsExactly(true);
    run(500 * MILLI, MILLI, 9 * MILLI);
    assertThat(changes).containsExactly(true, false);
  }

  @Test
  void shortRoundsMakeNobodyWaitHoweverManyTheyAre() {
    run(1000 * MILLI, Load.LONG_NANOS / 2, 0);
    assertThat(load.thousandths(now)).isZero();
    assertThat(changes).isEmpty();
    assertThat(load.workedThousandths(now)).as("though it worked all the time").isEqualTo(1000);
  }

  @Test
  void whatAThreadDidBeforeItsFirstRoundsMakesItNotBusy() {
    cpu = 1000 * MILLI;
    run(200 * MILLI, MILLI / 20, MILLI / 20);
    assertThat(changes).isEmpty();
  }

  @Test
  void onASlowMachineTheLongerRoundsAreTheBusyOnes() {
    long middling = (Load.LONG_NANOS + Load.LONG_ANYWHERE_NANOS) / 2;
    run(500 * MILLI, middling, 0);
    assertThat(changes).as("with nobody to wait for it").isEmpty();
    long[] otherCpu = {0};
    Load other = new Load(() -> otherCpu[0], now, all);
    long end = now + 150 * MILLI;
    for (long at = now; at < end; at += middling) {
      otherCpu[0] += middling / 3;
      other.round(at);
    }
    run(150 * MILLI, middling, 0);
    assertThat(changes).as("beside shorter ones").containsExactly(true);
    assertThat(other.isBusy()).isFalse();
  }

  @Test
  void aLoopOfWhichNothingIsHeardSleeps() {
    run(200 * MILLI, MILLI, 0);
    assertThat(load.thousandths(now + Load.WINDOW_NANOS)).isPositive();
    assertThat(load.thousandths(now + 10 * Load.WINDOW_NANOS)).isZero();
  }

  @Test
  void afterALongSleepOneRoundMakesNobodyBusy() {
    now += 1000 * MILLI;
    run(1, MILLI, 0);
    assertThat(changes).isEmpty();
    assertThat(load.thousandths(now)).isLessThan(10);
  }
}
