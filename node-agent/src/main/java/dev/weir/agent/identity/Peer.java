package dev.weir.agent.identity;

import dev.weir.api.model.SpiffeId;
import io.netty.handler.ssl.SslHandler;
import java.security.cert.Certificate;
import java.security.cert.X509Certificate;
import javax.net.ssl.SSLPeerUnverifiedException;

/** Who is at the other end of a finished handshake. */
public final class Peer {
  private Peer() {}

  /** Throws where h2 was not agreed, too: BoringSSL goes on without. */
  public static SpiffeId of(SslHandler finished) throws PeerRefused {
    if (!Tls.PROTOCOL.equals(finished.applicationProtocol())) {
      throw new PeerRefused(
          PeerRefused.Cause.NO_ALPN, "the peer did not agree to HTTP/2 (ALPN h2)");
    }
    return SpiffeSan.of(certificate(finished));
  }

  public static X509Certificate certificate(SslHandler finished) throws PeerRefused {
    try {
      Certificate[] chain = finished.engine().getSession().getPeerCertificates();
      if (chain.length > 0 && chain[0] instanceof X509Certificate leaf) {
        return leaf;
      }
      throw new PeerRefused(PeerRefused.Cause.NO_CERTIFICATE, "the peer showed no certificate");
    } catch (SSLPeerUnverifiedException e) {
      throw new PeerRefused(PeerRefused.Cause.NO_CERTIFICATE, "the peer showed no certificate", e);
    }
  }
}
