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

  /**
   * The caller's node. Kubelets before Kubernetes 1.30 name only the pod, and the mesh knows where
   * that is.
   */
  String node(Caller caller) throws Refusal {
    if (!caller.node().isEmpty()) {
      return caller.node();
    }
    if (!known) {
      throw unknown();
    }
    String node = nodeByPod.get(caller.namespace() + "/" + caller.pod());
    if (node == null) {
      throw new Refusal(
          Refusal.Cause.NODE_UNKNOWN, "the token of " + caller.account() + " is bound to no node");
    }
    return node;
  }

  private static Refusal unknown() {
    return new Refusal(
        Refusal.Cause.MESH_UNKNOWN, "the control plane has not read the mesh yet; try again");
  }

  /** Before the first model nobody can tell. */
  boolean runs(String node, String identity) throws Refusal {
    if (!known) {
      throw unknown();
    }
    return identitiesByNode.getOrDefault(node, Set.of()).contains(identity);
  }
}
