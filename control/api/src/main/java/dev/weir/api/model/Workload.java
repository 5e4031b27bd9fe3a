package dev.weir.api.model;

import java.net.InetAddress;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * One running thing with addresses of its own: a pod, or an endpoint that a user listed by hand.
 *
 * @param uid {@code cluster/group/kind/namespace/name}, as Istio spells it
 * @param network empty in a mesh of one network
 * @param ownerName the Deployment (StatefulSet, Job …) that made it, or its own name
 * @param services what this workload answers for: by service key, its own target port of each
 *     service port. Only services that would send it traffic now are named here
 * @param healthy its readiness; where false, only services with {@link Service#publishNotReady} use
 *     it
 * @param hostNetwork its address is its node's, so no look-up by address may find it
 * @param authorizationPolicies keys of the {@link Authorization}s that concern it by name; those of
 *     its namespace and of the mesh concern it anyhow
 * @param networkGateway by which it is reached from other networks
 */
public record Workload(
    String uid,
    String namespace,
    String name,
    List<InetAddress> addresses,
    String network,
    String node,
    String hostname,
    String serviceAccount,
    String trustDomain,
    String cluster,
    Locality locality,
    WorkloadKind kind,
    String ownerName,
    String canonicalName,
    String canonicalRevision,
    Tunnel tunnel,
    boolean healthy,
    boolean hostNetwork,
    int capacity,
    Map<String, List<ServicePort>> services,
    PodSettings settings,
    List<String> authorizationPolicies,
    @Nullable GatewayAddress networkGateway) {
  public static final String DEFAULT_CLUSTER = "Kubernetes";
  public static final String DEFAULT_TRUST_DOMAIN = "cluster.local";
  public static final String DEFAULT_SERVICE_ACCOUNT = "default";

  public Workload {
    addresses = List.copyOf(addresses);
    services = Map.copyOf(services);
    authorizationPolicies = List.copyOf(authorizationPolicies);
  }

  /** One that no policy names, and no gateway leads to. */
  public Workload(
      String uid,
      String namespace,
      String name,
      List<InetAddress> addresses,
      String network,
      String node,
      String hostname,
      String serviceAccount,
      String trustDomain,
      String cluster,
      Locality locality,
      WorkloadKind kind,
      String ownerName,
      String canonicalName,
      String canonicalRevision,
      Tunnel tunnel,
      boolean healthy,
      boolean hostNetwork,
      int capacity,
      Map<String, List<ServicePort>> services,
      PodSettings settings) {
    this(
        uid,
        namespace,
        name,
        addresses,
        network,
        node,
        hostname,
        serviceAccount,
        trustDomain,
        cluster,
        locality,
        kind,
        ownerName,
        canonicalName,
        canonicalRevision,
        tunnel,
        healthy,
        hostNetwork,
        capacity,
        services,
        settings,
        List.of(),
        null);
  }

  public Workload withAuthorizationPolicies(List<String> keys) {
    return with(network, keys, networkGateway);
  }

  /** The same in a network of a mesh that has several. */
  public Workload in(String itsNetwork, @Nullable GatewayAddress gateway) {
    return with(itsNetwork, authorizationPolicies, gateway);
  }

  private Workload with(
      String itsNetwork, List<String> policies, @Nullable GatewayAddress gateway) {
    return new Workload(
        uid,
        namespace,
        name,
        addresses,
        itsNetwork,
        node,
        hostname,
        serviceAccount,
        trustDomain,
        cluster,
        locality,
        kind,
        ownerName,
        canonicalName,
        canonicalRevision,
        tunnel,
        healthy,
        hostNetwork,
        capacity,
        services,
        settings,
        policies,
        gateway);
  }

  public static String podUid(String cluster, String namespace, String name) {
    return cluster + "//Pod/" + namespace + "/" + name;
  }

  /** The SPIFFE identity under which it calls and is called. */
  public String identity() {
    return "spiffe://" + trustDomain + "/ns/" + namespace + "/sa/" + serviceAccount;
  }

  /** Its own number behind a service's port; 0 where it does not answer for that port. */
  public int targetPort(String serviceKey, int servicePort) {
    for (ServicePort port : services.getOrDefault(serviceKey, List.of())) {
      if (port.port() == servicePort) {
        return port.targetPort();
      }
    }
    return 0;
  }
}
