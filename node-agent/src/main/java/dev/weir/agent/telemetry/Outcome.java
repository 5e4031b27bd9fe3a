package dev.weir.agent.telemetry;

/** How a connection ended, as {@code response_flags} tells it. */
public enum Outcome {
  /** By its ends: FIN or RST of either. */
  ENDED("-"),
  DENIED("DENY"),
  /** For what its pod had already. */
  OVERLOAD("OVERLOAD"),
  CONNECT_FAILED("CONNECT"),
  TLS_FAILED("TLS_FAILURE"),
  TUNNEL_FAILED("H2_HANDSHAKE_FAILURE");

  private final String flags;

  Outcome(String flags) {
    this.flags = flags;
  }

  public String flags() {
    return flags;
  }
}
