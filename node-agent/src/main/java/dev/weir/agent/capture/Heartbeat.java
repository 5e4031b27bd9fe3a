package dev.weir.agent.capture;

import dev.weir.bpf.Layouts;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;

/**
 * The agent's sign of life in {@code weir_control}, which programs read at each new connection:
 * older than 3 s counts as dead. A thread of its own, so that no work of the agent can make it look
 * dead.
 *
 * <p>The same words settle which of two agents is in charge: it beats, it alone writes what both
 * know into the kernel, and it reads the events. An agent knows the other by a random number.
 *
 * <ul>
 *   <li>One that starts beside another announces itself, and asks for the charge once it serves.
 *   <li>The one in charge first lets go of everything, then writes the other's number over its own.
 *       A number that is written without having been asked for takes the charge just so: its owner
 *       found no life here.
 *   <li>One that has handed over takes the charge back where its successor dies, until it retires.
 * </ul>
 */
final class Heartbeat implements AutoCloseable {
  private static final long PERIOD_NANOS = TimeUnit.MILLISECONDS.toNanos(250);
  private static final long ASKING_NANOS = TimeUnit.MILLISECONDS.toNanos(50);

  // Four beats. A starting agent that is wrong about this takes the charge a little early.
  private static final long SILENT_NANOS = TimeUnit.SECONDS.toNanos(1);

  // As the programs have it.
  private static final long DEAD_NANOS = TimeUnit.SECONDS.toNanos(3);

  // Letting go takes a tenth of a second; one that beats and does not let go is stuck.
  private static final long HANDED_OVER_WITHIN_NANOS = TimeUnit.SECONDS.toNanos(5);

  private static final VarHandle LONG =
      MethodHandles.byteBufferViewVarHandle(long[].class, ByteOrder.nativeOrder());
  private static final VarHandle INT =
      MethodHandles.byteBufferViewVarHandle(int[].class, ByteOrder.nativeOrder());

  /** What comes and goes with the charge; called on the heartbeat's thread. */
  interface Charge {
    void taken();

    /** When this returns nothing shared is written any more; may take a second. */
    void letGo();
  }

  private final ByteBuffer control;
  private final Charge charge;
  private final int number = ThreadLocalRandom.current().nextInt(1, Integer.MAX_VALUE);
  private final Thread thread;
  private volatile boolean inCharge;
  private volatile boolean asks;
  private volatile boolean retired;
  private volatile boolean stopped;

  // The heartbeat's thread.
  private boolean heldBefore;
  private long askedAt;

  Heartbeat(ByteBuffer control, Charge charge) {
    this.control = control;
    this.charge = charge;
    this.thread = Thread.ofPlatform().name("weir-heartbeat").daemon().unstarted(this::run);
  }

  /** Under which other agents know this one. */
  int number() {
    return number;
  }

  boolean inCharge() {
    return inCharge && !stopped;
  }

  boolean joining() {
    return (word(Layouts.CONTROL_FLAGS) & Layouts.CONTROL_FLAG_JOINING) != 0;
  }

  /** Nothing where another agent is in charge, or once closed: the mapping may be gone by then. */
  synchronized void joining(boolean on) {
    if (!inCharge()) {
      return;
    }
    int flags = word(Layouts.CONTROL_FLAGS);
    int flag = Layouts.CONTROL_FLAG_JOINING;
    INT.setVolatile(control, Layouts.CONTROL_FLAGS, on ? flags | flag : flags & ~flag);
  }

  /** In charge when this returns, unless another agent lives. */
  void start() {
    step(System.nanoTime());
    thread.start();
  }

  /** All pods are served: whoever is in charge may hand over. */
  void ask() {
    asks = true;
    LockSupport.unpark(thread);
  }

  /** The charge is never taken again. */
  void retire() {
    retired = true;
  }

  boolean isRetired() {
    return retired;
  }

  /** Whether another agent lives that waits for its turn. */
  boolean hasHeir() {
    int next = word(Layouts.CONTROL_NEXT);
    return next != 0 && next != number && beats(Layouts.CONTROL_NEXT_BEAT_NANOS, DEAD_NANOS);
  }

  private void run() {
    while (!stopped) {
      step(System.nanoTime());
      LockSupport.parkNanos(asks && !heldBefore ? ASKING_NANOS : PERIOD_NANOS);
    }
  }

  private void step(long now) {
    int holder = word(Layouts.CONTROL_AGENT);
    if (inCharge) {
      hold(holder, now);
    } else if (holder == number) {
      take(now);
    } else if (!retired) {
      look(holder, now);
    }
  }

  private void hold(int holder, long now) {
    if (holder != number) {
      letGo();
      return;
    }
    beat(now);
    if (word(Layouts.CONTROL_NEXT_ASKS) == 1 && hasHeir()) {
      int heir = word(Layouts.CONTROL_NEXT);
      letGo();
      INT.compareAndSet(control, Layouts.CONTROL_AGENT, number, heir);
    }
  }

  private void look(int holder, long now) {
    if (!beats(Layouts.CONTROL_BEAT_NANOS, heldBefore ? DEAD_NANOS : SILENT_NANOS)) {
      takeFrom(holder, now);
      return;
    }
    if (heldBefore || !announced()) {
      return;
    }
    LONG.setVolatile(control, Layouts.CONTROL_NEXT_BEAT_NANOS, now);
    if (asks) {
      INT.setVolatile(control, Layouts.CONTROL_NEXT_ASKS, 1);
      if (askedAt == 0) {
        askedAt = now;
      } else if (now - askedAt > HANDED_OVER_WITHIN_NANOS) {
        takeFrom(holder, now);
      }
    }
  }

  /** One waits at a time; a third agent waits for the place. */
  private boolean announced() {
    int next = word(Layouts.CONTROL_NEXT);
    if (next == number) {
      return true;
    }
    if (next != 0 && beats(Layouts.CONTROL_NEXT_BEAT_NANOS, DEAD_NANOS)) {
      return false;
    }
    INT.setVolatile(control, Layouts.CONTROL_NEXT_ASKS, 0);
    return INT.compareAndSet(control, Layouts.CONTROL_NEXT, next, number);
  }

  private void takeFrom(int holder, long now) {
    if (INT.compareAndSet(control, Layouts.CONTROL_AGENT, holder, number)) {
      take(now);
    }
  }

  private void take(long now) {
    beat(now);
    leaveNext();
    heldBefore = true;
    inCharge = true;
    charge.taken();
  }

  private void letGo() {
    synchronized (this) {
      inCharge = false;
    }
    charge.letGo();
  }

  private void leaveNext() {
    if (word(Layouts.CONTROL_NEXT) == number) {
      INT.setVolatile(control, Layouts.CONTROL_NEXT_ASKS, 0);
      LONG.setVolatile(control, Layouts.CONTROL_NEXT_BEAT_NANOS, 0L);
      INT.compareAndSet(control, Layouts.CONTROL_NEXT, number, 0);
    }
  }

  private void beat(long now) {
    // System.nanoTime is CLOCK_MONOTONIC, as bpf_ktime_get_ns is.
    LONG.setVolatile(control, Layouts.CONTROL_BEAT_NANOS, now);
  }

  private boolean beats(int offset, long within) {
    return isRecent((long) LONG.getVolatile(control, offset), within);
  }

  private static boolean isRecent(long beat, long within) {
    return beat != 0 && System.nanoTime() - beat < within;
  }

  /** Of a control value read elsewhere: whether it tells of a living agent other than this one. */
  boolean tellsOfAnother(byte[] value) {
    ByteBuffer from = Layouts.read(value);
    return from.getInt(Layouts.CONTROL_AGENT) != number
        && isRecent(from.getLong(Layouts.CONTROL_BEAT_NANOS), DEAD_NANOS);
  }

  private int word(int offset) {
    return (int) INT.getVolatile(control, offset);
  }

  /** Says at once that no agent lives, unless another one beats. */
  @Override
  public synchronized void close() {
    if (stopped) {
      return;
    }
    stopped = true;
    LockSupport.unpark(thread);
    try {
      thread.join(TimeUnit.SECONDS.toMillis(1));
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    leaveNext();
    if (word(Layouts.CONTROL_AGENT) == number) {
      LONG.setVolatile(control, Layouts.CONTROL_BEAT_NANOS, 0L);
    }
  }
}
