package dev.weir.agent.tunnel;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

final class ReceiveWindowTest {
  private static final long SLOW = ReceiveWindow.FAST_NANOS;
  private static final long FAST = ReceiveWindow.FAST_NANOS - 1;

  private final GrowthRoom room = new GrowthRoom(2500);
  private final ReceiveWindow window = new ReceiveWindow(1000, 1000, 3000, room);
  private long nanos;

  /** All that the peer may send comes and is consumed a while later. */
  private int fillAndConsume(int bytes, long nanosLater) {
    assertThat(window.receive(bytes, 0)).isTrue();
    nanos += nanosLater;
    return window.consumed(bytes, () -> nanos);
  }

  @Test
  void thePeerMaySendNoMoreThanItWasTold() {
    assertThat(window.receive(1000, 0)).isTrue();
    assertThat(window.receive(1, 0)).isFalse();
    assertThat(window.held()).isEqualTo(1000);
  }

  @Test
  void creditComesInHalves() {
    assertThat(fillAndConsume(499, SLOW)).isZero();
    assertThat(window.held()).isZero();
    assertThat(fillAndConsume(1, SLOW)).isEqualTo(500);
    assertThat(window.receive(1000, 0)).isTrue();
    assertThat(window.receive(1, 0)).isFalse();
  }

  @Test
  void aSlowReaderHasNoMoreThanItBeganWith() {
    for (int i = 0; i < 100; i++) {
      assertThat(fillAndConsume(1000, SLOW)).isEqualTo(1000);
    }
  }

  @Test
  void aFastReadersWindowDoublesUpToTheMost() {
    assertThat(fillAndConsume(1000, FAST)).as("nothing to compare with").isEqualTo(1000);
    assertThat(fillAndConsume(1000, FAST)).isEqualTo(1000 + 1000);
    assertThat(fillAndConsume(2000, FAST)).isEqualTo(2000 + 1000);
    assertThat(fillAndConsume(3000, FAST)).isEqualTo(3000);
    assertThat(window.receive(3000, 0)).isTrue();
    assertThat(window.receive(1, 0)).isFalse();
    assertThat(window.held()).isEqualTo(3000);
  }

  @Test
  void aFastReaderThatBecomesSlowGivesBackWhatItGrewBy() {
    for (int i = 0; i < 3; i++) {
      fillAndConsume(1000, FAST);
    }
    // Whole again after the last one: 3000, of which 500 are not granted.
    assertThat(room.take(2500)).isEqualTo(500);
    room.giveBack(500);
    fillAndConsume(2000, ReceiveWindow.SLOW_NANOS);
    for (int i = 0; i < 3; i++) {
      fillAndConsume(1000, ReceiveWindow.SLOW_NANOS);
    }
    assertThat(room.take(10_000)).as("what is there for others").isEqualTo(2500);
    assertThat(window.receive(1000, 0)).isTrue();
    assertThat(window.receive(1, 0)).isFalse();
    assertThat(window.held()).isEqualTo(1000);
  }

  @Test
  void theOneWhoIsNeitherKeepsItsWindow() {
    for (int i = 0; i < 3; i++) {
      fillAndConsume(1000, FAST);
    }
    for (int i = 0; i < 10; i++) {
      assertThat(fillAndConsume(3000, ReceiveWindow.SLOW_NANOS - 1)).isEqualTo(3000);
    }
  }

  @Test
  void streamsShareWhatTheyGrowBy() {
    for (int i = 0; i < 3; i++) {
      fillAndConsume(1000, FAST);
    }
    ReceiveWindow other = new ReceiveWindow(1000, 1000, 3000, room);
    assertThat(other.receive(1000, 0)).isTrue();
    assertThat(other.consumed(500, () -> nanos)).isEqualTo(500);
    assertThat(other.consumed(500, () -> nanos)).as("500 are left").isEqualTo(500 + 500);
    window.close();
    window.close();
    assertThat(room.take(10_000)).isEqualTo(2000);
  }

  @Test
  void itIsOfUseAsSoonAsMoreThanALittleComes() {
    ReceiveWindow small = new ReceiveWindow(1000, 2000, 3000, room);
    assertThat(small.receive(499, 0)).isTrue();
    assertThat(small.begin()).as("many streams never bring more").isZero();
    assertThat(small.receive(1, 0)).isTrue();
    assertThat(small.begin()).as("though nothing is consumed").isEqualTo(1000);
    assertThat(small.receive(1500, 0)).isTrue();
    assertThat(small.receive(1, 0)).isFalse();
    assertThat(small.begin()).as("once").isZero();
    assertThat(small.held()).isEqualTo(2000);

    ReceiveWindow second = new ReceiveWindow(1000, 3000, 3000, room);
    assertThat(second.receive(1000, 0)).isTrue();
    assertThat(second.begin()).as("what is left").isEqualTo(1500);
    ReceiveWindow third = new ReceiveWindow(1000, 3000, 3000, room);
    assertThat(third.receive(1000, 0)).isTrue();
    assertThat(third.begin()).as("nothing is left").isZero();
    assertThat(third.receive(1, 0)).isFalse();

    small.close();
    second.close();
    third.close();
    assertThat(room.take(10_000)).isEqualTo(2500);
  }

  @Test
  void whatWasSentBeforeThePeerHeardOfTheWindowIsTakenAndComesOffIt() {
    assertThat(window.receive(1500, 500)).isTrue();
    assertThat(window.receive(1, 500)).isFalse();
    assertThat(window.held()).isEqualTo(1500);
    assertThat(window.consumed(1500, () -> nanos)).isEqualTo(1500);
    assertThat(window.receive(1001, 0)).isFalse();
    assertThat(window.receive(1000, 0)).isTrue();
  }
}
