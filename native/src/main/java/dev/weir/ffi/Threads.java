package dev.weir.ffi;

/** How the kernel schedules threads. */
public interface Threads {
  /**
   * Asks that the calling thread gets its share of a processor in slices of this length: it waits
   * less for each, and has no more in all. Before Linux 6.12 it changes nothing.
   *
   * @return whether the kernel took it
   */
  boolean slice(long nanos);
}
