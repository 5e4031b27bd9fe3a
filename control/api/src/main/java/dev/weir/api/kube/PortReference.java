package dev.weir.api.kube;

/**
 * A port by number or by the name that a container gives it.
 *
 * @param number 0 where it is named
 * @param name empty where it is a number
 */
public record PortReference(int number, String name) {
  public static PortReference of(int number) {
    return new PortReference(number, "");
  }

  public static PortReference of(String name) {
    return new PortReference(0, name);
  }

  @Override
  public String toString() {
    return name.isEmpty() ? Integer.toString(number) : name;
  }
}
