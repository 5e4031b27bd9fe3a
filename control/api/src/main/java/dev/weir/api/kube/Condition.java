package dev.weir.api.kube;

/** One line of an object's status. */
public record Condition(String type, boolean met, String reason, String message) {
  public static final String READY = "Ready";

  public static Condition of(String type, boolean met) {
    return new Condition(type, met, "", "");
  }
}
