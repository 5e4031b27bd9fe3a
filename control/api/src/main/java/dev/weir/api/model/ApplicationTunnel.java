package dev.weir.api.model;

/**
 * How a program in the pod hears who calls it through a tunnel: by a PROXY protocol header, version
 * 2, on a connection over loopback.
 *
 * @param port where the program listens; 0 for the port that was called
 */
public record ApplicationTunnel(int port) {
  public ApplicationTunnel {
    if (port < 0 || port > 65535) {
      throw new IllegalArgumentException(
          "application tunnel to port " + port + " (expected: 0 to 65535)");
    }
  }
}
