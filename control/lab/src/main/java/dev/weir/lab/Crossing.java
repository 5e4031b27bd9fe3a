package dev.weir.lab;

import dev.weir.ffi.Fd;
import dev.weir.ffi.Kernel;
import dev.weir.ffi.KernelException;
import dev.weir.ffi.Namespaces;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/**
 * Makes sockets in other network namespaces. A socket stays where socket(2) was called, so only
 * that call crosses over, on one platform thread; whoever asked connects and reads wherever it
 * likes.
 */
final class Crossing implements AutoCloseable {
  private final Namespaces namespaces = Kernel.instance().namespaces();
  private final ExecutorService thread =
      Executors.newSingleThreadExecutor(Thread.ofPlatform().name("crossing").factory());

  /** What {@code work} returns when it is run inside the named network namespace. */
  <T> T in(String netns, Callable<T> work) {
    Path path = Paths.netns(netns);
    try {
      return thread
          .submit(() -> {
            try (Fd fd = namespaces.open(path)) {
              return namespaces.inNetwork(
                  fd,
                  () -> {
                    try {
                      return work.call();
                    } catch (Exception e) {
                      throw new LabException(netns + ": " + e.getMessage(), e);
                    }
                  });
            }
          })
          .get(10, TimeUnit.SECONDS);
    } catch (ExecutionException e) {
      throw switch (e.getCause()) {
        case LabException known -> known;
        case KernelException kernel -> new LabException(path + ": " + kernel.getMessage(), kernel);
        case null, default -> new LabException(path + ": cannot be entered: " + e.getCause(), e);
      };
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new LabException("interrupted", e);
    } catch (TimeoutException e) {
      throw new LabException(path + ": not entered within 10 s", e);
    }
  }

  @Override
  public void close() {
    thread.shutdownNow();
  }
}
