package dev.weir.agent.fairness;

import io.netty.channel.EventLoop;
import io.netty.channel.EventLoopGroup;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.LongSupplier;
import java.util.function.ToIntFunction;

/**
 * Which event loops a pod's connections live on. On one loop pods take turns, and whoever comes
 * while a neighbour has his waits until that has ended. Two loops are two threads, and between them
 * the kernel decides: who has little to do has a processor at once. So a pod is at home on half of
 * the loops at most, and one that becomes busy leaves the others to its neighbours. Connections
 * that were made before a pod moved stay where they are.
 */
public final class Lanes {
  private final EventLoopGroup group;
  private final List<EventLoop> loops;
  private final ToIntFunction<EventLoop> load;
  private final ToIntFunction<EventLoop> worked;
  private final LongSupplier nanoClock;
  private final AtomicInteger homes = new AtomicInteger();

  public Lanes(EventLoopGroup group, Fairness fairness) {
    this(
        group,
        loop -> fairness.turns(loop).load(),
        loop -> fairness.turns(loop).worked(),
        System::nanoTime);
  }

  /**
   * @param load how busy a loop is, in thousandths
   * @param worked how much of the time it has a processor, in thousandths
   */
  Lanes(
      EventLoopGroup group,
      ToIntFunction<EventLoop> load,
      ToIntFunction<EventLoop> worked,
      LongSupplier nanoClock) {
    List<EventLoop> all = new ArrayList<>();
    // What an EventLoopGroup is made of is declared as something wider.
    group.forEach(each -> all.add((EventLoop) each));
    this.group = group;
    this.loops = List.copyOf(all);
    this.load = load;
    this.worked = worked;
    this.nanoClock = nanoClock;
  }

  public EventLoopGroup group() {
    return group;
  }

  /** Where a pod that comes is at home: not where the one before it is. */
  public Home home(PodAccount account) {
    int size = Math.max(1, loops.size() / 2);
    int number = homes.getAndIncrement();
    int first = Math.floorMod(number * size, loops.size());
    // Short connections go to the first one more than to others: all are the first of some pods.
    int foremost = number * size / loops.size();
    List<EventLoop> mine = new ArrayList<>(size);
    for (int i = 0; i < size; i++) {
      mine.add(loops.get((first + Math.floorMod(foremost + i, size)) % loops.size()));
    }
    return new Home(this, account, mine);
  }

  List<EventLoop> loops() {
    return loops;
  }

  /** How busy a loop is, in thousandths. */
  int load(EventLoop loop) {
    return load.applyAsInt(loop);
  }

  /** How much of the time a loop has a processor, in thousandths. */
  int worked(EventLoop loop) {
    return worked.applyAsInt(loop);
  }

  long clock() {
    return nanoClock.getAsLong();
  }
}
