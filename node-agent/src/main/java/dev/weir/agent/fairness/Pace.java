package dev.weir.agent.fairness;

/** What a loop's thread asks of the kernel's scheduler. Called by that thread. */
public interface Pace {
  /** Whatever the loop does, its thread stays as it is. */
  Pace STEADY =
      new Pace() {
        @Override
        public void busy(boolean busy) {}

        @Override
        public long cpuNanos() {
          return 0;
        }
      };

  /** The loop has become busy, or has ceased to be. */
  void busy(boolean busy);

  /** How long the thread has had a processor. */
  long cpuNanos();
}
