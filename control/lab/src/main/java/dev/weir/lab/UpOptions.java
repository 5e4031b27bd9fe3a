package dev.weir.lab;

import java.time.Duration;
import java.util.List;
import java.util.Map;

/**
 * What {@code weir lab up} was asked for.
 *
 * @param zones zone by node
 * @param mesh false leaves out agents and the control plane
 * @param ready how long pods and agents may take until all are ready; zero does not wait
 * @param agentArgs flags that every agent gets besides the lab's own
 */
public record UpOptions(
    String name,
    int nodes,
    Map<String, String> zones,
    boolean mesh,
    Duration ready,
    List<String> agentArgs,
    List<Source> sources) {
  public UpOptions {
    zones = Map.copyOf(zones);
    agentArgs = List.copyOf(agentArgs);
    sources = List.copyOf(sources);
  }

  public static UpOptions named(String name) {
    return new UpOptions(name, 2, Map.of(), true, Duration.ofSeconds(60), List.of(), List.of());
  }

  public UpOptions withNodes(int value) {
    return new UpOptions(name, value, zones, mesh, ready, agentArgs, sources);
  }

  public UpOptions withZones(Map<String, String> value) {
    return new UpOptions(name, nodes, value, mesh, ready, agentArgs, sources);
  }

  public UpOptions withMesh(boolean value) {
    return new UpOptions(name, nodes, zones, value, ready, agentArgs, sources);
  }

  public UpOptions withReady(Duration value) {
    return new UpOptions(name, nodes, zones, mesh, value, agentArgs, sources);
  }

  public UpOptions withAgentArgs(List<String> value) {
    return new UpOptions(name, nodes, zones, mesh, ready, value, sources);
  }

  public UpOptions withSources(List<Source> value) {
    return new UpOptions(name, nodes, zones, mesh, ready, agentArgs, value);
  }
}
