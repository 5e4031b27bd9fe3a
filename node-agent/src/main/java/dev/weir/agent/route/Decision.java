package dev.weir.agent.route;

import dev.weir.agent.capture.Pod;
import dev.weir.agent.telemetry.Refusal;
import dev.weir.agent.tunnel.Passage;
import dev.weir.api.model.Workload;
import java.net.InetSocketAddress;

/** What to do with one connection. */
public sealed interface Decision {
  /** Into an enrolled pod of this node, with the client's own address as source. */
  record Deliver(Pod pod, InetSocketAddress to) implements Decision {}

  /**
   * Into an enrolled pod of this node over its loopback, after a header that says who calls whom.
   *
   * @param to the pod's own address and the port behind which the program is: what policy is asked
   * @param asked what the caller named
   */
  record Introduce(Pod pod, InetSocketAddress to, InetSocketAddress asked) implements Decision {}

  /** Through a tunnel from inside the client's pod, since the other end is of the mesh. */
  record Tunnel(Workload workload, InetSocketAddress to) implements Decision {}

  /**
   * Through the gateway of another network, in a tunnel inside a tunnel.
   *
   * @param workload who answers there, as far as this network is told
   */
  record Cross(Workload workload, Passage passage) implements Decision {}

  /** From inside the client's pod to anywhere else. */
  record Dial(InetSocketAddress to) implements Decision {}

  /** Not at all: a reset for the client, a count for the operator. */
  record Refuse(Refusal reason, String detail) implements Decision {
    Refuse(Refusal reason) {
      this(reason, reason.label());
    }
  }
}
