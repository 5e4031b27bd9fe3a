package dev.weir.agent.tunnel;

import java.util.concurrent.atomic.AtomicLong;

/**
 * By how much the windows of one pod's streams may be wider than they began, all together: the
 * kernel's buffers swallow the beginning of what a slow reader asks for so fast that every window
 * would grow, and a pod with many such readers would hold more than it may. Any thread: it is asked
 * once in many frames.
 */
final class GrowthRoom {
  private final AtomicLong left;

  GrowthRoom(long bytes) {
    this.left = new AtomicLong(bytes);
  }

  /** So much of what is wanted as there is. */
  int take(int wanted) {
    long before;
    long taken;
    do {
      before = left.get();
      taken = Math.min(wanted, before);
    } while (taken > 0 && !left.compareAndSet(before, before - taken));
    return (int) taken;
  }

  void giveBack(int bytes) {
    if (bytes > 0) {
      left.addAndGet(bytes);
    }
  }
}
