package dev.weir.api.model;

import java.net.InetAddress;
import java.util.ArrayList;
import java.util.List;

/** One place where a service port is answered. */
public record Endpoint(Workload workload, InetAddress address, int port) {
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
}
