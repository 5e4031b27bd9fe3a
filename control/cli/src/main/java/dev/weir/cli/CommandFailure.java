package dev.weir.cli;

/** Why a command could not do its work: what, where, and what to do about it, in one line. */
final class CommandFailure extends RuntimeException {
  private static final long serialVersionUID = 1;

  private final int status;

  CommandFailure(String message) {
    this(message, 1);
  }

  CommandFailure(String message, int status) {
    super(message);
    this.status = status;
  }

  int status() {
    return status;
  }
}
