package dev.weir.agent.capture;

import java.util.List;

/**
 * Whether sockets may be joined on this node, and what the self-test found.
 *
 * @param reason empty while on
 */
public record Joining(State state, String reason, List<Check> checks) {
  public enum State {
    /** The self-test has not ended: joining is off so far. */
    TESTING,
    ON,
    OFF
  }

  /** One hazard of joining, tried on this kernel. */
  public record Check(String name, boolean passed, String detail, long millis) {}

  public Joining {
    checks = List.copyOf(checks);
  }
}
