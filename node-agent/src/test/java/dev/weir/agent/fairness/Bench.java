package dev.weir.agent.fairness;

import dev.weir.agent.capture.Pod;
import dev.weir.agent.capture.TestPods;
import dev.weir.agent.log.Level;
import dev.weir.agent.log.Log;
import dev.weir.agent.log.Logs;
import dev.weir.agent.telemetry.Refusal;
import java.time.InstantSource;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;

/** An event loop by hand: its clock, its tasks, its rounds. */
final class Bench {
  static final Log LOG = new Logs(System.err, InstantSource.system(), Level.ERROR).room("fairness");

  private final ArrayDeque<Runnable> tasks = new ArrayDeque<>();
  private final ArrayDeque<Runnable> tail = new ArrayDeque<>();
  final List<String> done = new ArrayList<>();
  int gaveWay;
  final List<Boolean> paces = new ArrayList<>();
  final Turns turns =
      new Turns(
          () -> this.nanos,
          tasks::add,
          tail::add,
          () -> gaveWay++,
          () -> false,
          new NotedPace(),
          new ArrayList<>());
  final Fairness fairness;
  long nanos = 1_000_000_000;
  private long worked;

  Bench(Limits limits) {
    fairness = new Fairness(limits, () -> 0, Pace.STEADY, LOG);
  }

  Bench() {
    this(Limits.standard(64 << 20));
  }

  private final class NotedPace implements Pace {
    @Override
    public void busy(boolean busy) {
      paces.add(busy);
    }

    @Override
    public long cpuNanos() {
      return worked;
    }
  }

  /** What connections of a pod hold. */
  static final class Connection implements Holder {
    long bytes;
    final List<Refusal> cut = new ArrayList<>();

    Connection(long bytes) {
      this.bytes = bytes;
    }

    @Override
    public long buffered() {
      return bytes;
    }

    @Override
    public void cut(Refusal reason) {
      cut.add(reason);
      bytes = 0;
    }
  }

  PodAccount account(String name, int weight, List<Connection> connections) {
    Pod pod = TestPods.pod(1, "test", name, name, List.of(), TestPods.weighing(weight));
    return fairness.open(
        () -> pod,
        new PodAccount.Buffers() {
          @Override
          public long shared() {
            return 0;
          }

          @Override
          public void forEach(Consumer<Holder> visitor) {
            connections.forEach(visitor);
          }
        });
  }

  Share share(String name, int weight) {
    return new Share(account(name, weight, List.of()), turns);
  }

  /** Work that takes so long, and says who did it. */
  Runnable work(String name, long tookNanos) {
    return () -> {
      nanos += tookNanos;
      worked += tookNanos;
      done.add(name);
    };
  }

  /** The loop's tasks, and the end of its round. */
  void finishRound() {
    drain(tasks);
    drain(tail);
  }

  boolean isIdle() {
    return tasks.isEmpty() && tail.isEmpty();
  }

  private static void drain(ArrayDeque<Runnable> queue) {
    Runnable next;
    while ((next = queue.poll()) != null) {
      next.run();
    }
  }
}
