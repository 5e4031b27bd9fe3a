package dev.weir.agent.tunnel;

import dev.weir.agent.identity.PeerRefused;
import dev.weir.agent.telemetry.Refusal;
import java.util.Set;
import java.util.TreeSet;

/**
 * Why a handshake that we began came to nothing.
 *
 * @param result as it is counted
 * @param reason why the connection that wanted it is refused
 * @param detail for the log
 */
record HandshakeFailure(Tunnels.Handshake result, Refusal reason, String detail) {
  /**
   * @param whom where it was tried
   * @param expected who that should have been
   */
  static HandshakeFailure of(Throwable why, String whom, Set<String> expected) {
    PeerRefused wrong = PeerRefused.of(why);
    if (wrong == null) {
      return new HandshakeFailure(
          Tunnels.Handshake.TLS_FAILED,
          Refusal.TUNNEL_FAILED,
          "TLS with %s: %s (%s)".formatted(whom, PeerRefused.label(why), why.getMessage()));
    }
    Tunnels.Handshake result = Tunnels.Handshake.of(wrong);
    return new HandshakeFailure(
        result,
        result == Tunnels.Handshake.REVOKED ? Refusal.REVOKED : Refusal.WRONG_PEER,
        "%s should be %s: %s"
            .formatted(whom, String.join(" or ", new TreeSet<>(expected)), wrong.getMessage()));
  }
}
