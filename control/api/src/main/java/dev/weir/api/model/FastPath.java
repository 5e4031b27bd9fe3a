package dev.weir.api.model;

/** The way between two pods of one node, from the boldest to the most careful. */
public enum FastPath {
  JOINED,
  DIRECT,
  OFF;

  /** Two pods take the more careful of what each of them consents to. */
  public FastPath with(FastPath other) {
    return compareTo(other) >= 0 ? this : other;
  }
}
