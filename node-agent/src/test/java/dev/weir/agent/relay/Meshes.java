package dev.weir.agent.relay;

import dev.weir.agent.config.MeshView;
import dev.weir.api.model.AppProtocol;
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

/** Views of small meshes. */
public final class Meshes {
  private Meshes() {}

  /** One Service at an address and port, answered at the target port of these addresses. */
  public static MeshView service(String address, int port, int targetPort, String... endpoints) {
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
            Balancing.ANYWHERE,
            false,
            "",
            false);
    List<Workload> workloads = new ArrayList<>();
    for (String endpoint : endpoints) {
      workloads.add(workload("w" + workloads.size(), endpoint, service, servicePort, 1));
    }
    return MeshView.of(List.of(service), workloads);
  }

  public static Workload workload(
      String name, String address, Service service, ServicePort port, int capacity) {
    return new Workload(
        Workload.podUid(Workload.DEFAULT_CLUSTER, "test", name),
        "test",
        name,
        List.of(InetAddress.ofLiteral(address)),
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
        Map.of(service.key(), List.of(port)),
        PodSettings.DEFAULT);
  }
}
