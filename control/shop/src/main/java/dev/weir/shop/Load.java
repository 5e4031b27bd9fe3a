package dev.weir.shop;

import java.io.IOException;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/**
 * A steady visitor: so many pages a second over a few threads, each answer counted as served or
 * failed.
 */
final class Load {
  private static final int VISITORS = 4;
  private static final long PATIENCE_NANOS = 60_000_000_000L;

  private final Upstream front;
  private final long intervalNanos;
  private final AtomicLong served = new AtomicLong();
  private final AtomicLong failed = new AtomicLong();
  private volatile boolean open;
  private volatile boolean stopping;
  private volatile @Nullable String lastFailure;

  Load(Upstream front, int perSecond) {
    this.front = front;
    this.intervalNanos = 1_000_000_000L * VISITORS / perSecond;
  }

  /**
   * Waits for the shop to open, since what comes before that is not the mesh's doing; then visits
   * until stopped.
   */
  void run() {
    long deadline = System.nanoTime() + PATIENCE_NANOS;
    while (!open && !stopping) {
      try {
        front.get("/ready");
        open = true;
      } catch (IOException e) {
        if (System.nanoTime() > deadline) {
          lastFailure = "the shop did not open: " + e.getMessage();
          failed.incrementAndGet();
          Main.log(lastFailure);
          deadline = System.nanoTime() + PATIENCE_NANOS;
        }
        LockSupport.parkNanos(50_000_000L);
      }
    }
    for (int visitor = 0; visitor < VISITORS; visitor++) {
      Thread.ofVirtual().start(this::visit);
    }
  }

  private void visit() {
    long next = System.nanoTime();
    while (!stopping) {
      try {
        front.get("/");
        served.incrementAndGet();
      } catch (IOException e) {
        lastFailure = e.getMessage();
        failed.incrementAndGet();
        Main.log("failed: " + e.getMessage());
      }
      next += intervalNanos;
      long wait = next - System.nanoTime();
      if (wait > 0) {
        LockSupport.parkNanos(wait);
      } else {
        // Behind: skip what was missed rather than make up for it in a burst.
        next = System.nanoTime();
      }
    }
  }

  void stop() {
    stopping = true;
  }

  boolean isOpen() {
    return open;
  }

  /** One line, read by the demo. */
  String counts() {
    String failure = lastFailure;
    return "served=%d failed=%d open=%b%s"
        .formatted(
            served.get(), failed.get(), open, failure == null ? "" : " last-failure=" + failure);
  }
}
