package dev.weir.api.model;

/** What becomes of a pod's new connections while its node has no living agent. */
public enum OnAgentLoss {
  CLOSED,
  OPEN
}
