package dev.weir.agent.identity;

import io.grpc.Status;
import io.netty.handler.ssl.NotSslRecordException;
import java.io.IOException;
import java.security.cert.CertificateException;
import java.util.Locale;
import javax.net.ssl.SSLException;

/** Why a call of the control plane came to nothing, for people and for counters. */
public record LineFailure(Cause cause, String reason) {
  /** The causes that are told apart. */
  public enum Cause {
    /** Nothing listens, or the connection broke. */
    UNREACHABLE,
    /** It took longer than a call may. */
    SLOW,
    /** What answers does not speak TLS. */
    NOT_TLS,
    /** No TLS connection came about, for another reason. */
    HANDSHAKE,
    /** There is no root by which to judge. */
    ROOT_UNREADABLE,
    /** The certificate of who answers leads to no trusted root, or is not in force. */
    NOT_TRUSTED,
    /** The certificate is another one's. */
    WRONG_NAME,
    TOKEN_UNREADABLE,
    /** The control plane does not take the token. */
    TOKEN_REFUSED,
    /** It knows who calls, and says no. */
    NOT_ALLOWED,
    /** It failed, ended the call, or asks to come back. */
    FAILED;

    /** As counters spell it. */
    public String label() {
      return name().toLowerCase(Locale.ROOT).replace('_', '-');
    }
  }

  /** That the file of the roots cannot be used, and none was before. */
  static final class NoRoot extends CertificateException {
    private static final long serialVersionUID = 1;

    NoRoot(String message, Throwable cause) {
      super(message, cause);
    }
  }

  /** That the file of the token cannot be used. */
  static final class NoToken extends IOException {
    private static final long serialVersionUID = 1;

    NoToken(String message) {
      super(message);
    }
  }

  /**
   * Tells what lies behind a failed call.
   *
   * @param who was called, as the reason names it
   */
  public static LineFailure of(Throwable failure, String who) {
    Status status = Status.fromThrowable(failure);
    String said = status.getDescription() == null ? "" : ": " + status.getDescription();
    Throwable root = failure;
    SSLException tls = null;
    for (Throwable each = failure; each != null; each = each.getCause()) {
      root = each;
      switch (each) {
        case NoRoot none -> {
          return new LineFailure(Cause.ROOT_UNREADABLE, String.valueOf(none.getMessage()));
        }
        case NoToken none -> {
          return new LineFailure(Cause.TOKEN_UNREADABLE, String.valueOf(none.getMessage()));
        }
        case PeerRefused refused -> {
          return new LineFailure(
              refused.why() == PeerRefused.Cause.WRONG_IDENTITY
                  ? Cause.WRONG_NAME
                  : Cause.NOT_TRUSTED,
              "%s's certificate is not taken (%s): %s"
                  .formatted(who, refused.why().label(), refused.getMessage()));
        }
        case NotSslRecordException _ -> {
          return new LineFailure(
              Cause.NOT_TLS, who + " does not speak TLS on that port; is it the right one?");
        }
        case SSLException one -> tls = one;
        default -> {
          // What says more lies below it, or there is no more.
        }
      }
    }
    return switch (status.getCode()) {
      case UNAUTHENTICATED ->
          new LineFailure(Cause.TOKEN_REFUSED, who + " refused the token" + said);
      case PERMISSION_DENIED -> new LineFailure(Cause.NOT_ALLOWED, who + " refused" + said);
      case DEADLINE_EXCEEDED -> new LineFailure(Cause.SLOW, who + " did not answer in time" + said);
      case UNAVAILABLE -> {
        if (tls != null) {
          yield new LineFailure(
              Cause.HANDSHAKE, who + " is not reachable by TLS: " + tls.getMessage());
        }
        yield root.equals(failure)
            ? new LineFailure(Cause.FAILED, who + " cannot serve" + said)
            : new LineFailure(Cause.UNREACHABLE, who + " is not reachable: " + root.getMessage());
      }
      default -> new LineFailure(Cause.FAILED, who + " said " + status.getCode() + said);
    };
  }
}
