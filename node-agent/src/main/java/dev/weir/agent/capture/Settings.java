package dev.weir.agent.capture;

import java.util.List;
import java.util.Set;

/** What a pod's annotations and probes ask of capture. */
public record Settings(
    FastPath fastPath,
    OnAgentLoss onAgentLoss,
    List<PortRange> excludedInbound,
    List<PortRange> excludedOutbound,
    List<Cidr> excludedCidrs,
    Set<Integer> probePorts,
    int weight) {

  /** What holds for a pod of which the control plane says nothing. */
  public static final Settings DEFAULT =
      new Settings(
          FastPath.DIRECT, OnAgentLoss.CLOSED, List.of(), List.of(), List.of(), Set.of(), 100);

  public Settings {
    excludedInbound = List.copyOf(excludedInbound);
    excludedOutbound = List.copyOf(excludedOutbound);
    excludedCidrs = List.copyOf(excludedCidrs);
    probePorts = Set.copyOf(probePorts);
  }
}
