package dev.weir.agent.relay;

import dev.weir.agent.capture.Pod;
import dev.weir.agent.config.MeshView;
import dev.weir.api.model.AppProtocol;
import dev.weir.api.model.Authorization;
import dev.weir.api.model.Balancing;
import dev.weir.api.model.IpFamilies;
import dev.weir.api.model.Locality;
import dev.weir.api.model.PodSettings;
import dev.weir.api.model.Service;
import dev.weir.api.model.ServicePort;
import dev.weir.api.model.Tunnel;
import dev.weir.api.model.Workload;
import dev.weir.api.model.WorkloadKind;
import java.net.InetAddress;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/** Views of small meshes. */
public final class Meshes {
  private Meshes() {}

  /** One Service at an address and port, answered at the target port of these addresses. */
  public static MeshView service(String address, int port, int targetPort, String... endpoints) {
    return service(Balancing.ANYWHERE, address, port, targetPort, endpoints);
  }

  public static MeshView service(
      Balancing balancing, String address, int port, int targetPort, String... endpoints) {
    ServicePort servicePort = new ServicePort("", port, targetPort, AppProtocol.TCP);
    Service service =
        new Service(
            "test",
            "svc",
            "svc.test.svc.cluster.local",
            "",
            List.of(InetAddress.ofLiteral(address)),
            List.of(servicePort),
            IpFamilies.AUTOMATIC,
            balancing,
            false,
            "",
            false);
    List<Workload> workloads = new ArrayList<>(List.of(pod("client"), pod("server")));
    for (String endpoint : endpoints) {
      workloads.add(workload("w" + workloads.size(), endpoint, service, servicePort, 1));
    }
    return MeshView.of(List.of(service), workloads, List.of());
  }

  /** The two pods of {@link TwoPods}, under these policies; both name the named ones. */
  static MeshView twoPods(Authorization... policies) {
    List<String> named =
        Stream.of(policies)
            .filter(policy -> policy.scope() == Authorization.Scope.NAMED)
            .map(Authorization::key)
            .toList();
    return MeshView.of(
        List.of(),
        Stream.of("client", "server")
            .map(name -> pod(name).withAuthorizationPolicies(named))
            .toList(),
        List.of(policies));
  }

  private static Workload pod(String name) {
    return workload(name, List.of(), Map.of(), 1);
  }

  public static Workload workload(
      String name, String address, Service service, ServicePort port, int capacity) {
    return workload(
        name,
        List.of(InetAddress.ofLiteral(address)),
        Map.of(service.key(), List.of(port)),
        capacity);
  }

  private static Workload workload(
      String name,
      List<InetAddress> addresses,
      Map<String, List<ServicePort>> services,
      int capacity) {
    return new Workload(
        Workload.podUid(Workload.DEFAULT_CLUSTER, "test", name),
        "test",
        name,
        addresses,
        "",
        "node-1",
        "",
        Workload.DEFAULT_SERVICE_ACCOUNT,
        Workload.DEFAULT_TRUST_DOMAIN,
        Workload.DEFAULT_CLUSTER,
        Locality.UNKNOWN,
        WorkloadKind.POD,
        name,
        name,
        "",
        Tunnel.NONE,
        true,
        false,
        capacity,
        services,
        PodSettings.DEFAULT);
  }

  /** What the control plane says of an enrolled pod. */
  public static Workload of(Pod pod) {
    return of(pod, pod.serviceAccount());
  }

  /** The pod, under another service account than its own. */
  public static Workload of(Pod pod, String account) {
    return of(pod, account, Map.of());
  }

  /** The pod, answering for Services. */
  public static Workload of(Pod pod, String account, Map<String, List<ServicePort>> services) {
    return new Workload(
        Workload.podUid(Workload.DEFAULT_CLUSTER, pod.namespace(), pod.name()),
        pod.namespace(),
        pod.name(),
        pod.addresses(),
        "",
        "node-1",
        "",
        account,
        Workload.DEFAULT_TRUST_DOMAIN,
        Workload.DEFAULT_CLUSTER,
        Locality.UNKNOWN,
        WorkloadKind.POD,
        pod.name(),
        pod.name(),
        "",
        Tunnel.HBONE,
        true,
        false,
        1,
        services,
        pod.settings());
  }
}
