package dev.weir.agent.telemetry;

/** Whose side this node reports: that of its pods. */
public enum Reporter {
  SOURCE,
  DESTINATION,
  /** Client and server are both enrolled pods of this node. */
  BOTH
}
