package dev.weir.agent.config;

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
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;

/** Small meshes for tests. */
public final class Meshes {
  private Meshes() {}

  /**
   * A Service of the namespace {@code shop} with the port 80, named http; no address makes it
   * headless.
   */
  public static Service service(String name, String... addresses) {
    return new Service(
        "shop",
        name,
        name + ".shop.svc.cluster.local",
        "",
        Arrays.stream(addresses).map(InetAddress::ofLiteral).toList(),
        List.of(new ServicePort("http", 80, 8080, AppProtocol.UNKNOWN)),
        IpFamilies.AUTOMATIC,
        Balancing.ANYWHERE,
        addresses.length == 0,
        "",
        false);
  }

  public static Service externalName(String name, String target) {
    Service plain = service(name);
    return new Service(
        plain.namespace(),
        plain.name(),
        plain.hostname(),
        "",
        List.of(),
        List.of(),
        IpFamilies.AUTOMATIC,
        Balancing.ANYWHERE,
        false,
        target,
        false);
  }

  /**
   * A healthy pod of the Deployment {@code app} that answers on 8080 for port 80 of the Services
   * named.
   */
  public static Workload pod(String name, String app, String address, String... services) {
    return pod(name, app, "", List.of(address), services);
  }

  public static Workload pod(
      String name, String app, String hostname, List<String> addresses, String... services) {
    Map<String, List<ServicePort>> ports = new HashMap<>();
    for (String service : services) {
      ports.put(
          Service.key("shop", service + ".shop.svc.cluster.local"),
          List.of(new ServicePort("", 80, 8080, AppProtocol.UNKNOWN)));
    }
    return new Workload(
        Workload.podUid("Kubernetes", "shop", name),
        "shop",
        name,
        addresses.stream().map(InetAddress::ofLiteral).toList(),
        "",
        "node-1",
        hostname,
        app,
        "cluster.local",
        "Kubernetes",
        Locality.UNKNOWN,
        WorkloadKind.DEPLOYMENT,
        app,
        app,
        "v1",
        Tunnel.NONE,
        true,
        false,
        1,
        ports,
        PodSettings.DEFAULT);
  }

  /** A mesh that never changes. */
  public static Mesh fixed(MeshView view) {
    return new Mesh() {
      @Override
      public MeshView current() {
        return view;
      }

      @Override
      public void onChange(Consumer<MeshView> listener) {
        listener.accept(view);
      }
    };
  }
}
