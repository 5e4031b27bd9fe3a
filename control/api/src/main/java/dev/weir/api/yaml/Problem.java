package dev.weir.api.yaml;

/** What is wrong, and where: one line for the user. */
public record Problem(Location where, String message) {
  @Override
  public String toString() {
    return where + ": " + message;
  }
}
