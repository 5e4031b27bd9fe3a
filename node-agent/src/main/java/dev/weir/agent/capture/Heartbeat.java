package dev.weir.agent.capture;

import dev.weir.bpf.Layouts;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;

/**
 * The agent's sign of life in {@code weir_control}, which programs read at each new connection:
 * older than 3 s counts as dead. A thread of its own, so that no work of the agent can make it look
 * dead.
 */
final class Heartbeat implements AutoCloseable {
  private static final long PERIOD_NANOS = TimeUnit.MILLISECONDS.toNanos(250);
  private static final VarHandle LONG =
      MethodHandles.byteBufferViewVarHandle(long[].class, ByteOrder.nativeOrder());
  private static final VarHandle INT =
      MethodHandles.byteBufferViewVarHandle(int[].class, ByteOrder.nativeOrder());

  private final ByteBuffer control;
  private final int generation;
  private final Thread thread;
  private volatile boolean stopped;

  Heartbeat(ByteBuffer control) {
    this.control = control;
    this.generation = (int) INT.getVolatile(control, Layouts.CONTROL_GENERATION) + 1;
    this.thread = Thread.ofPlatform().name("weir-heartbeat").daemon().unstarted(this::run);
  }

  int generation() {
    return generation;
  }

  /** Not once a successor has started: then what is written here is its business alone. */
  boolean inCharge() {
    return !stopped && (int) INT.getVolatile(control, Layouts.CONTROL_GENERATION) == generation;
  }

  boolean joining() {
    return ((int) INT.getVolatile(control, Layouts.CONTROL_FLAGS) & Layouts.CONTROL_FLAG_JOINING)
        != 0;
  }

  /** Nothing once closed: the mapping may be gone by then. */
  synchronized void joining(boolean on) {
    if (stopped) {
      return;
    }
    int flags = (int) INT.getVolatile(control, Layouts.CONTROL_FLAGS);
    int flag = Layouts.CONTROL_FLAG_JOINING;
    INT.setVolatile(control, Layouts.CONTROL_FLAGS, on ? flags | flag : flags & ~flag);
  }

  void start() {
    INT.setVolatile(control, Layouts.CONTROL_GENERATION, generation);
    beat();
    thread.start();
  }

  private void run() {
    while (!stopped) {
      beat();
      LockSupport.parkNanos(PERIOD_NANOS);
    }
  }

  private void beat() {
    // System.nanoTime is CLOCK_MONOTONIC, as bpf_ktime_get_ns is.
    LONG.setVolatile(control, Layouts.CONTROL_BEAT_NANOS, System.nanoTime());
  }

  /** Says at once that no agent lives, unless a successor beats already. */
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
    if ((int) INT.getVolatile(control, Layouts.CONTROL_GENERATION) == generation) {
      LONG.setVolatile(control, Layouts.CONTROL_BEAT_NANOS, 0L);
    }
  }
}
