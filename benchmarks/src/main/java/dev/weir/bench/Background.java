package dev.weir.bench;

import java.io.IOException;
import java.util.Objects;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/** Work beside what is measured. */
final class Background<T> {
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
    try {
      return future.get();
    } catch (ExecutionException e) {
      Throwable cause = Objects.requireNonNullElse(e.getCause(), e);
      throw new IOException(cause.getMessage(), cause);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IOException("interrupted while waiting for work beside the measurement", e);
    }
  }
}
