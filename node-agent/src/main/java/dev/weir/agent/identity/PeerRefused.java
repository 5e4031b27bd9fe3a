package dev.weir.agent.identity;

import java.security.cert.CertificateException;
import java.util.Locale;
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
    return failure instanceof TlsFailure tls ? label(tls.kind()) : "tls";
  }

  private static String label(TlsFailure.Kind kind) {
    return switch (kind) {
      case NO_CERTIFICATE -> Cause.NO_CERTIFICATE.label();
      case VERSION -> "tls-version";
      case REFUSED_BY_PEER -> "refused-by-peer";
      case NOT_TLS -> "not-tls";
      case TIMEOUT -> "handshake-timeout";
      case CLOSED -> "closed";
      case REFUSED, OTHER -> "tls";
    };
  }
}
