package dev.weir.agent.enrolment;

/** What came over the enroller's socket is not the protocol, or the connection ended. */
final class ZdsException extends RuntimeException {
  private static final long serialVersionUID = 1;

  ZdsException(String message) {
    super(message);
  }
}
