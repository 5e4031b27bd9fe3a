package dev.weir.api.model;

import java.net.InetAddress;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * One place where a service port is answered.
 *
 * @param address null where it is in another network: only a gateway is addressed then
 * @param port the workload's own; that of the service where it is in another network
 */
public record Endpoint(Workload workload, @Nullable InetAddress address, int port) {
  /**
   * The addresses where one workload answers for a service port; none if it doesn't, or is not
   * ready.
   */
  public static List<Endpoint> of(Service service, ServicePort port, Workload workload) {
    int target = workload.targetPort(service.key(), port.port());
    if (target == 0 || !service.takes(workload)) {
      return List.of();
    }
    List<Endpoint> endpoints = new ArrayList<>(workload.addresses().size());
    for (InetAddress address : workload.addresses()) {
      endpoints.add(new Endpoint(workload, address, target));
    }
    return endpoints;
  }

  /** The same of a workload in another network: at most one, whatever addresses it has there. */
  public static List<Endpoint> elsewhere(Service service, ServicePort port, Workload workload) {
    return workload.networkGateway() == null
            || workload.services().getOrDefault(service.key(), List.of()).stream()
                .noneMatch(each -> each.port() == port.port())
            || !service.takes(workload)
        ? List.of()
        : List.of(new Endpoint(workload, null, port.port()));
  }
}
