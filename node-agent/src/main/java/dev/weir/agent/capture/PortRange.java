package dev.weir.agent.capture;

/** Ports from first to last, both included. */
public record PortRange(int first, int last) {
  public PortRange {
    if (first < 1 || last > 65535 || first > last) {
      throw new IllegalArgumentException(
          "port range: %d-%d (expected: 1 <= first <= last <= 65535)".formatted(first, last));
    }
  }

  public boolean contains(int port) {
    return port >= first && port <= last;
  }
}
