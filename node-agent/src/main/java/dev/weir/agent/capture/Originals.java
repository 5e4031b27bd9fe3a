package dev.weir.agent.capture;

import org.jspecify.annotations.Nullable;

/** Original destinations of captured connections. Any thread. */
public interface Originals {
  /**
   * Takes what the client of an accepted outbound connection asked for; null where the kernel has
   * evicted it: then close the connection with a reset and count {@link Reason#ORIGINAL_LOST}.
   *
   * @param pod whose in-pod listener accepted
   * @param port the client's local port, that is the accepted connection's remote port
   * @param v6 whether the connection came over ::1; a v4-mapped client counts as IPv4
   */
  @Nullable Original take(Pod pod, int port, boolean v6);
}
