package dev.weir.agent.capture;

import java.net.InetSocketAddress;
import org.jspecify.annotations.Nullable;

/**
 * What policy says of connections that stay in the kernel. Asked on the capture thread, and answers
 * with what is in force at that moment, so that a verdict earned before a change is not written
 * after it.
 */
public interface Admission {
  /** Whether every connection of the identity to the pod's port may pass without being judged. */
  boolean remembers(String identity, Pod destination, int port);

  /**
   * Whether one connection may go on.
   *
   * @param source null where the client's pod is no longer known
   */
  boolean admits(
      @Nullable Pod source, Pod destination, InetSocketAddress client, InetSocketAddress server);

  /** One that was not admitted any more has been ended. */
  void ended(
      @Nullable Pod source, Pod destination, InetSocketAddress client, InetSocketAddress server);
}
