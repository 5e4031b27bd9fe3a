package dev.weir.agent.fairness;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.netty.channel.DefaultEventLoop;
import io.netty.channel.EventLoop;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;

final class TurnsTest {
  private static final long QUANTUM = Turns.QUANTUM_NANOS;

  private final Bench loop = new Bench();
  private final Share hog = loop.share("hog", 100);
  private final Share victim = loop.share("victim", 100);

  private void offer(Share share, String name, int times, long tookNanos) {
    for (int i = 0; i < times; i++) {
      assertThat(share.inTurn(loop.work(name, tookNanos))).isTrue();
    }
  }

  @Test
  void whoHasLittleToDoRunsAtOnce() {
    offer(victim, "victim", 3, 1_000);
    assertThat(loop.done).containsExactly("victim", "victim", "victim");
    loop.finishRound();
    assertThat(loop.isIdle()).isTrue();
  }

  @Test
  void aNeighbourWaitsForAQuantumAtMost() {
    offer(hog, "hog", 100, QUANTUM / 2);
    offer(victim, "victim", 1, 1_000);
    assertThat(loop.done).containsExactly("hog", "hog", "victim");
  }

  @Test
  void whatWasTooMuchIsDoneInLaterRoundsAndInOrder() {
    for (int i = 0; i < 5; i++) {
      offer(hog, "hog" + i, 1, QUANTUM);
    }
    for (int round = 0; round < 5; round++) {
      assertThat(loop.done).hasSize(round == 0 ? 1 : round);
      loop.finishRound();
    }
    loop.finishRound();
    assertThat(loop.done).containsExactly("hog0", "hog1", "hog2", "hog3", "hog4");
    loop.finishRound();
    assertThat(loop.isIdle()).isTrue();
  }

  @Test
  void betweenTwoTurnsOfABusyPodEverybodyElseHasOne() {
    offer(hog, "hog", 20, QUANTUM);
    for (int round = 0; round < 10; round++) {
      loop.done.clear();
      offer(victim, "victim", 1, 1_000);
      assertThat(loop.done).containsExactly("victim");
      loop.finishRound();
    }
  }

  @Test
  void whoExceedsItsTurnPausesUntilItIsPaidBack() {
    offer(hog, "hog", 1, 4 * QUANTUM);
    offer(hog, "hog", 1, 1_000);
    int rounds = 0;
    while (Collections.frequency(loop.done, "hog") < 2) {
      offer(victim, "victim", 1, 1_000);
      loop.finishRound();
      rounds++;
      assertThat(rounds).isLessThan(10);
    }
    // Four quanta, less the one that it had; in the round that gives a new one it goes on.
    assertThat(rounds).isBetween(3, 5);
  }

  @Test
  void aRoundThatTookLongGivesOtherThreadsTheProcessor() {
    offer(victim, "victim", 3, 1_000);
    loop.finishRound();
    assertThat(loop.gaveWay).isZero();
    offer(hog, "hog", 1, QUANTUM);
    loop.finishRound();
    assertThat(loop.gaveWay).isOne();
  }

  @Test
  void whoLostTheProcessorOwesLittle() {
    offer(hog, "hog", 1, 1_000 * QUANTUM);
    offer(hog, "hog", 1, 1_000);
    for (int round = 0; round < 7; round++) {
      offer(victim, "victim", 1, 1_000);
      loop.finishRound();
    }
    assertThat(Collections.frequency(loop.done, "hog")).isEqualTo(2);
  }

  @Test
  void whoIsAloneOwesNothing() {
    for (int i = 0; i < 5; i++) {
      offer(hog, "hog", 1, 4 * QUANTUM);
    }
    for (int round = 0; round < 5; round++) {
      loop.finishRound();
    }
    assertThat(loop.done).as("one a round").hasSize(5);
  }

  @Test
  void aWeightIsAShareOfTheTime() {
    Share heavy = loop.share("heavy", 300);
    offer(hog, "hog", 400, QUANTUM / 4);
    offer(heavy, "heavy", 400, QUANTUM / 4);
    while (loop.done.size() < 200) {
      loop.finishRound();
    }
    double ratio =
        (double) Collections.frequency(loop.done, "heavy")
            / Collections.frequency(loop.done, "hog");
    assertThat(ratio).isBetween(2.5, 3.5);
  }

  @Test
  void whatWorkBringsAboutComesAfterWhatWaitsAlready() {
    offer(hog, "first", 1, QUANTUM);
    assertThat(
            hog.inTurn(() -> {
              loop.work("second", 1_000).run();
              assertThat(hog.inTurn(loop.work("fourth", 1_000))).isTrue();
            }))
        .isTrue();
    offer(hog, "third", 1, 1_000);
    for (int i = 0; i < 4; i++) {
      loop.finishRound();
    }
    assertThat(loop.done).containsExactly("first", "second", "third", "fourth");
  }

  @Test
  void whatFailsHoldsUpNobody() {
    offer(hog, "hog", 1, QUANTUM);
    assertThat(
            hog.inTurn(() -> {
              throw new IllegalStateException("broken");
            }))
        .isTrue();
    offer(hog, "hog", 1, 1_000);
    loop.finishRound();
    assertThatThrownBy(loop::finishRound).hasMessage("broken");
    loop.finishRound();
    loop.finishRound();
    assertThat(loop.done).containsExactly("hog", "hog");
  }

  @Test
  void thereIsAnEndToWhatMayWait() {
    offer(hog, "hog", 1, QUANTUM);
    offer(hog, "hog", Share.MOST_HELD, 1);
    assertThat(hog.inTurn(loop.work("hog", 1))).isFalse();
  }

  @Test
  void timeIsBilledToWhomItWasSpentFor() {
    offer(hog, "hog", 3, QUANTUM / 4);
    hog.atOnce(() -> {
      loop.nanos += 10;
      victim.atOnce(() -> loop.nanos += 100);
      loop.nanos += 1_000;
    });
    assertThat(hog.count(Share.CPU)).isEqualTo(3 * (QUANTUM / 4) + 1_010);
    assertThat(victim.count(Share.CPU)).isEqualTo(100);
  }

  @Test
  void aWaitIsCountedFromWhenTheWorkCame() {
    offer(hog, "hog", 1, QUANTUM);
    offer(hog, "hog", 1, 1_000);
    loop.nanos += 5_000_000;
    loop.finishRound();
    loop.finishRound();
    assertThat(loop.done).hasSize(2);
    assertThat(hog.count(Share.WAITED)).isEqualTo(5_000);
  }

  @Test
  void writingStopsWhenTheTurnIsOver() {
    hog.atOnce(() -> {
      assertThat(hog.isOver()).isFalse();
      loop.nanos += QUANTUM;
      assertThat(hog.isOver()).isTrue();
    });
  }

  @Test
  void whatWaitsForItsTurnWhenTheLoopEndsIsDoneBeforehand() throws Exception {
    EventLoop ending = new DefaultEventLoop();
    Share share =
        new Share(
            loop.account("late", 100, List.of()), Turns.of(ending, Pace.STEADY, new ArrayList<>()));
    AtomicInteger done = new AtomicInteger();
    ending.execute(() -> {
      for (int i = 0; i < 50; i++) {
        share.inTurn(() -> {
          long began = System.nanoTime();
          while (System.nanoTime() - began < QUANTUM) {
            Thread.onSpinWait();
          }
          done.incrementAndGet();
        });
      }
      ending.shutdownGracefully(0, 1, TimeUnit.SECONDS);
    });
    assertThat(ending.awaitTermination(10, TimeUnit.SECONDS)).isTrue();
    assertThat(done).hasValue(50);
  }

  @Test
  void theThreadsPaceFollowsHowBusyItsLoopIs() {
    for (int round = 0; round < 1000; round++) {
      offer(hog, "hog", 1, 2 * QUANTUM);
      loop.finishRound();
    }
    assertThat(loop.paces).containsExactly(true);
    for (int round = 0; round < 2000; round++) {
      loop.nanos += 18 * QUANTUM;
      offer(hog, "hog", 1, 2 * QUANTUM);
      loop.finishRound();
    }
    assertThat(loop.paces).containsExactly(true, false);
  }
}
