package dev.weir.agent.identity;

import java.util.Locale;

/** Why a certificate did not come. */
record FetchFailure(Cause cause, String reason) {
  enum Cause {
    /** Nothing listens, or the connection broke. */
    CA_UNREACHABLE,
    /** It took longer than a request may. */
    CA_SLOW,
    /** The CA's own certificate is not what the root's file says, or there is no such file. */
    CA_NOT_TRUSTED,
    TOKEN_UNREADABLE,
    /** The CA does not accept the token. */
    TOKEN_REFUSED,
    /** The CA says that this node may not have this identity. */
    NOT_ALLOWED,
    /** The CA failed, or asks to come back. */
    CA_FAILED,
    /** What came is not a chain for the key that was sent. */
    BAD_ANSWER,
    WRONG_IDENTITY,
    /** Expired or not valid yet by this node's clock. */
    CLOCK,
    /** Key, certificate and roots do not make a handshake. */
    UNUSABLE;

    String label() {
      return name().toLowerCase(Locale.ROOT).replace('_', '-');
    }
  }

  /** What a failed call of the CA means for a certificate. */
  static FetchFailure of(LineFailure failure) {
    Cause cause =
        switch (failure.cause()) {
          case UNREACHABLE, NOT_TLS, HANDSHAKE -> Cause.CA_UNREACHABLE;
          case SLOW -> Cause.CA_SLOW;
          case ROOT_UNREADABLE, NOT_TRUSTED, WRONG_NAME -> Cause.CA_NOT_TRUSTED;
          case TOKEN_UNREADABLE -> Cause.TOKEN_UNREADABLE;
          case TOKEN_REFUSED -> Cause.TOKEN_REFUSED;
          case NOT_ALLOWED -> Cause.NOT_ALLOWED;
          case FAILED -> Cause.CA_FAILED;
        };
    return new FetchFailure(cause, failure.reason());
  }
}
