package dev.weir.control.source;

/** A source that cannot be opened; the message says what and what to do. */
public final class SourceException extends RuntimeException {
  public SourceException(String message, Throwable cause) {
    super(message, cause);
  }
}
