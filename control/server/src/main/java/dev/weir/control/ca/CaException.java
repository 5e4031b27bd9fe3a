package dev.weir.control.ca;

/** Files or options that make no certificate authority; the message is one line for the user. */
public final class CaException extends RuntimeException {
  private static final long serialVersionUID = 1;

  CaException(String message) {
    super(message);
  }

  CaException(String message, Throwable cause) {
    super(message, cause);
  }
}
