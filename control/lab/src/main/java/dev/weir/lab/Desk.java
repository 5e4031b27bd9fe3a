package dev.weir.lab;

import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Consumer;
import java.util.function.Supplier;

/**
 * The one thread that owns a lab's state, and the hands that do for it what takes time. News
 * reaches state only by {@link #post}; what the hands did comes back the same way.
 */
final class Desk implements AutoCloseable {
  /** Two cores start processes; more at once would only queue in the kernel. */
  private static final int HANDS = 4;

  private final ScheduledExecutorService desk;
  private final ExecutorService hands;
  private final Thread thread;

  Desk() {
    desk = Executors.newSingleThreadScheduledExecutor(Thread.ofPlatform().name("desk").factory());
    hands = Executors.newFixedThreadPool(HANDS, Thread.ofPlatform().name("hand-", 0).factory());
    thread = CompletableFuture.supplyAsync(Thread::currentThread, desk).join();
  }

  /** Soon, on the desk. */
  void post(Runnable news) {
    try {
      desk.execute(guarded(news));
    } catch (RejectedExecutionException e) {
      // The lab is going down; nobody waits for this any more.
      Log.info("dropped at shutdown: " + news);
    }
  }

  void after(Duration delay, Runnable news) {
    if (!desk.isShutdown()) {
      var _ = desk.schedule(guarded(news), delay.toNanos(), TimeUnit.NANOSECONDS);
    }
  }

  /** On the desk, its answer here. Not from the desk itself. */
  <T> T ask(Supplier<T> question) {
    try {
      return CompletableFuture.supplyAsync(question, desk).get(30, TimeUnit.SECONDS);
    } catch (ExecutionException e) {
      throw e.getCause() instanceof LabException known
          ? known
          : new LabException("internal error: " + e.getCause(), e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new LabException("interrupted", e);
    } catch (TimeoutException e) {
      throw new LabException("the lab's desk has not answered for 30 s: see its log", e);
    }
  }

  /** By a hand; what came of it goes to the desk. */
  <T> void delegate(Supplier<T> work, Consumer<T> done, Consumer<LabException> failed) {
    try {
      hands.execute(() -> {
        try {
          T result = work.get();
          post(() -> done.accept(result));
        } catch (LabException e) {
          post(() -> failed.accept(e));
        } catch (RuntimeException e) {
          Log.error("a hand slipped", e);
          post(() -> failed.accept(new LabException("internal error: " + e, e)));
        }
      });
    } catch (RejectedExecutionException e) {
      Log.info("dropped at shutdown: " + work);
    }
  }

  void assertHere() {
    if (!Thread.currentThread().equals(thread)) {
      throw new IllegalStateException(
          "state touched on " + Thread.currentThread().getName() + " (expected: desk)");
    }
  }

  private static Runnable guarded(Runnable news) {
    return () -> {
      try {
        news.run();
      } catch (RuntimeException e) {
        // One mishandled event must not stop the desk: every other pod depends on it.
        Log.error("the desk failed", e);
      }
    };
  }

  @Override
  public void close() {
    desk.shutdownNow();
    hands.shutdownNow();
  }
}
