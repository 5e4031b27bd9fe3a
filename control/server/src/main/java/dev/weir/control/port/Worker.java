package dev.weir.control.port;

import java.util.concurrent.Executor;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;

/**
 * A thread of a service, for what has to be done one thing after the other. What it was given
 * before it is closed it still does, for a moment.
 */
public final class Worker implements Executor, AutoCloseable {
  private static final long GOODBYE_MILLIS = 2_000;

  private final ThreadPoolExecutor thread;

  /**
   * @param mostWaiting what comes beyond is refused with a {@link
   *     java.util.concurrent.RejectedExecutionException}; {@link Integer#MAX_VALUE} where those who
   *     give it work bound that themselves
   */
  public Worker(String name, int mostWaiting) {
    thread =
        new ThreadPoolExecutor(
            1,
            1,
            0,
            TimeUnit.SECONDS,
            new LinkedBlockingQueue<>(mostWaiting),
            Thread.ofPlatform().name(name).daemon().factory());
  }

  @Override
  public void execute(Runnable work) {
    thread.execute(work);
  }

  /** Whether it takes nothing more. */
  public boolean isClosed() {
    return thread.isShutdown();
  }

  @Override
  public void close() {
    thread.shutdown();
    try {
      if (!thread.awaitTermination(GOODBYE_MILLIS, TimeUnit.MILLISECONDS)) {
        thread.shutdownNow();
      }
    } catch (InterruptedException e) {
      thread.shutdownNow();
      Thread.currentThread().interrupt();
    }
  }
}
