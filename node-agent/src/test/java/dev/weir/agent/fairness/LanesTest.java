package dev.weir.agent.fairness;

import static org.assertj.core.api.Assertions.assertThat;

import io.netty.channel.EventLoop;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.MultiThreadIoEventLoopGroup;
import io.netty.channel.local.LocalIoHandler;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class LanesTest {
  private static final long LATER = 1_000_000_000;
  private static final long JUDGED = 100_000_000;

  private final Bench bench = new Bench();
  private final Map<EventLoop, Integer> load = new HashMap<>();
  private final Map<EventLoop, Integer> worked = new HashMap<>();
  private final List<EventLoopGroup> groups = new ArrayList<>();
  private final List<EventLoop> loops = new ArrayList<>();

  /** No thread of it starts: nothing is run there. */
  private Lanes lanes(int count) {
    EventLoopGroup group = new MultiThreadIoEventLoopGroup(count, LocalIoHandler.newFactory());
    groups.add(group);
    group.forEach(each -> loops.add((EventLoop) each));
    return new Lanes(
        group,
        loop -> load.getOrDefault(loop, 0),
        loop -> worked.getOrDefault(loop, 0),
        () -> bench.nanos);
  }

  @AfterEach
  void close() {
    groups.forEach(EventLoopGroup::close);
  }

  private Home home(Lanes lanes, String name) {
    return lanes.home(bench.account(name, 100, List.of()));
  }

  private List<EventLoop> next(Home home, int count) {
    List<EventLoop> all = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      all.add(home.next());
    }
    return all;
  }

  @Test
  void twoPodsThatComeShareNoLoop() {
    Lanes lanes = lanes(4);
    Home one = home(lanes, "one");
    Home other = home(lanes, "other");
    assertThat(next(one, 3)).containsExactly(loops.get(0), loops.get(1), loops.get(0));
    assertThat(next(other, 3)).containsExactly(loops.get(2), loops.get(3), loops.get(2));
    assertThat(one.first()).isEqualTo(loops.get(0));
    assertThat(other.first()).isEqualTo(loops.get(2));
  }

  @Test
  void everyLoopIsTheForemostOfSomePods() {
    Lanes lanes = lanes(4);
    List<EventLoop> foremost = new ArrayList<>();
    for (int i = 0; i < 4; i++) {
      foremost.add(home(lanes, "pod-" + i).first());
    }
    assertThat(foremost).containsExactlyInAnyOrderElementsOf(loops);
  }

  @Test
  void manyShortConnectionsAreKeptTogetherUntilOneLoopIsNotEnough() {
    Lanes lanes = lanes(4);
    PodAccount account = bench.account("caller", 100, List.of());
    Home home = lanes.home(account);
    assertThat(Set.copyOf(next(home, 2))).as("of the first nothing is known").hasSize(2);
    callBriefly(home, account, 500);
    assertThat(Set.copyOf(next(home, 4))).containsExactly(loops.get(0));
    assertThat(home.nextTunnel()).as("tunnels last").isNotEqualTo(home.nextTunnel());
    worked.put(loops.get(0), 900);
    callBriefly(home, account, 500);
    assertThat(Set.copyOf(next(home, 4))).containsExactlyInAnyOrder(loops.get(0), loops.get(1));
    worked.put(loops.get(0), 400);
    worked.put(loops.get(1), 400);
    callBriefly(home, account, 500);
    assertThat(Set.copyOf(next(home, 4))).as("one alone would be full").hasSize(2);
    worked.put(loops.get(1), 200);
    callBriefly(home, account, 500);
    assertThat(Set.copyOf(next(home, 4))).containsExactly(loops.get(0));
  }

  @Test
  void connectionsThatLastAreSpread() {
    Lanes lanes = lanes(4);
    PodAccount account = bench.account("streamer", 100, List.of());
    Home home = lanes.home(account);
    for (int i = 0; i < 100; i++) {
      account.connectionBegan();
    }
    bench.nanos += JUDGED;
    assertThat(Set.copyOf(next(home, 4))).hasSize(2);
  }

  @Test
  void afterAPauseNothingIsKnownAnyMore() {
    Lanes lanes = lanes(4);
    PodAccount account = bench.account("caller", 100, List.of());
    Home home = lanes.home(account);
    callBriefly(home, account, 500);
    assertThat(Set.copyOf(next(home, 2))).hasSize(1);
    bench.nanos += LATER;
    assertThat(Set.copyOf(next(home, 2))).hasSize(2);
  }

  /** So many in the time from one judgement to the next, which is made. */
  private void callBriefly(Home home, PodAccount account, int count) {
    for (int i = 0; i < count; i++) {
      account.connectionBegan();
      account.connectionEnded();
    }
    bench.nanos += JUDGED;
    home.next();
  }

  @Test
  void whereThereIsOneLoopAllAreOnIt() {
    Lanes lanes = lanes(1);
    assertThat(next(home(lanes, "one"), 2)).containsExactly(loops.get(0), loops.get(0));
    assertThat(next(home(lanes, "other"), 1)).containsExactly(loops.get(0));
  }

  @Test
  void newConnectionsGoWhereNoNeighbourIsBusy() {
    Home home = home(lanes(4), "victim");
    load.put(loops.get(1), 800);
    load.put(loops.get(2), 900);
    assertThat(next(home, 2)).contains(loops.get(1));
    bench.nanos += LATER;
    assertThat(next(home, 2)).containsExactlyInAnyOrder(loops.get(0), loops.get(3));
  }

  @Test
  void whereAllAreCrowdedNobodyMoves() {
    Home home = home(lanes(4), "victim");
    loops.forEach(each -> load.put(each, 900));
    bench.nanos += LATER;
    assertThat(next(home, 2)).containsExactlyInAnyOrder(loops.get(0), loops.get(1));
  }

  @Test
  void aPodIsNoNeighbourOfItsOwnAndABusyOneStays() {
    Lanes lanes = lanes(4);
    PodAccount hog = bench.account("hog", 100, List.of());
    PodAccount other = bench.account("other", 100, List.of());
    Home home = lanes.home(hog);
    load.put(loops.get(0), 950);
    load.put(loops.get(1), 800);
    works(hog, loops.get(0), 5);
    works(other, loops.get(0), 1);
    works(hog, loops.get(1), 5);
    bench.nanos += LATER;
    assertThat(next(home, 2)).containsExactlyInAnyOrder(loops.get(0), loops.get(1));
    // It has ended its work, and what is busy there is somebody else's.
    works(other, loops.get(0), 5);
    works(other, loops.get(1), 5);
    bench.nanos += LATER;
    assertThat(next(home, 2)).containsExactlyInAnyOrder(loops.get(2), loops.get(3));
  }

  /** What a pod has of a loop, in real time. */
  private static void works(PodAccount account, EventLoop loop, int millis) {
    long end = System.nanoTime() + millis * 1_000_000L;
    account
        .on(loop)
        .atOnce(() -> {
          while (System.nanoTime() < end) {
            Thread.onSpinWait();
          }
        });
  }
}
