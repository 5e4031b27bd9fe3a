package dev.weir.agent.route;

/** The agent's ports inside a pod. */
public final class Ports {
  public static final int OUTBOUND = 15001;
  public static final int INBOUND = 15006;
  public static final int HBONE = 15008;
  public static final int DNS = 15053;

  private Ports() {}

  /** Whether an agent listens there, so that nobody else may be called there. */
  static boolean isOurs(int port) {
    return switch (port) {
      case OUTBOUND, INBOUND, HBONE, DNS -> true;
      default -> false;
    };
  }
}
