package dev.weir.agent.telemetry;

import java.util.List;

/** The door for whoever carries connections. Any event loop. */
public interface Connections {
  /** A connection is established end to end; the meter belongs to it until it is closed. */
  ConnectionMeter opened(ConnectionFacts facts);

  /**
   * A captured connection that came to nothing: refused by us, or its destination could not be
   * reached.
   */
  void failed(ConnectionFacts facts, Outcome outcome, String error);

  /** A connection that is let through, and would not be if these policies were in force. */
  void wouldDeny(ConnectionFacts facts, List<String> policies);
}
