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
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class LanesTest {
  private static final long LATER = 1_000_000_000;

  private final Bench bench = new Bench();
  private final Map<EventLoop, Integer> load = new HashMap<>();
  private final List<EventLoopGroup> groups = new ArrayList<>();
  private final List<EventLoop> loops = new ArrayList<>();

  /** No thread of it starts: nothing is run there. */
  private Lanes lanes(int count) {
    EventLoopGroup group = new MultiThreadIoEventLoopGroup(count, LocalIoHandler.newFactory());
    groups.add(group);
    group.forEach(each -> loops.add((EventLoop) each));
    return new Lanes(group, loop -> load.getOrDefault(loop, 0), () -> bench.nanos);
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
