package dev.weir.agent.fairness;

import java.util.ArrayDeque;
import java.util.concurrent.atomic.AtomicLongArray;
import org.jspecify.annotations.Nullable;

/**
 * One pod on one event loop: its turn, the work that waits for it, and what was counted. Owned by
 * the loop; counters are read by any thread.
 */
public final class Share {
  // Beyond it a pod is asked for more than it will be given in seconds.
  static final int MOST_HELD = 4096;

  /**
   * Quanta that a pod pays back at most. Work that took longer was not itself long: its thread had
   * no processor meanwhile, as happens on a busy node, and that is nobody's debt.
   */
  private static final int MOST_OWED = 4;

  /** Waits are counted by powers of two microseconds; the last one takes all from 4 s up. */
  static final int WAITS = 23;

  static final int CPU = 0;
  static final int IN = 1;
  static final int OUT = 2;
  static final int WAITED = 3;
  static final int FIRST_WAIT = 4;
  static final int COUNTERS = FIRST_WAIT + WAITS;

  /** Something to be done for the pod, again and again; it waits at most once at a time. */
  public final class Work {
    private final Runnable body;
    private final Runnable run = this::runAtOnce;
    private long heldSince;
    private boolean held;

    private Work(Runnable body) {
      this.body = body;
    }

    /** Does it at once, or, if the pod's turn is over, in its next one. */
    public void now() {
      if (!held) {
        if (mayRun()) {
          runAtOnce();
        } else {
          hold(this);
        }
      }
    }

    /** Does it later in this round of the loop, or, if the pod's turn is over, in its next one. */
    public void later() {
      if (mayRun()) {
        turns.execute(run);
      } else if (!held) {
        hold(this);
      }
    }

    /** Does it in the pod's next turn, when the sockets of all others were looked at. */
    public void inNextTurn() {
      if (!held) {
        hold(this);
      }
    }

    private void runAtOnce() {
      Share outer = beginInTurn();
      try {
        body.run();
      } finally {
        turns.end(outer);
      }
    }
  }

  private final PodAccount account;
  private final Turns turns;
  private final ArrayDeque<Work> held = new ArrayDeque<>(2);
  private final AtomicLongArray counters = new AtomicLongArray(COUNTERS);
  private long left;
  private long lastRound;
  // Of who asks for accounts, under their lock.
  private long workedBefore;
  private long cpuNanos;

  Share(PodAccount account, Turns turns) {
    this.account = account;
    this.turns = turns;
  }

  public PodAccount account() {
    return account;
  }

  /** Whether it is the pod's turn, and nothing of it waits that came before. */
  boolean mayRun() {
    refill(turns.round());
    return hasTurn() && held.isEmpty();
  }

  private boolean hasTurn() {
    return left > 0 || turns.isEnding();
  }

  /** Does it here and now, whosever turn it is: it cannot wait. */
  public void atOnce(Runnable body) {
    Share outer = turns.begin(this);
    try {
      body.run();
    } finally {
      turns.end(outer);
    }
  }

  @Nullable Share beginInTurn() {
    Share outer = turns.begin(this);
    waited(turns.waitedInRound());
    return outer;
  }

  /** Whether what runs now should stop and go on when it is asked again. */
  public boolean isOver() {
    return turns.isOver(this);
  }

  public Work work(Runnable body) {
    return new Work(body);
  }

  /**
   * Does it now or, if the pod's turn is over, in its next one.
   *
   * @return false where too much waits already: then it is never done
   */
  public boolean inTurn(Runnable body) {
    if (mayRun()) {
      Share outer = beginInTurn();
      try {
        body.run();
      } finally {
        turns.end(outer);
      }
      return true;
    }
    if (held.size() >= MOST_HELD) {
      return false;
    }
    hold(new Work(body));
    return true;
  }

  void hold(Work work) {
    work.held = true;
    work.heldSince = turns.clock();
    held.add(work);
    if (held.size() == 1) {
      turns.waits(this);
    }
  }

  boolean isHolding() {
    return !held.isEmpty();
  }

  void serve(long round) {
    refill(round);
    Work next;
    while (hasTurn() && (next = held.peek()) != null) {
      turns.begin(this);
      waited(turns.began() - next.heldSince);
      // It may ask for another turn.
      next.held = false;
      try {
        next.body.run();
      } finally {
        turns.end(null);
        // Until now it was the first: what it brought about has queued up behind it.
        held.remove();
      }
    }
  }

  void refill(long round) {
    if (round != lastRound) {
      long quantum = account.quantum();
      if (turns.lastWasShared()) {
        left = Math.max(left, -MOST_OWED * quantum);
        left = Math.min(quantum, left + quantum * Math.min(round - lastRound, 1_000_000));
      } else {
        // What it used too much it took from nobody; to pay it back would be to turn idle.
        left = quantum;
      }
      lastRound = round;
    }
  }

  long left() {
    return left;
  }

  void used(long nanos) {
    left -= nanos;
    add(CPU, nanos);
  }

  private void waited(long nanos) {
    long micros = nanos / 1000;
    add(WAITED, micros);
    add(FIRST_WAIT + Math.min(WAITS - 1, Long.SIZE - Long.numberOfLeadingZeros(micros)), 1);
  }

  /** Time of work since it was asked for last. */
  long workedSince() {
    return counters.get(CPU) - workedBefore;
  }

  /** Bills that much of it: what it had of a processor. */
  void bill(long worked, double part) {
    workedBefore += worked;
    cpuNanos += (long) (worked * part);
  }

  long cpuNanos() {
    return cpuNanos;
  }

  /** Bytes towards the pod. */
  public void received(int bytes) {
    add(IN, bytes);
  }

  /** Bytes from the pod. */
  public void sent(int bytes) {
    add(OUT, bytes);
  }

  // One thread writes, so nothing is lost; who reads sees it a moment later.
  private void add(int counter, long by) {
    counters.lazySet(counter, counters.getPlain(counter) + by);
  }

  long count(int counter) {
    return counters.get(counter);
  }
}
