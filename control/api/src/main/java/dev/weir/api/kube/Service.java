package dev.weir.api.kube;

import java.net.InetAddress;
import java.util.List;
import java.util.Map;

/**
 * A name for pods.
 *
 * @param headless {@code clusterIP: None}
 * @param clusterIps empty before one has been given, and for headless and external services
 * @param selector empty where endpoints are listed by hand
 * @param externalName empty but for ExternalName
 * @param ipFamilies as asked for; empty means one, as the cluster likes
 * @param clientAffinity {@code sessionAffinity: ClientIP}
 * @param affinityTimeoutSeconds how long an idle client is to keep its endpoint; 0 where not said
 * @param preference {@code trafficDistribution}: empty, PreferClose, PreferSameZone, PreferSameNode
 */
public record Service(
    Metadata metadata,
    Type type,
    boolean headless,
    List<InetAddress> clusterIps,
    Map<String, String> selector,
    List<Port> ports,
    String externalName,
    List<IpFamily> ipFamilies,
    IpFamilyPolicy ipFamilyPolicy,
    boolean publishNotReadyAddresses,
    boolean localOnly,
    boolean clientAffinity,
    int affinityTimeoutSeconds,
    String preference)
    implements KubeObject {
  public Service {
    clusterIps = List.copyOf(clusterIps);
    selector = Map.copyOf(selector);
    ports = List.copyOf(ports);
    ipFamilies = List.copyOf(ipFamilies);
  }

  @Override
  public String apiVersion() {
    return "v1";
  }

  public Service withClusterIps(List<InetAddress> value) {
    return new Service(
        metadata,
        type,
        headless,
        value,
        selector,
        ports,
        externalName,
        ipFamilies,
        ipFamilyPolicy,
        publishNotReadyAddresses,
        localOnly,
        clientAffinity,
        affinityTimeoutSeconds,
        preference);
  }

  /** How it is reached. */
  public enum Type {
    CLUSTER_IP,
    NODE_PORT,
    LOAD_BALANCER,
    EXTERNAL_NAME
  }

  /** An address family. */
  public enum IpFamily {
    IPV4,
    IPV6
  }

  /** How many families it wants. */
  public enum IpFamilyPolicy {
    SINGLE_STACK,
    PREFER_DUAL_STACK,
    REQUIRE_DUAL_STACK
  }

  /**
   * One of its ports.
   *
   * @param protocol TCP, UDP or SCTP
   * @param appProtocol empty where not declared
   */
  public record Port(
      String name,
      String protocol,
      int port,
      PortReference targetPort,
      int nodePort,
      String appProtocol) {}
}
