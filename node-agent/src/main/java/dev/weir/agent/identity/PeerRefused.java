package dev.weir.agent.identity;

import io.netty.handler.ssl.NotSslRecordException;
import io.netty.handler.ssl.SslHandshakeTimeoutException;
import java.nio.channels.ClosedChannelException;
import java.security.cert.CertificateException;
import java.util.Locale;
import javax.net.ssl.SSLException;
import org.jspecify.annotations.Nullable;

/** Why a peer's certificate is not taken. */
public final class PeerRefused extends CertificateException {
  private static final long serialVersionUID = 1;

  /** The reasons. */
  public enum Cause {
    /** It leads to no root that is trusted. */
    UNTRUSTED,
    EXPIRED,
    NOT_YET_VALID,
    /** A CA's, or of a kind that may not act as client or server. */
    WRONG_USAGE,
    /** It cannot be read. */
    MALFORMED,
    MALFORMED_SAN,
    NO_SPIFFE_ID,
    TWO_SPIFFE_IDS,
    WRONG_TRUST_DOMAIN,
    /** Well-known, but not who was called. */
    WRONG_IDENTITY,
    REVOKED,
    NO_CERTIFICATE,
    /** It did not agree to speak HTTP/2. */
    NO_ALPN;

    /** As counters spell it. */
    public String label() {
      return name().toLowerCase(Locale.ROOT).replace('_', '-');
    }
  }

  private final Cause why;

  PeerRefused(Cause why, String message) {
    super(message);
    this.why = why;
  }

  PeerRefused(Cause why, String message, @Nullable Throwable cause) {
    super(message, cause);
    this.why = why;
  }

  public Cause why() {
    return why;
  }

  /** The refusal behind a failed handshake; null where it failed otherwise. */
  public static @Nullable PeerRefused of(@Nullable Throwable failure) {
    for (Throwable each = failure; each != null; each = each.getCause()) {
      if (each instanceof PeerRefused refused) {
        return refused;
      }
    }
    return null;
  }

  /** A few fixed words for any failed handshake, fit for a counter's label. */
  public static String label(@Nullable Throwable failure) {
    PeerRefused refused = of(failure);
    if (refused != null) {
      return refused.why().label();
    }
    for (Throwable each = failure; each != null; each = each.getCause()) {
      switch (each) {
        case SslHandshakeTimeoutException _ -> {
          return "handshake-timeout";
        }
        case NotSslRecordException _ -> {
          return "not-tls";
        }
        case ClosedChannelException _ -> {
          return "closed";
        }
        case SSLException tls -> {
          return ofMessage(String.valueOf(tls.getMessage()));
        }
        default -> {
          // What lies below it tells more.
        }
      }
    }
    return "tls";
  }

  /** BoringSSL tells its reasons by name in the message only. */
  private static String ofMessage(String message) {
    if (message.contains("PEER_DID_NOT_RETURN_A_CERTIFICATE")) {
      return Cause.NO_CERTIFICATE.label();
    }
    if (message.contains("UNSUPPORTED_PROTOCOL")
        || message.contains("PROTOCOL_VERSION")
        || message.contains("WRONG_VERSION_NUMBER")) {
      return "tls-version";
    }
    if (message.contains("_ALERT_")) {
      return "refused-by-peer";
    }
    return "tls";
  }
}
