package dev.weir.agent.fairness;

/**
 * What one pod may have, and all of them together.
 *
 * @param connections through the agent at once, those included that are only being made
 * @param streams in tunnels at once, opened by the pod or to it
 * @param handshakes TLS handshakes a second; after a quiet second as many at once
 * @param podBufferBytes held for the pod because somebody does not read
 * @param bufferBytes held for all pods together
 */
public record Limits(
    int connections, int streams, int handshakes, long podBufferBytes, long bufferBytes) {
  private static final int CONNECTIONS = 20_000;
  private static final int STREAMS = 20_000;
  private static final int HANDSHAKES = 2_000;

  public Limits {
    if (connections < 1 || streams < 1 || handshakes < 1 || podBufferBytes < 1 || bufferBytes < 1) {
      throw new IllegalArgumentException(
          "limits: %d connections, %d streams, %d handshakes, %d and %d bytes (expected: each > 0)"
              .formatted(connections, streams, handshakes, podBufferBytes, bufferBytes));
    }
  }

  /**
   * What is left of direct memory is for reads under way, and for chunks that no buffer fills; a
   * pod alone leaves a quarter to the others.
   */
  public static Limits standard(long directMemoryBytes) {
    long all = directMemoryBytes * 5 / 8;
    return new Limits(CONNECTIONS, STREAMS, HANDSHAKES, all * 3 / 4, all);
  }
}
