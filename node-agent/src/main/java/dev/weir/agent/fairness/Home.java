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
 * only bring to others what it has.
 *
 * <p>Many connections that each last but a moment are kept together on as few of these loops as can
 * bear them: what they cost is the waking of threads, and one that finds more to do in each visit
 * wakes less often. Seen with 16 at a time on two cores: a sixth more connections on one loop than
 * on two. Those that last are spread, since each may want a processor.
 *
 * <p>Any thread.
 */
public final class Home {
  private static final long JUDGE_NANOS = 100_000_000;

  /**
   * Thousandths of a loop's time that a neighbour has there, from which on it is worth to leave.
   */
  private static final int CROWDED = 200;

  /** Connections between two judgements from which on it matters where they go. */
  private static final int MANY = 20;

  /** A connection that lasts less on average is over before anything could be spread. */
  private static final long BRIEF_NANOS = 50_000_000;

  // Of a pause nobody knows what comes after it.
  private static final long PAUSE_NANOS = 4 * JUDGE_NANOS;

  /** Thousandths of their time that loops have a processor, from which on they want another one. */
  private static final int FULL = 850;

  /** And up to which one less would do. */
  private static final int SLACK = 650;

  private final Lanes lanes;
  private final PodAccount account;
  private final AtomicInteger turn = new AtomicInteger();
  private final AtomicLong judged;
  // Of who has won the right to judge; the next one to win it comes later, and sees them.
  private final long[] ownBefore;
  private final long[] allBefore;
  private long openedBefore;
  private boolean together;
  private volatile List<EventLoop> mine;

  /** How many of them short connections go to. */
  private volatile int inUse;

  Home(Lanes lanes, PodAccount account, List<EventLoop> mine) {
    this.lanes = lanes;
    this.account = account;
    this.mine = List.copyOf(mine);
    this.inUse = mine.size();
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
      moveAway();
      inUse = loopsFor(now - before);
    }
    return next(inUse);
  }

  /** Where the next one goes that others will be in, for long. */
  public EventLoop nextTunnel() {
    return next(mine.size());
  }

  private EventLoop next(int of) {
    return mine.get(Math.floorMod(turn.getAndIncrement(), of));
  }

  /** How many loops what has come since asks for. */
  private int loopsFor(long elapsed) {
    long opened = account.opened();
    long since = opened - openedBefore;
    openedBefore = opened;
    // Little's law: how many there are is how many come in a time, times how long they last.
    boolean brief = account.connections() * elapsed < since * BRIEF_NANOS;
    if (since < MANY || elapsed > PAUSE_NANOS || !brief) {
      together = false;
      return mine.size();
    }
    if (!together) {
      together = true;
      return 1;
    }
    int now = inUse;
    int worked = 0;
    for (EventLoop loop : mine.subList(0, now)) {
      worked += lanes.worked(loop);
    }
    if (worked > FULL * now) {
      return Math.min(now + 1, mine.size());
    }
    return worked < SLACK * (now - 1) ? now - 1 : now;
  }

  private void moveAway() {
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
