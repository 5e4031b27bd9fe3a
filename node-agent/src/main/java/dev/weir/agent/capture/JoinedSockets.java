package dev.weir.agent.capture;

/** Which of the agent's own sockets are joined with an application's. Any thread. */
public interface JoinedSockets {
  /**
   * Whether the kernel puts bytes into this socket past TCP, which its TCP queue knows nothing of.
   * A socket is joined before it can be accepted, or connected, and stays it.
   *
   * @param cookie its SO_COOKIE
   */
  boolean contains(long cookie);

  /**
   * Whether any in a pod may be: it asks for that, or has asked while this agent knew it. True
   * before the kernel joins the first. Costs no call.
   */
  boolean mayBeIn(Pod pod);
}
