package dev.weir.agent.identity;

import java.util.Locale;

/** Why a certificate did not come. */
record FetchFailure(Cause cause, String reason) {
  enum Cause {
    /** Nothing listens, or the connection broke. */
    CA_UNREACHABLE,
    /** It took longer than a request may. */
    CA_SLOW,
    /** The CA's own certificate is not what {@code --ca-root} says. */
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
}
