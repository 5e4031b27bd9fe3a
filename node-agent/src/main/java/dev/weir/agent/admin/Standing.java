package dev.weir.agent.admin;

/**
 * How far an agent is in its life.
 *
 * @param inCharge whether this agent, and not another one on the node, writes what both share
 * @param connections that go through it now
 * @param secondsLeft until what still drains is reset; 0 where it does not drain
 */
public record Standing(State state, boolean inCharge, int connections, long secondsLeft) {
  /** What it is at. */
  public enum State {
    STARTING,
    READY,
    DRAINING
  }
}
