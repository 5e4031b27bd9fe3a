package dev.weir.api.kube;

import java.net.InetAddress;
import java.util.List;

/**
 * Some of a service's endpoints, all of one address family.
 *
 * @param addressType IPv4, IPv6 or FQDN
 */
public record EndpointSlice(
    Metadata metadata, String addressType, List<Endpoint> endpoints, List<Port> ports)
    implements KubeObject {
  public static final String SERVICE_LABEL = "kubernetes.io/service-name";

  public EndpointSlice {
    endpoints = List.copyOf(endpoints);
    ports = List.copyOf(ports);
  }

  @Override
  public String apiVersion() {
    return "discovery.k8s.io/v1";
  }

  /** The service whose endpoints these are; empty if it belongs to none. */
  public String serviceName() {
    return metadata.labels().getOrDefault(SERVICE_LABEL, "");
  }

  /**
   * One endpoint.
   *
   * @param ready may take traffic; absent in a manifest means so
   * @param serving would be ready if it were not being deleted
   * @param pod the pod's name; empty if the endpoint is none
   * @param podUid empty if not known
   */
  public record Endpoint(
      List<InetAddress> addresses,
      boolean ready,
      boolean serving,
      boolean terminating,
      String hostname,
      String nodeName,
      String zone,
      String pod,
      String podUid) {
    public Endpoint {
      addresses = List.copyOf(addresses);
    }
  }

  /** One port that all endpoints of the slice have; 0 means every port. */
  public record Port(String name, String protocol, int port, String appProtocol) {}
}
