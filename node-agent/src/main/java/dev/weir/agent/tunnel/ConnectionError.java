package dev.weir.agent.tunnel;

import java.util.Objects;
import org.jspecify.annotations.Nullable;

/** Ends the session: becomes GOAWAY with this code and text (RFC 9113 section 5.4.1). */
final class ConnectionError extends Exception {
  private final ErrorCode code;
  private final @Nullable Abuse abuse;

  ConnectionError(ErrorCode code, String cause) {
    this(code, cause, null);
  }

  ConnectionError(Abuse abuse) {
    this(ErrorCode.ENHANCE_YOUR_CALM, abuse.text(), abuse);
  }

  private ConnectionError(ErrorCode code, String cause, @Nullable Abuse abuse) {
    // What the peer did wrong is in the text; where our parser stood costs time and tells nobody.
    super(cause, null, false, false);
    this.code = code;
    this.abuse = abuse;
  }

  ErrorCode code() {
    return code;
  }

  String text() {
    return Objects.requireNonNullElse(getMessage(), code.name());
  }

  @Nullable Abuse abuse() {
    return abuse;
  }
}
