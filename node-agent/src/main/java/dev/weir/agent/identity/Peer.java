package dev.weir.agent.identity;

import dev.weir.api.model.SpiffeId;
import java.security.cert.X509Certificate;

/**
 * Who is at the other end of a finished handshake.
 *
 * @param certificate that was shown for it, and judged
 */
public record Peer(SpiffeId id, X509Certificate certificate) {}
