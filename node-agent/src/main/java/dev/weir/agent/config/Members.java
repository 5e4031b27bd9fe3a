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
  private static final Members NONE = new Members(null, List.of(), List.of());

  private final @Nullable Service service;
  private final List<Workload> workloads;
  private final List<Workload> elsewhere;
  private @Nullable List<List<Endpoint>> endpointsByPort;
  private @Nullable List<ServiceAddress> kernelAddresses;

  private Members(@Nullable Service service, List<Workload> workloads, List<Workload> elsewhere) {
    this.service = service;
    this.workloads = workloads;
    this.elsewhere = elsewhere;
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

  /** Those of other networks, whose addresses mean nothing here. */
  List<Workload> elsewhere() {
    return elsewhere;
  }

  boolean isEmpty() {
    return service == null && workloads.isEmpty() && elsewhere.isEmpty();
  }

  Members withService(@Nullable Service next) {
    return new Members(next, workloads, elsewhere);
  }

  Members withWorkload(Workload workload, boolean isElsewhere) {
    Members others = withoutWorkload(workload.uid());
    return isElsewhere
        ? new Members(service, others.workloads, and(others.elsewhere, workload))
        : new Members(service, and(others.workloads, workload), others.elsewhere);
  }

  Members withoutWorkload(String uid) {
    return new Members(service, without(workloads, uid), without(elsewhere, uid));
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
        for (Workload workload : elsewhere) {
          endpoints.addAll(Endpoint.elsewhere(known, port, workload));
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
          boolean gateways = false;
          for (Endpoint endpoint : endpoints(port.port())) {
            InetAddress at = endpoint.address();
            if (at == null) {
              gateways = true;
            } else if (at instanceof Inet4Address == v4) {
              endpoints.add(
                  new ServiceAddress.Endpoint(
                      at, endpoint.port(), Math.max(1, endpoint.workload().capacity())));
            }
          }
          computed.add(
              new ServiceAddress(
                  known.namespace(),
                  known.hostname(),
                  address,
                  port.port(),
                  known.balancing().byClient() || gateways,
                  endpoints));
        }
      }
      all = List.copyOf(computed);
      kernelAddresses = all;
    }
    return all;
  }

  private static List<Workload> and(List<Workload> others, Workload workload) {
    List<Workload> next = new ArrayList<>(others.size() + 1);
    next.addAll(others);
    next.add(workload);
    // In one order wherever the workload came in, so that equal meshes choose and print alike.
    next.sort(Comparator.comparing(Workload::uid));
    return List.copyOf(next);
  }

  private static List<Workload> without(List<Workload> all, String uid) {
    for (int i = 0; i < all.size(); i++) {
      if (all.get(i).uid().equals(uid)) {
        List<Workload> next = new ArrayList<>(all);
        next.remove(i);
        return List.copyOf(next);
      }
    }
    return all;
  }
}
