package dev.weir.api.json;

/** Text that is not JSON: where, what stands there, what was expected. */
public final class JsonException extends RuntimeException {
  private static final long serialVersionUID = 1;

  JsonException(int offset, String message) {
    super("JSON at character %d: %s".formatted(offset, message));
  }
}
