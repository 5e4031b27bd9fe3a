package dev.weir.agent.fairness;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.weir.agent.fairness.Bench.Connection;
import dev.weir.agent.telemetry.Refusal;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

final class BudgetsTest {
  private static final Limits LIMITS = new Limits(2, 3, 4, 1_000, 1_500);

  private final Bench node = new Bench(LIMITS);

  private MemoryWatch watch(long pinned, PodAccount... accounts) {
    return new MemoryWatch(LIMITS, () -> pinned, () -> List.of(accounts), Bench.LOG);
  }

  @Test
  void connectionsBeyondTheLimitAreRefusedUntilOneEnds() {
    PodAccount pod = node.account("pod", 100, List.of());
    assertThat(pod.connectionBegan()).isNull();
    assertThat(pod.connectionBegan()).isNull();
    assertThat(pod.connectionBegan()).isEqualTo(Refusal.OVERLOAD_CONNECTIONS);
    pod.connectionEnded();
    pod.connectionEnded();
    assertThat(pod.connectionBegan()).isNull();
    assertThat(pod.usage().shed()).isEqualTo(1);
    assertThat(node.account("other", 100, List.of()).connectionBegan()).isNull();
  }

  @Test
  void streamsBeyondTheLimitAreRefused() {
    PodAccount pod = node.account("pod", 100, List.of());
    for (int i = 0; i < LIMITS.streams(); i++) {
      assertThat(pod.stream()).isNull();
      pod.streamBegan();
    }
    assertThat(pod.stream()).isEqualTo(Refusal.OVERLOAD_STREAMS);
    pod.streamEnded();
    assertThat(pod.stream()).isNull();
  }

  @Test
  void handshakesHaveARateAndASecondsWorthAtOnce() {
    long now = 5;
    Rate rate = new Rate(4, now);
    for (int i = 0; i < 4; i++) {
      assertThat(rate.take(now)).as("number %d", i).isTrue();
    }
    assertThat(rate.take(now)).isFalse();
    now += TimeUnit.MILLISECONDS.toNanos(250);
    assertThat(rate.take(now)).isTrue();
    assertThat(rate.take(now)).isFalse();
    now += TimeUnit.HOURS.toNanos(1);
    assertThat(IntStream.range(0, 10).filter(_ -> rate.take(5 + TimeUnit.HOURS.toNanos(2))).count())
        .isEqualTo(4);
  }

  @Test
  void aPodAboveItsOwnLimitLosesWhatHoldsMost() {
    Connection small = new Connection(50);
    Connection large = new Connection(700);
    Connection medium = new Connection(400);
    PodAccount pod = node.account("pod", 100, List.of(small, large, medium));
    MemoryWatch watch = watch(0, pod);
    watch.look();
    assertThat(large.cut).containsExactly(Refusal.OVERLOAD_BUFFERS);
    assertThat(medium.cut).isEmpty();
    assertThat(small.cut).isEmpty();
    assertThat(pod.connectionBegan()).isEqualTo(Refusal.OVERLOAD_BUFFERS);
    watch.look();
    assertThat(pod.connectionBegan()).as("when its buffers are empty enough").isNull();
  }

  @Test
  void whenTheNodeIsFullTheHeaviestGivesWay() {
    Connection light = new Connection(300);
    Connection heavy = new Connection(900);
    Connection other = new Connection(400);
    PodAccount one = node.account("light", 100, List.of(light));
    PodAccount two = node.account("heavy", 100, List.of(heavy));
    PodAccount three = node.account("other", 100, List.of(other));
    MemoryWatch watch = watch(0, one, two, three);
    watch.look();
    assertThat(heavy.cut).containsExactly(Refusal.OVERLOAD_MEMORY);
    assertThat(light.cut).isEmpty();
    assertThat(other.cut).isEmpty();
    assertThat(two.connectionBegan()).isEqualTo(Refusal.OVERLOAD_MEMORY);
    assertThat(one.connectionBegan()).isNull();
    watch.look();
    assertThat(two.squeezed()).isNull();
  }

  @Test
  void whatAPodMayHoldGrowsWithItsWeight() {
    Connection important = new Connection(900);
    Connection ordinary = new Connection(700);
    PodAccount one = node.account("important", 200, List.of(important));
    PodAccount two = node.account("ordinary", 100, List.of(ordinary));
    watch(0, one, two).look();
    assertThat(ordinary.cut).containsExactly(Refusal.OVERLOAD_MEMORY);
    assertThat(important.cut).isEmpty();
  }

  @Test
  void everyWatchThatIsStartedLooks() {
    PodAccount pod = node.account("pod", 100, List.of(new Connection(600)));
    for (int i = 0; i < 500; i++) {
      try (MemoryWatch watch = watch(0, pod)) {
        watch.start();
        await()
            .atMost(Duration.ofSeconds(5))
            .pollDelay(Duration.ZERO)
            .pollInterval(Duration.ofMillis(1))
            .until(() -> watch.usedBytes() == 600);
      }
    }
  }

  @Test
  void noHandshakeBeginsWhenMemoryIsAboutToEnd() {
    PodAccount pod = node.account("pod", 100, List.of());
    MemoryWatch watch = watch(1_400, pod);
    assertThat(watch.isTight()).isFalse();
    watch.look();
    assertThat(watch.isTight()).isTrue();
    assertThat(pod.squeezed()).isNull();
  }
}
