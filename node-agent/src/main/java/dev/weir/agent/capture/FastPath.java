package dev.weir.agent.capture;

/**
 * {@code weir.dev/fast-path}; of two pods the more careful value holds, in the order off, direct,
 * joined.
 */
public enum FastPath {
  OFF,
  DIRECT,
  JOINED;

  /** What holds between two pods. */
  public FastPath moreCareful(FastPath other) {
    return ordinal() <= other.ordinal() ? this : other;
  }
}
