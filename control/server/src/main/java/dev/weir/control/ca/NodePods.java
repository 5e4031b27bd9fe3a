package dev.weir.control.ca;

import dev.weir.api.model.MeshModel;
import dev.weir.api.model.Workload;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;

/** Which identities run where: an index of one model, immutable. */
final class NodePods {
  static final NodePods UNKNOWN = new NodePods(false, Map.of(), Map.of());

  private final boolean known;
  private final Map<String, Set<String>> identitiesByNode;
  private final Map<String, String> nodeByPod;

  private NodePods(
      boolean known, Map<String, Set<String>> identitiesByNode, Map<String, String> nodeByPod) {
    this.known = known;
    this.identitiesByNode = identitiesByNode;
    this.nodeByPod = nodeByPod;
  }

  static NodePods of(MeshModel model) {
    Map<String, Set<String>> identities = new HashMap<>();
    Map<String, String> nodes = new HashMap<>();
    for (Workload each : model.workloads().values()) {
      if (each.uid().contains("//Pod/") && !each.node().isEmpty()) {
        identities
            .computeIfAbsent(each.node(), node -> new HashSet<>())
            .add(each.identity().intern());
        nodes.put(each.namespace() + "/" + each.name(), each.node());
      }
    }
    return new NodePods(true, identities, nodes);
  }

  /** False before the first model. */
  boolean known() {
    return known;
  }

  /**
   * The caller's node. Kubelets before Kubernetes 1.30 name only the pod, and the mesh knows where
   * that is.
   */
  String nodeOf(Caller caller) {
    return caller.node().isEmpty()
        ? nodeByPod.getOrDefault(caller.namespace() + "/" + caller.pod(), "")
        : caller.node();
  }

  boolean runs(String node, String identity) {
    return identitiesByNode.getOrDefault(node, Set.of()).contains(identity);
  }
}
