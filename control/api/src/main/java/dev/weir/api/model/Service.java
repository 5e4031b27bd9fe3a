package dev.weir.api.model;

import java.net.InetAddress;
import java.util.List;

/**
 * A name that stands for workloads.
 *
 * @param hostname {@code name.namespace.svc.cluster.local}
 * @param network empty in a mesh of one network
 * @param addresses its own addresses; none for a headless or external one
 * @param externalName where an ExternalName points; otherwise empty
 * @param subjectAltNames SPIFFE ids of whoever may answer for it, beside those of its workloads
 */
public record Service(
    String namespace,
    String name,
    String hostname,
    String network,
    List<InetAddress> addresses,
    List<ServicePort> ports,
    IpFamilies families,
    Balancing balancing,
    boolean headless,
    String externalName,
    boolean publishNotReady,
    List<String> subjectAltNames) {
  public Service {
    addresses = List.copyOf(addresses);
    ports = List.copyOf(ports);
    subjectAltNames = List.copyOf(subjectAltNames);
  }

  /** One that its workloads alone answer for. */
  public Service(
      String namespace,
      String name,
      String hostname,
      String network,
      List<InetAddress> addresses,
      List<ServicePort> ports,
      IpFamilies families,
      Balancing balancing,
      boolean headless,
      String externalName,
      boolean publishNotReady) {
    this(
        namespace,
        name,
        hostname,
        network,
        addresses,
        ports,
        families,
        balancing,
        headless,
        externalName,
        publishNotReady,
        List.of());
  }

  /** How xDS, and {@link Workload#services}, call it: {@code namespace/hostname}. */
  public String key() {
    return key(namespace, hostname);
  }

  public static String key(String namespace, String hostname) {
    return namespace + "/" + hostname;
  }

  /**
   * May this workload be sent traffic of this service? It must also name the service among its own.
   */
  public boolean takes(Workload workload) {
    return workload.healthy() || publishNotReady;
  }
}
