package dev.weir.agent.capture;

import java.net.InetSocketAddress;
import org.jspecify.annotations.Nullable;

/** Original destinations of captured connections. Any thread. */
public interface Originals {
  /**
   * Takes what the client of an accepted outbound connection asked for; null where the kernel has
   * evicted it: then close the connection with a reset and count {@link Reason#ORIGINAL_LOST}.
   *
   * @param pod whose in-pod listener accepted
   * @param client where the accepted connection came from
   */
  @Nullable Original take(Pod pod, InetSocketAddress client);
}
