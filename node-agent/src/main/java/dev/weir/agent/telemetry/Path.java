package dev.weir.agent.telemetry;

import java.util.Locale;

/** The way that a connection's bytes take. */
public enum Path {
  /** Kernel TCP from pod to pod. */
  DIRECT,
  /** From socket to socket by sk_msg. */
  JOINED,
  /** Through the agent. */
  AGENT,
  /** From agent to agent, encrypted, both ends known by certificate. */
  TUNNEL,
  /** Outside of the mesh's care: excluded, or open while no agent lived. */
  PLAIN;

  private final String label = name().toLowerCase(Locale.ROOT);

  /** As {@code /edges} shows it. */
  public String label() {
    return label;
  }
}
