package dev.weir.lab;

import dev.weir.api.kube.EndpointSlice;
import dev.weir.api.kube.Metadata;
import dev.weir.api.kube.OwnerReference;
import dev.weir.api.kube.Pod;
import dev.weir.api.kube.PodStatus;
import dev.weir.api.kube.Service;
import java.net.Inet4Address;
import java.net.InetAddress;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/** What a cluster's EndpointSlice controller does: from a Service and the pods to slices. Pure. */
final class Endpoints {
  private static final String MANAGED_BY = "endpointslice.kubernetes.io/managed-by";

  private Endpoints() {}

  /**
   * The slices of a Service that has a selector. A named target port may be another number in
   * another pod, so there is a slice for each family and each set of numbers.
   */
  static List<EndpointSlice> slices(
      Service service, Collection<Pod> pods, Function<String, String> zoneOfNode) {
    List<EndpointSlice> slices = new ArrayList<>();
    if (service.selector().isEmpty() || service.type() == Service.Type.EXTERNAL_NAME) {
      return slices;
    }
    for (Service.IpFamily family : families(service)) {
      Map<List<EndpointSlice.Port>, List<EndpointSlice.Endpoint>> byPorts = new LinkedHashMap<>();
      for (Pod pod : pods) {
        InetAddress address = address(pod.status(), family);
        if (address == null || !selects(service, pod)) {
          continue;
        }
        byPorts
            .computeIfAbsent(ports(service, pod), ports -> new ArrayList<>())
            .add(endpoint(service, pod, address, zoneOfNode));
      }
      String type = family == Service.IpFamily.IPV4 ? "IPv4" : "IPv6";
      String name = service.name() + "-" + (family == Service.IpFamily.IPV4 ? "ipv4" : "ipv6");
      for (Map.Entry<List<EndpointSlice.Port>, List<EndpointSlice.Endpoint>> slice :
          byPorts.entrySet()) {
        slices.add(
            new EndpointSlice(
                metadata(
                    service,
                    slices.stream().anyMatch(s -> s.name().equals(name))
                        ? name + "-" + slices.size()
                        : name),
                type,
                slice.getValue(),
                slice.getKey()));
      }
    }
    return slices;
  }

  /**
   * The families that a Service is reached by: as asked for, else those of its addresses, else
   * both.
   */
  static List<Service.IpFamily> families(Service service) {
    if (!service.ipFamilies().isEmpty()) {
      return service.ipFamilies();
    }
    if (service.clusterIps().isEmpty()) {
      return List.of(Service.IpFamily.IPV4, Service.IpFamily.IPV6);
    }
    return service.clusterIps().stream().map(Endpoints::family).distinct().toList();
  }

  static Service.IpFamily family(InetAddress address) {
    return address instanceof Inet4Address ? Service.IpFamily.IPV4 : Service.IpFamily.IPV6;
  }

  private static boolean selects(Service service, Pod pod) {
    boolean over =
        pod.status().phase().equals("Succeeded") || pod.status().phase().equals("Failed");
    return !over
        && pod.namespace().equals(service.namespace())
        && pod.metadata().labels().entrySet().containsAll(service.selector().entrySet());
  }

  private static @Nullable InetAddress address(PodStatus status, Service.IpFamily family) {
    for (InetAddress address : status.podIps()) {
      if (family(address) == family) {
        return address;
      }
    }
    return null;
  }

  private static List<EndpointSlice.Port> ports(Service service, Pod pod) {
    List<EndpointSlice.Port> ports = new ArrayList<>();
    for (Service.Port port : service.ports()) {
      int target = target(port, pod);
      // A pod that has no port of that name does not serve this port; Kubernetes leaves it out too.
      if (target > 0) {
        ports.add(new EndpointSlice.Port(port.name(), port.protocol(), target, port.appProtocol()));
      }
    }
    return ports;
  }

  static int target(Service.Port port, Pod pod) {
    if (!port.targetPort().name().isEmpty()) {
      return pod.spec().port(port.targetPort().name());
    }
    return port.targetPort().number() > 0 ? port.targetPort().number() : port.port();
  }

  private static EndpointSlice.Endpoint endpoint(
      Service service, Pod pod, InetAddress address, Function<String, String> zoneOfNode) {
    boolean terminating = pod.metadata().terminating();
    boolean serving = pod.ready();
    boolean named =
        !pod.spec().hostname().isEmpty() && pod.spec().subdomain().equals(service.name());
    return new EndpointSlice.Endpoint(
        List.of(address),
        (serving && !terminating) || service.publishNotReadyAddresses(),
        serving,
        terminating,
        named ? pod.spec().hostname() : "",
        pod.spec().nodeName(),
        zoneOfNode.apply(pod.spec().nodeName()),
        pod.name(),
        pod.metadata().uid());
  }

  private static Metadata metadata(Service service, String name) {
    return Metadata.named(service.namespace(), name)
        .withLabels(Map.of(EndpointSlice.SERVICE_LABEL, service.name(), MANAGED_BY, "weir-lab"))
        .withOwners(
            List.of(
                new OwnerReference(
                    "v1", "Service", service.name(), service.metadata().uid(), true)));
  }
}
