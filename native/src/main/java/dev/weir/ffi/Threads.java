package dev.weir.ffi;

import org.jspecify.annotations.Nullable;

/** How the kernel schedules the calling thread. */
public interface Threads {
  /** How it is scheduled; null where the kernel does not say. */
  @Nullable Scheduling scheduling();

  /**
   * Asks for another way.
   *
   * @return whether the kernel took it: to become less nice needs CAP_SYS_NICE
   */
  boolean schedule(Scheduling wanted);

  /** How long it has had a processor. */
  long cpuNanos();
}
