package dev.weir.agent.fairness;

import io.netty.channel.EventLoop;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;

/**
 * The loops that a pod's new connections go to, one after the other. Where a neighbour has become
 * busy on one of them, a loop takes its place on which nobody is; connections that are there stay,
 * since a tunnel and its streams are on one loop. A pod that is busy itself stays as well: it would
 * only bring to others what it has. Any thread.
 */
public final class Home {
  private static final long JUDGE_NANOS = 100_000_000;

  /**
   * Thousandths of a loop's time that a neighbour has there, from which on it is worth to leave.
   */
  private static final int CROWDED = 200;

  private final Lanes lanes;
  private final PodAccount account;
  private final AtomicInteger turn = new AtomicInteger();
  private final AtomicLong judged;
  // Of who has won the right to judge; the next one to win it comes later, and sees them.
  private final long[] ownBefore;
  private final long[] allBefore;
  private volatile List<EventLoop> mine;

  Home(Lanes lanes, PodAccount account, List<EventLoop> mine) {
    this.lanes = lanes;
    this.account = account;
    this.mine = List.copyOf(mine);
    this.judged = new AtomicLong(lanes.clock());
    this.ownBefore = new long[lanes.loops().size()];
    this.allBefore = new long[lanes.loops().size()];
  }

  /** Where the pod's listeners are. */
  public EventLoop first() {
    return mine.getFirst();
  }

  /** Where the next connection goes. */
  public EventLoop next() {
    long now = lanes.clock();
    long before = judged.get();
    if (now - before >= JUDGE_NANOS && judged.compareAndSet(before, now)) {
      judge();
    }
    List<EventLoop> here = mine;
    return here.get(Math.floorMod(turn.getAndIncrement(), here.size()));
  }

  private void judge() {
    List<EventLoop> loops = lanes.loops();
    int[] others = new int[loops.size()];
    int own = 0;
    for (int i = 0; i < others.length; i++) {
      EventLoop loop = loops.get(i);
      Share share = account.known(loop);
      long ownUsed = share == null ? 0 : share.count(Share.CPU);
      long allUsed = account.usedOn(loop);
      int load = lanes.load(loop);
      // Of what the loop was busy with since, the pod had this part.
      double part =
          allUsed == allBefore[i]
              ? 0
              : (double) (ownUsed - ownBefore[i]) / (allUsed - allBefore[i]);
      int mineOfIt = (int) (load * Math.clamp(part, 0, 1));
      others[i] = load - mineOfIt;
      own += mineOfIt;
      ownBefore[i] = ownUsed;
      allBefore[i] = allUsed;
    }
    if (own < CROWDED) {
      mine = away(loops, others);
    }
  }

  /** The same loops, but for each that is crowded one that is not, while there is one. */
  private List<EventLoop> away(List<EventLoop> loops, int[] others) {
    List<EventLoop> now = new ArrayList<>(mine);
    for (int at = 0; at < now.size(); at++) {
      if (others[loops.indexOf(now.get(at))] < CROWDED) {
        continue;
      }
      for (int i = 0; i < others.length; i++) {
        if (others[i] < CROWDED && !now.contains(loops.get(i))) {
          now.set(at, loops.get(i));
          break;
        }
      }
    }
    return List.copyOf(now);
  }
}
