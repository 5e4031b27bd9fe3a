package dev.weir.agent.capture;

import dev.weir.api.model.Locality;
import dev.weir.api.model.PodSettings;
import dev.weir.api.model.Tunnel;
import dev.weir.api.model.Workload;
import dev.weir.api.model.WorkloadKind;
import java.util.List;
import java.util.Map;

/** Pods as the control plane would describe them. */
final class TestWorkloads {
  private TestWorkloads() {}

  static Workload workload(String namespace, String name, PodSettings settings) {
    return new Workload(
        Workload.podUid("Kubernetes", namespace, name),
        namespace,
        name,
        List.of(),
        "",
        "node",
        "",
        name,
        "cluster.local",
        "Kubernetes",
        Locality.UNKNOWN,
        WorkloadKind.POD,
        name,
        name,
        "",
        Tunnel.NONE,
        true,
        false,
        1,
        Map.of(),
        settings);
  }
}
