package dev.weir.agent.tunnel;

/**
 * Why a stream ended before its time.
 *
 * @param code the peer's code, or that of our own error
 * @param origin who ended it
 * @param unprocessed the peer has surely not acted on the stream: asking again elsewhere is safe
 *     (RFC 9113 section 8.7)
 * @param cause for the log
 */
public record Reset(ErrorCode code, Origin origin, boolean unprocessed, String cause) {
  enum Origin {
    /** The peer's RST_STREAM. */
    PEER,
    /** The peer broke a rule on this stream, and we reset it. */
    ERROR,
    /** The session ended under it. */
    SESSION
  }

  /** Whether it is no doing of either end: the tunnel under it ended. */
  public boolean isOfTunnel() {
    return origin == Origin.SESSION;
  }
}
