package dev.weir.agent.identity;

import java.io.IOException;
import org.jspecify.annotations.Nullable;

/** Why a TLS connection came to nothing. */
public final class TlsFailure extends IOException {
  private static final long serialVersionUID = 1;

  /** The kinds that are told apart. */
  public enum Kind {
    /** The certificate of the peer is not taken. */
    REFUSED,
    /** The peer took ours for none that it wants. */
    REFUSED_BY_PEER,
    NO_CERTIFICATE,
    VERSION,
    NOT_TLS,
    TIMEOUT,
    CLOSED,
    OTHER
  }

  private final Kind kind;

  private TlsFailure(Kind kind, String message, @Nullable Throwable cause) {
    super(message, cause);
    this.kind = kind;
  }

  static TlsFailure refused(PeerRefused why) {
    return new TlsFailure(
        why.why() == PeerRefused.Cause.NO_CERTIFICATE ? Kind.NO_CERTIFICATE : Kind.REFUSED,
        String.valueOf(why.getMessage()),
        why);
  }

  /** BoringSSL tells its reasons by name in the message only. */
  static TlsFailure of(String message) {
    return new TlsFailure(kind(message), message, null);
  }

  private static Kind kind(String message) {
    if (message.contains("PEER_DID_NOT_RETURN_A_CERTIFICATE")) {
      return Kind.NO_CERTIFICATE;
    }
    if (message.contains("UNSUPPORTED_PROTOCOL")
        || message.contains("PROTOCOL_VERSION")
        || message.contains("WRONG_VERSION_NUMBER")) {
      return Kind.VERSION;
    }
    return message.contains("_ALERT_") ? Kind.REFUSED_BY_PEER : Kind.OTHER;
  }

  static TlsFailure notTls() {
    return new TlsFailure(Kind.NOT_TLS, "the peer does not speak TLS", null);
  }

  /** The peer has not finished its handshake in time. */
  public static TlsFailure timeout(long millis) {
    return new TlsFailure(Kind.TIMEOUT, "no handshake within " + millis + " ms", null);
  }

  /** The connection ended during the handshake. */
  public static TlsFailure closed(String why) {
    return new TlsFailure(Kind.CLOSED, why, null);
  }

  public Kind kind() {
    return kind;
  }

  @Override
  public synchronized Throwable fillInStackTrace() {
    // It says what a peer did, not where this program went wrong, and a hostile one does it often.
    return this;
  }
}
