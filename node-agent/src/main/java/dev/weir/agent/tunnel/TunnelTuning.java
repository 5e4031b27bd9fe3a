package dev.weir.agent.tunnel;

import java.time.Duration;

/** How tunnels behave; every wait has an end. */
final class TunnelTuning {
  /** As long as a relay waits for its last endpoint. */
  static final Duration CONNECT = Duration.ofSeconds(5);

  /** From the request to its answer: the other side may itself try for 5 s to connect. */
  static final Duration ANSWER = Duration.ofSeconds(10);

  /** A tunnel that nobody uses; ztunnel keeps them for 300 s. */
  static final Duration IDLE = Duration.ofSeconds(60);

  /**
   * Streams of one tunnel before another one is opened to the same pod. ztunnel never sends more
   * than 100 down one connection.
   */
  static final int STREAMS = 100;

  /** Connections that may wait for one handshake. */
  static final int WAITING = 4096;

  private TunnelTuning() {}
}
