package dev.weir.agent.capture;

import org.jspecify.annotations.Nullable;

/** What capture cannot do: what, where, and what to do about it. */
public final class CaptureException extends RuntimeException {
  private static final long serialVersionUID = 1;

  CaptureException(String message) {
    super(message);
  }

  CaptureException(String message, @Nullable Throwable cause) {
    super(message, cause);
  }
}
