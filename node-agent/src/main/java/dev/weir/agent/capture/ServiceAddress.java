package dev.weir.agent.capture;

import java.net.InetAddress;
import java.util.List;

/**
 * One address and TCP port of a Service, as the kernel resolves it: {@code replace}d by {@link
 * ServiceTable}. Endpoints are of the address's own family and real pod ports; none means: refuse.
 *
 * @param agentDecides layer 7 or an algorithm that the kernel has not: the connection keeps the
 *     Service address and goes to the agent
 */
public record ServiceAddress(
    String namespace,
    String hostname,
    InetAddress address,
    int port,
    boolean agentDecides,
    List<Endpoint> endpoints) {

  public record Endpoint(InetAddress address, int port, int weight) {}

  public ServiceAddress {
    endpoints = List.copyOf(endpoints);
  }
}
