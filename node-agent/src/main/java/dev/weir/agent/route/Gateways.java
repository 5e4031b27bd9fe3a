package dev.weir.agent.route;

import dev.weir.agent.balance.Endpoints;
import dev.weir.agent.config.MeshView;
import dev.weir.agent.telemetry.Refusal;
import dev.weir.agent.tunnel.Passage;
import dev.weir.api.model.Endpoint;
import dev.weir.api.model.GatewayAddress;
import dev.weir.api.model.Service;
import dev.weir.api.model.Workload;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.random.RandomGenerator;
import org.jspecify.annotations.Nullable;

/**
 * The ways into other networks, as the control plane tells them with each workload. Where it does
 * not tell who a gateway or a server is, nobody is asked: whoever answers could be anybody.
 */
final class Gateways {
  private final RandomGenerator random;

  Gateways(RandomGenerator random) {
    this.random = random;
  }

  /**
   * How to reach a Service where one of its workloads answers in another network.
   *
   * @param asked the client's words: the Service's port, and the family that it speaks
   */
  Decision towards(MeshView view, Service service, InetSocketAddress asked, Workload workload) {
    GatewayAddress gateway = workload.networkGateway();
    if (gateway == null) {
      return refuse("the control plane names no gateway to %s".formatted(workload.uid()));
    }
    if (service.subjectAltNames().isEmpty()) {
      return refuse(
          "the control plane does not say who may answer for %s in network %s"
              .formatted(service.hostname(), workload.network()));
    }
    Keeper keeper =
        switch (gateway) {
          case GatewayAddress.At(String network, InetAddress address, int port) ->
              at(view, asked, network, address, port);
          case GatewayAddress.Named(String namespace, String hostname, int port) ->
              behind(view.serviceByKey(Service.key(namespace, hostname)), view, asked, port);
        };
    return keeper == null
        ? refuse(
            "nothing is known of %s, the gateway of network %s"
                .formatted(gateway, workload.network()))
        : new Decision.Cross(
            workload,
            new Passage(
                keeper.address,
                keeper.identities,
                service.hostname(),
                asked.getPort(),
                Set.copyOf(service.subjectAltNames()),
                view.network()));
  }

  private static Decision refuse(String detail) {
    return new Decision.Refuse(Refusal.NO_GATEWAY, detail);
  }

  /** A gateway that was found. */
  private record Keeper(InetSocketAddress address, Set<String> identities) {}

  private @Nullable Keeper at(
      MeshView view, InetSocketAddress asked, String network, InetAddress address, int port) {
    Workload workload = view.workload(network, address);
    if (workload != null) {
      return new Keeper(new InetSocketAddress(address, port), Set.of(workload.identity()));
    }
    return view.isElsewhere(network) ? null : behind(view.service(address), view, asked, port);
  }

  /**
   * Any workload of a gateway's Service, of whichever network: that its address can be reached from
   * others is what makes it a gateway. In the client's family, if there is one.
   */
  private @Nullable Keeper behind(
      @Nullable Service service, MeshView view, InetSocketAddress asked, int port) {
    if (service == null) {
      return null;
    }
    List<Endpoint> all = new ArrayList<>();
    addressed(service, port, view.workloads(service), all);
    addressed(service, port, view.workloadsElsewhere(service), all);
    Endpoint drawn = new Endpoints(all, asked.getAddress(), random).draw();
    if (drawn == null && !all.isEmpty()) {
      drawn = all.get(random.nextInt(all.size()));
    }
    InetAddress address = drawn == null ? null : drawn.address();
    if (drawn == null || address == null) {
      return null;
    }
    Set<String> identities = new HashSet<>(service.subjectAltNames());
    identities.add(drawn.workload().identity());
    return new Keeper(new InetSocketAddress(address, drawn.port()), identities);
  }

  private static void addressed(
      Service service, int port, Collection<Workload> workloads, List<Endpoint> to) {
    for (Workload workload : workloads) {
      // Its port for tunnels need not be one that the Service has for others.
      int target = workload.targetPort(service.key(), port);
      for (InetAddress address : workload.addresses()) {
        to.add(new Endpoint(workload, address, target == 0 ? port : target));
      }
    }
  }
}
