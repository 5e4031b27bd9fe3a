package dev.weir.api.model;

import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What a pod's annotations ask of the mesh.
 *
 * @param probePorts ports that the Pod spec's probes name: the node itself may reach them
 * @param weight share in the agent's fair scheduling
 * @param applicationTunnel null where the pod's programs take connections as they come. Where one
 *     is declared the fast path is off, since only what comes through a tunnel can be introduced
 */
public record PodSettings(
    boolean enrolled,
    FastPath fastPath,
    OnAgentLoss onAgentLoss,
    List<PortRange> excludeInboundPorts,
    List<PortRange> excludeOutboundPorts,
    List<Cidr> excludeOutboundCidrs,
    List<Integer> probePorts,
    int weight,
    @Nullable ApplicationTunnel applicationTunnel) {
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
          DEFAULT_WEIGHT,
          null);

  public PodSettings {
    excludeInboundPorts = List.copyOf(excludeInboundPorts);
    excludeOutboundPorts = List.copyOf(excludeOutboundPorts);
    excludeOutboundCidrs = List.copyOf(excludeOutboundCidrs);
    probePorts = List.copyOf(probePorts);
    fastPath = applicationTunnel == null ? fastPath : FastPath.OFF;
  }

  /** The same settings, of a pod whose program is told of its callers. */
  public PodSettings withApplicationTunnel(@Nullable ApplicationTunnel tunnel) {
    return new PodSettings(
        enrolled,
        fastPath,
        onAgentLoss,
        excludeInboundPorts,
        excludeOutboundPorts,
        excludeOutboundCidrs,
        probePorts,
        weight,
        tunnel);
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
}
