package dev.weir.api.model;

import java.util.List;

/**
 * What a pod's annotations ask of the mesh.
 *
 * @param probePorts ports that the Pod spec's probes name: the node itself may reach them
 * @param weight share in the agent's fair scheduling
 */
public record PodSettings(
    boolean enrolled,
    FastPath fastPath,
    OnAgentLoss onAgentLoss,
    List<PortRange> excludeInboundPorts,
    List<PortRange> excludeOutboundPorts,
    List<Cidr> excludeOutboundCidrs,
    List<Integer> probePorts,
    int weight) {
  public static final int DEFAULT_WEIGHT = 100;

  /** A pod that said nothing. */
  public static final PodSettings DEFAULT =
      new PodSettings(
          false,
          FastPath.DIRECT,
          OnAgentLoss.CLOSED,
          List.of(),
          List.of(),
          List.of(),
          List.of(),
          DEFAULT_WEIGHT);

  public PodSettings {
    excludeInboundPorts = List.copyOf(excludeInboundPorts);
    excludeOutboundPorts = List.copyOf(excludeOutboundPorts);
    excludeOutboundCidrs = List.copyOf(excludeOutboundCidrs);
    probePorts = List.copyOf(probePorts);
  }

  /** Whether the pod asked that connections to this port of it be left alone. */
  public boolean excludesInbound(int port) {
    for (PortRange range : excludeInboundPorts) {
      if (range.contains(port)) {
        return true;
      }
    }
    return false;
  }

  /** The same settings, opted in or not. */
  public PodSettings withEnrolled(boolean value) {
    return new PodSettings(
        value,
        fastPath,
        onAgentLoss,
        excludeInboundPorts,
        excludeOutboundPorts,
        excludeOutboundCidrs,
        probePorts,
        weight);
  }
}
