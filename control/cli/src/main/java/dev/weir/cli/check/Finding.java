package dev.weir.cli.check;

/** What a probe found: the state, and the evidence. */
public record Finding(State state, String detail) {
  /** How a feature stands. */
  public enum State {
    /** There, and it worked when tried. */
    OK,
    /** Not there; Weir does without, in the way the hint tells. */
    LIMITED,
    /** Not there, and Weir needs it. */
    MISSING,
    /** How things are: nothing to act on. */
    NOTE
  }

  static Finding ok(String detail) {
    return new Finding(State.OK, detail);
  }

  static Finding missing(String detail) {
    return new Finding(State.MISSING, detail);
  }

  static Finding limited(String detail) {
    return new Finding(State.LIMITED, detail);
  }

  static Finding note(String detail) {
    return new Finding(State.NOTE, detail);
  }
}
