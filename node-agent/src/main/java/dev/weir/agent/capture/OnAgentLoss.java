package dev.weir.agent.capture;

/**
 * {@code weir.dev/on-agent-loss}: what the kernel does with new connections while no agent lives.
 */
public enum OnAgentLoss {
  CLOSED,
  OPEN
}
