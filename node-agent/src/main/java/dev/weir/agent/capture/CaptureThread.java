package dev.weir.agent.capture;

import dev.weir.agent.log.Log;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;

/**
 * The one thread that writes maps and enters pods' namespaces; a platform thread, since a namespace
 * belongs to the thread.
 */
final class CaptureThread implements AutoCloseable {
  private final Log log;
  private final ScheduledThreadPoolExecutor executor;
  private volatile Thread thread = Thread.currentThread();

  CaptureThread(Log log) {
    this.log = log;
    this.executor =
        new ScheduledThreadPoolExecutor(
            1,
            work -> {
              thread = Thread.ofPlatform().name("weir-capture").daemon().unstarted(work);
              return thread;
            });
    executor.setRemoveOnCancelPolicy(true);
    executor.setExecuteExistingDelayedTasksAfterShutdownPolicy(false);
  }

  boolean isCurrent() {
    return Thread.currentThread().threadId() == thread.threadId();
  }

  /** What the work throws is logged. */
  void run(String what, Runnable work) {
    try {
      executor.execute(guarded(what, work));
    } catch (RejectedExecutionException e) {
      log.debug("not done, capture is closed", "what", what);
    }
  }

  <T> CompletableFuture<T> call(Supplier<T> work) {
    try {
      return CompletableFuture.supplyAsync(work, executor);
    } catch (RejectedExecutionException e) {
      return CompletableFuture.failedFuture(new CaptureException("the agent is stopping", e));
    }
  }

  void every(Duration period, String what, Runnable work) {
    long nanos = period.toNanos();
    var _ =
        executor.scheduleWithFixedDelay(guarded(what, work), nanos, nanos, TimeUnit.NANOSECONDS);
  }

  void after(Duration delay, String what, Runnable work) {
    try {
      var _ = executor.schedule(guarded(what, work), delay.toNanos(), TimeUnit.NANOSECONDS);
    } catch (RejectedExecutionException e) {
      log.debug("not done, capture is closed", "what", what);
    }
  }

  private Runnable guarded(String what, Runnable work) {
    return () -> {
      try {
        work.run();
      } catch (RuntimeException e) {
        log.error("failed", "what", what, "cause", e.getMessage());
      }
    };
  }

  /** Ends after what has been handed over; nothing later is taken. */
  @Override
  public void close() {
    executor.shutdown();
    try {
      if (!executor.awaitTermination(5, TimeUnit.SECONDS)) {
        log.warn("capture thread did not end within 5 s");
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
