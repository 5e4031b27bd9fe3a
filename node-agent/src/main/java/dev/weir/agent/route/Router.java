package dev.weir.agent.route;

import dev.weir.agent.balance.Endpoints;
import dev.weir.agent.capture.Original;
import dev.weir.agent.capture.Pod;
import dev.weir.agent.config.MeshView;
import dev.weir.agent.telemetry.Refusal;
import dev.weir.api.model.Endpoint;
import dev.weir.api.model.Service;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.function.Function;
import java.util.random.RandomGenerator;
import org.jspecify.annotations.Nullable;

/** Decides where connections go. Any thread. */
public final class Router {
  private final Function<InetAddress, @Nullable Pod> pods;
  private final RandomGenerator random;

  /**
   * @param pods the enrolled pod of this node that has an address, or null; asked on event loops
   * @param random shared by all loops, so it must be safe for them
   */
  public Router(Function<InetAddress, @Nullable Pod> pods, RandomGenerator random) {
    this.pods = pods;
    this.random = random;
  }

  /**
   * Where a captured connection goes. The kernel's pick stands where it made one: it drew by the
   * same weights, and for every connection alike. The other endpoints of the Service follow if that
   * one cannot be reached.
   */
  public Route outbound(MeshView view, Original original) {
    InetSocketAddress asked = original.asked();
    InetSocketAddress picked = original.picked();
    Service service = view.service(asked.getAddress());
    if (service == null) {
      return new Route(this, asked, null, towards(picked), null);
    }
    Endpoints endpoints =
        new Endpoints(view.endpoints(service, asked.getPort()), asked.getAddress(), random);
    if (!picked.equals(asked)) {
      endpoints.exclude(picked);
      return new Route(this, asked, service, towards(picked), endpoints);
    }
    Endpoint drawn = endpoints.draw();
    Decision first =
        drawn == null
            ? new Decision.Refuse(Refusal.NO_ENDPOINT)
            : towards(new InetSocketAddress(drawn.address(), drawn.port()));
    return new Route(this, asked, service, first, endpoints);
  }

  /** What arrived at a pod of this node for one of its addresses. */
  public Route inbound(Pod pod, InetSocketAddress to) {
    return new Route(this, to, null, into(pod, to), null);
  }

  Decision towards(InetSocketAddress to) {
    Pod pod = pods.apply(to.getAddress());
    return pod == null ? new Decision.Dial(to) : into(pod, to);
  }

  // Delivering to a listener of our own would relay to ourselves for ever.
  private static Decision into(Pod pod, InetSocketAddress to) {
    return switch (to.getPort()) {
      case Ports.OUTBOUND, Ports.INBOUND, Ports.HBONE, Ports.DNS ->
          new Decision.Refuse(Refusal.SELF_PORT);
      default -> new Decision.Deliver(pod, to);
    };
  }
}
