package dev.weir.agent.fairness;

import io.netty.channel.EventLoop;
import io.netty.channel.SingleThreadEventLoop;
import java.util.ArrayDeque;
import java.util.List;
import java.util.concurrent.Executor;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.BooleanSupplier;
import java.util.function.LongSupplier;
import org.jspecify.annotations.Nullable;

/**
 * Who runs on one event loop, and for how long: deficit round robin (Shreedhar and Varghese, 1995)
 * over pods, counted in time, since a byte to encrypt and a byte to copy cost differently.
 *
 * <p>A round is one visit of the loop to its sockets and its tasks. In each round a pod may use a
 * quantum, weighted; as long as it has some left its work runs at once, as if there were no
 * scheduler. What comes later in the round waits, and is served in later rounds, where the sockets
 * of all others were looked at in between. So whoever has little to do never waits for more than a
 * quantum of each busy neighbour, and the piece that exceeded it: what a pod used too much it has
 * less of in the next rounds, if anyone else was there to miss it. A pod that is alone is held up
 * by nothing but one look at the sockets a quantum.
 *
 * <p>A loop that ends has no later rounds: what waits is done when the round is over, and what
 * comes then is done at once.
 *
 * <p>Owned by the loop.
 */
final class Turns {
  /**
   * Some 128 KiB through a tunnel. Less costs throughput, since sockets are looked at more often
   * and reads are cut off early; more is what a neighbour waits for.
   */
  static final long QUANTUM_NANOS = 150_000;

  private final LongSupplier nanoClock;
  private final Executor now;
  private final Executor afterThisRound;
  private final Runnable giveWay;
  private final BooleanSupplier ending;
  private final Pace pace;
  private final Load load;
  // One thread writes; who reads sees it a moment later.
  private final AtomicLong used = new AtomicLong();
  private final ArrayDeque<Share> waiting = new ArrayDeque<>();
  private final Runnable roundEnds = this::roundEnds;
  private final Runnable serve = this::serve;
  private volatile String thread = "";
  private boolean open;
  private long round = 1;
  private long roundBegan;
  private @Nullable Share running;
  private long since;
  private @Nullable Share firstOfRound;
  private boolean several;
  private boolean lastWasShared;

  /**
   * @param now runs a task in this round
   * @param afterThisRound runs a task when the round is over, before the next one
   * @param giveWay lets another thread have the processor, after a round that took long
   * @param ending whether the loop may have no further round
   * @param loads of all loops
   */
  Turns(
      LongSupplier nanoClock,
      Executor now,
      Executor afterThisRound,
      Runnable giveWay,
      BooleanSupplier ending,
      Pace pace,
      List<Load> loads) {
    this.nanoClock = nanoClock;
    this.now = now;
    this.afterThisRound = afterThisRound;
    this.giveWay = giveWay;
    this.ending = ending;
    this.pace = pace;
    this.load = new Load(pace::cpuNanos, nanoClock.getAsLong(), loads);
  }

  static Turns of(EventLoop loop, Pace pace, List<Load> loads) {
    return new Turns(
        System::nanoTime,
        loop,
        // A plain task would run in the same round, before any socket is looked at.
        loop instanceof SingleThreadEventLoop each ? each::executeAfterEventLoopIteration : loop,
        Turns::letOthersRun,
        // Set before the last tasks are run; none is taken afterwards (SingleThreadEventExecutor).
        loop::isShuttingDown,
        pace,
        loads);
  }

  /**
   * A loop that is never idle has its processor until the kernel's timer looks, up to 4 ms later:
   * so long would the other loops wait, and the programs that it relays between, and with them
   * every pod that has little to do. Seen with 16 streams beside: a neighbour's p99 is half as
   * long.
   */
  @SuppressWarnings("ThreadPriorityCheck") // a matter of latency only
  private static void letOthersRun() {
    Thread.yield();
  }

  /** Work for a pod begins, inside of what it returns: that goes on when this has ended. */
  @Nullable Share begin(Share share) {
    long at = nanoClock.getAsLong();
    Share outer = running;
    settle(at);
    open(at);
    running = share;
    since = at;
    seen(share);
    share.refill(round);
    return outer;
  }

  void end(@Nullable Share outer) {
    long at = nanoClock.getAsLong();
    settle(at);
    running = outer;
    since = at;
  }

  private void settle(long at) {
    Share share = running;
    if (share != null) {
      share.used(at - since);
      used.lazySet(used.getPlain() + at - since);
    }
  }

  private void open(long at) {
    if (!open && !isEnding()) {
      if (round == 1) {
        thread = Thread.currentThread().getName();
      }
      open = true;
      roundBegan = at;
      afterThisRound.execute(roundEnds);
    }
  }

  /** The loop's thread, once it has done anything. Any thread. */
  String thread() {
    return thread;
  }

  /** Time of work for all pods. Any thread. */
  long used() {
    return used.get();
  }

  /** How busy the loop is, in thousandths. Any thread. */
  int load() {
    return load.thousandths(nanoClock.getAsLong());
  }

  /** How much of the time the loop's thread has a processor, in thousandths. Any thread. */
  int worked() {
    return load.workedThousandths(nanoClock.getAsLong());
  }

  /** How long whatever begins now has waited at least, while others of the round had theirs. */
  long waitedInRound() {
    return since - roundBegan;
  }

  /** When what runs now began. */
  long began() {
    return since;
  }

  /** Runs a task in this round. */
  void execute(Runnable task) {
    now.execute(task);
  }

  long clock() {
    return nanoClock.getAsLong();
  }

  /** Whether the one that runs has used up its turn. */
  boolean isOver(Share share) {
    return share.left() <= (running == share ? nanoClock.getAsLong() - since : 0);
  }

  /** Whether there may be no later turn, so that nothing can wait for one. */
  boolean isEnding() {
    return ending.getAsBoolean();
  }

  long round() {
    return round;
  }

  private void seen(Share share) {
    if (firstOfRound == null) {
      firstOfRound = share;
    } else if (firstOfRound != share) {
      several = true;
    }
  }

  /** Whether more than one pod had anything to do in the last round. */
  boolean lastWasShared() {
    return lastWasShared;
  }

  void waits(Share share) {
    seen(share);
    waiting.add(share);
    open(nanoClock.getAsLong());
  }

  private void roundEnds() {
    open = false;
    round++;
    lastWasShared = several || waiting.size() > 1;
    several = false;
    firstOfRound = null;
    if (!waiting.isEmpty()) {
      if (isEnding()) {
        serve();
      } else {
        now.execute(serve);
      }
    }
    long at = nanoClock.getAsLong();
    if (load.round(at)) {
      pace.busy(load.isBusy());
    }
    if (at - roundBegan >= QUANTUM_NANOS) {
      giveWay.run();
    }
  }

  private void serve() {
    open(nanoClock.getAsLong());
    for (int shares = waiting.size(); shares > 0; shares--) {
      Share share = waiting.remove();
      try {
        share.serve(round);
      } finally {
        if (share.isHolding()) {
          waiting.add(share);
        }
      }
    }
  }
}
