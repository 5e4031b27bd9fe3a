package dev.weir.bench;

import java.io.IOException;
import java.time.Duration;
import java.util.Objects;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/** Work beside what is measured. */
final class Background<T> {
  /** It did not end in time. */
  static final class Late extends IOException {
    private static final long serialVersionUID = 1L;

    private Late(String what, TimeoutException cause) {
      super(what, cause);
    }
  }

  // Longer than a command of weir's is given, which says better what it was.
  private static final Duration AT_MOST = Duration.ofMinutes(3);

  private final Future<T> future;

  private Background(Future<T> future) {
    this.future = future;
  }

  static <T> Background<T> start(Callable<T> work) {
    // Closing it would wait for the work, which is the caller's to say when.
    ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor();
    Future<T> future = threads.submit(work);
    threads.shutdown();
    return new Background<>(future);
  }

  static <T> void both(Callable<T> one, Callable<T> other) throws IOException {
    Background<T> first = start(one);
    Background<T> second = start(other);
    first.join();
    second.join();
  }

  boolean isDone() {
    return future.isDone();
  }

  T join() throws IOException {
    return join("work beside the measurement", AT_MOST);
  }

  T join(String what, Duration atMost) throws IOException {
    try {
      return future.get(atMost.toSeconds(), TimeUnit.SECONDS);
    } catch (TimeoutException e) {
      future.cancel(true);
      throw new Late("waited %d s in vain for %s".formatted(atMost.toSeconds(), what), e);
    } catch (ExecutionException e) {
      Throwable cause = Objects.requireNonNullElse(e.getCause(), e);
      throw new IOException(cause.getMessage(), cause);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IOException("interrupted while waiting for " + what, e);
    }
  }
}
