package dev.weir.agent.capture;

/**
 * Why the kernel's programs (or the agent, for what they gave it) refused; numbers as in {@code
 * enum weir_reason}.
 */
public enum Reason {
  NO_AGENT(1, "no-agent"),
  NO_ENDPOINT(2, "no-endpoint"),
  ESCAPE(3, "escape"),
  ORIGINAL_LOST(4, "original-lost"),
  ASSIGN_FAILED(5, "assign-failed"),
  MAP_FULL(6, "map-full"),
  MALFORMED(7, "malformed"),
  SELF_PORT(8, "self-port"),
  DNS_NO_AGENT(9, "dns-no-agent"),
  /** An event, not a connection, was lost: the ring was full. */
  EVENT_LOST(10, "event-lost"),
  /** A client outside called from the port of a delivery to the same server; it tries again. */
  PORT_TAKEN(11, "port-taken"),
  UNKNOWN(-1, "unknown");

  private static final Reason[] ALL = values();

  private final int number;
  private final String label;

  Reason(int number, String label) {
    this.number = number;
    this.label = label;
  }

  public int number() {
    return number;
  }

  /** As status and metrics show it. */
  public String label() {
    return label;
  }

  /** {@link #UNKNOWN} for a number that a newer program may write. */
  public static Reason of(int number) {
    for (Reason reason : ALL) {
      if (reason.number == number) {
        return reason;
      }
    }
    return UNKNOWN;
  }
}
