package dev.weir.agent.route;

import dev.weir.agent.balance.Endpoints;
import dev.weir.agent.capture.Original;
import dev.weir.agent.capture.Pod;
import dev.weir.agent.config.MeshView;
import dev.weir.agent.telemetry.Refusal;
import dev.weir.api.model.ApplicationTunnel;
import dev.weir.api.model.Endpoint;
import dev.weir.api.model.FastPath;
import dev.weir.api.model.Service;
import dev.weir.api.model.Tunnel;
import dev.weir.api.model.Workload;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.List;
import java.util.function.Function;
import java.util.random.RandomGenerator;
import org.jspecify.annotations.Nullable;

/** Decides where connections go. Any thread. */
public final class Router {
  private final Function<InetAddress, @Nullable Pod> pods;
  private final RandomGenerator random;
  private final Gateways gateways;

  /**
   * @param pods the enrolled pod of this node that has an address, or null; asked on event loops
   * @param random shared by all loops, so it must be safe for them
   */
  public Router(Function<InetAddress, @Nullable Pod> pods, RandomGenerator random) {
    this.pods = pods;
    this.random = random;
    this.gateways = new Gateways(random);
  }

  /**
   * Where a captured connection goes. The kernel's pick stands where it made one: it drew by the
   * same weights, and for every connection alike. The other endpoints of the Service follow if that
   * one cannot be reached.
   */
  public Route outbound(Pod source, MeshView view, Original original) {
    InetSocketAddress asked = original.asked();
    InetSocketAddress picked = original.picked();
    Service service = view.service(asked.getAddress());
    if (service == null) {
      return new Route(asked, null, towards(source, view, picked), null);
    }
    Endpoints endpoints = endpoints(source, view, service, asked);
    if (!picked.equals(asked)) {
      endpoints.exclude(picked);
      return new Route(
          asked,
          service,
          towards(source, view, picked),
          new Route.Further(endpoints, each -> towards(source, view, service, asked, each)));
    }
    Endpoint drawn = endpoints.draw();
    Decision first =
        drawn == null
            ? new Decision.Refuse(Refusal.NO_ENDPOINT)
            : towards(source, view, service, asked, drawn);
    return new Route(
        asked,
        service,
        first,
        new Route.Further(endpoints, each -> towards(source, view, service, asked, each)));
  }

  private Endpoints endpoints(Pod source, MeshView view, Service service, InetSocketAddress asked) {
    List<Endpoint> all = view.endpoints(service, asked.getPort());
    // Which of its addresses does not matter, as long as it is the same one each time.
    return service.balancing().byClient() && !source.addresses().isEmpty()
        ? Endpoints.byClient(all, asked.getAddress(), source.addresses().getFirst())
        : new Endpoints(all, asked.getAddress(), random);
  }

  /**
   * What came to a pod of this node through a tunnel.
   *
   * @param at the pod's address to which the tunnel came
   * @param asked what is to be reached through it
   */
  public Route tunnelled(Pod pod, InetAddress at, InetSocketAddress asked) {
    ApplicationTunnel tunnel = pod.settings().applicationTunnel();
    InetSocketAddress to =
        new InetSocketAddress(
            at, tunnel == null || tunnel.port() == 0 ? asked.getPort() : tunnel.port());
    if (tunnel == null || Ports.isOurs(to.getPort())) {
      return new Route(asked, null, into(pod, to), null);
    }
    return new Route(asked, null, new Decision.Introduce(pod, to, asked), null);
  }

  /** What arrived at a pod of this node for one of its addresses. */
  public Route inbound(Pod pod, InetSocketAddress to) {
    return new Route(to, null, into(pod, to), null);
  }

  private Decision towards(
      Pod source, MeshView view, Service service, InetSocketAddress asked, Endpoint endpoint) {
    InetAddress address = endpoint.address();
    return address == null
        ? gateways.towards(view, service, asked, endpoint.workload())
        : towards(source, view, new InetSocketAddress(address, endpoint.port()));
  }

  private Decision towards(Pod source, MeshView view, InetSocketAddress to) {
    Pod pod = pods.apply(to.getAddress());
    if (pod != null
        && source.settings().fastPath().with(pod.settings().fastPath()) != FastPath.OFF) {
      return into(pod, to);
    }
    Workload workload = view.workload(to.getAddress());
    if (workload == null
        || workload.tunnel() == Tunnel.NONE
        || workload.settings().excludesInbound(to.getPort())
        || (pod != null && pod.number() == source.number())) {
      return pod == null ? new Decision.Dial(to) : into(pod, to);
    }
    return Ports.isOurs(to.getPort())
        ? new Decision.Refuse(Refusal.SELF_PORT)
        : new Decision.Tunnel(workload, to);
  }

  // Delivering to a listener of our own would relay to ourselves for ever.
  private static Decision into(Pod pod, InetSocketAddress to) {
    return Ports.isOurs(to.getPort())
        ? new Decision.Refuse(Refusal.SELF_PORT)
        : new Decision.Deliver(pod, to);
  }
}
