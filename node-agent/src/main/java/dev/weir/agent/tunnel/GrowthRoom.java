package dev.weir.agent.tunnel;

/**
 * By how much the windows of one tunnel's streams may be wider than they began, all together: the
 * kernel's buffers swallow the beginning of what a slow reader asks for so fast that every window
 * would grow, and a pod with many such readers would hold more than it may. Owned by the loop.
 */
final class GrowthRoom {
  private int left;

  GrowthRoom(int bytes) {
    this.left = bytes;
  }

  /** So much of what is wanted as there is. */
  int take(int wanted) {
    int taken = Math.min(wanted, left);
    left -= taken;
    return taken;
  }

  void giveBack(int bytes) {
    left += bytes;
  }
}
