package dev.weir.agent.config;

import dev.weir.agent.capture.ServiceAddress;
import dev.weir.api.model.Endpoint;
import dev.weir.api.model.Service;
import dev.weir.api.model.ServicePort;
import dev.weir.api.model.Workload;
import java.net.Inet4Address;
import java.net.InetAddress;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * One Service key and the workloads that answer for it; either may be known before the other.
 * Immutable but for two caches, computed at the first question: two threads may both compute, and
 * both come to the same lists of final fields.
 */
final class Members {
  private static final Members NONE = new Members(null, List.of());

  private final @Nullable Service service;
  private final List<Workload> workloads;
  private @Nullable List<List<Endpoint>> endpointsByPort;
  private @Nullable List<ServiceAddress> kernelAddresses;

  private Members(@Nullable Service service, List<Workload> workloads) {
    this.service = service;
    this.workloads = workloads;
  }

  static Members none() {
    return NONE;
  }

  @Nullable Service service() {
    return service;
  }

  List<Workload> workloads() {
    return workloads;
  }

  boolean isEmpty() {
    return service == null && workloads.isEmpty();
  }

  Members withService(@Nullable Service next) {
    return new Members(next, workloads);
  }

  Members withWorkload(Workload workload) {
    List<Workload> next = without(workload.uid());
    next.add(workload);
    // In one order wherever the workload came in, so that equal meshes choose and print alike.
    next.sort(Comparator.comparing(Workload::uid));
    return new Members(service, List.copyOf(next));
  }

  Members withoutWorkload(String uid) {
    return new Members(service, List.copyOf(without(uid)));
  }

  List<Endpoint> endpoints(int servicePort) {
    Service known = service;
    if (known == null) {
      return List.of();
    }
    List<List<Endpoint>> all = endpointsByPort;
    if (all == null) {
      List<List<Endpoint>> computed = new ArrayList<>(known.ports().size());
      for (ServicePort port : known.ports()) {
        List<Endpoint> endpoints = new ArrayList<>();
        for (Workload workload : workloads) {
          endpoints.addAll(Endpoint.of(known, port, workload));
        }
        computed.add(List.copyOf(endpoints));
      }
      all = List.copyOf(computed);
      endpointsByPort = all;
    }
    for (int i = 0; i < all.size(); i++) {
      if (known.ports().get(i).port() == servicePort) {
        return all.get(i);
      }
    }
    return List.of();
  }

  /** What the kernel is told: one entry for each address and port, endpoints of the same family. */
  List<ServiceAddress> kernelAddresses() {
    Service known = service;
    if (known == null || known.headless() || !known.externalName().isEmpty()) {
      return List.of();
    }
    List<ServiceAddress> all = kernelAddresses;
    if (all == null) {
      List<ServiceAddress> computed = new ArrayList<>();
      for (InetAddress address : known.addresses()) {
        boolean v4 = address instanceof Inet4Address;
        for (ServicePort port : known.ports()) {
          List<ServiceAddress.Endpoint> endpoints = new ArrayList<>();
          for (Endpoint endpoint : endpoints(port.port())) {
            if (endpoint.address() instanceof Inet4Address == v4) {
              endpoints.add(
                  new ServiceAddress.Endpoint(
                      endpoint.address(),
                      endpoint.port(),
                      Math.max(1, endpoint.workload().capacity())));
            }
          }
          computed.add(
              new ServiceAddress(
                  known.namespace(),
                  known.hostname(),
                  address,
                  port.port(),
                  known.balancing().byClient(),
                  endpoints));
        }
      }
      all = List.copyOf(computed);
      kernelAddresses = all;
    }
    return all;
  }

  private List<Workload> without(String uid) {
    List<Workload> next = new ArrayList<>(workloads.size() + 1);
    for (Workload each : workloads) {
      if (!each.uid().equals(uid)) {
        next.add(each);
      }
    }
    return next;
  }
}
