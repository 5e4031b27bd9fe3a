package dev.weir.agent.relay;

import dev.weir.agent.config.MeshView;
import dev.weir.agent.telemetry.Party;
import dev.weir.agent.telemetry.Refusal;
import java.net.InetSocketAddress;
import org.jspecify.annotations.Nullable;

/**
 * A client that waits for the server side of its connection: a socket that a listener accepted, or
 * a stream that came through a tunnel. One event loop.
 */
interface Arrival {
  /** The client's own address, as the server is to see it. */
  InetSocketAddress client();

  /** Who that is, as far as it is known. */
  Party party(MeshView view);

  /** The SPIFFE id that it has proven; null where it came as plaintext. */
  @Nullable String principal();

  /** Whether the client still waits. */
  boolean isWaiting();

  /** This client as an end of its relay; bytes move only after {@link #begin}. */
  End end(Relay relay);

  /** The server has answered: the client may speak. */
  void begin(Relay relay);

  /** Nobody will serve it. */
  void refuse(Refusal reason);
}
