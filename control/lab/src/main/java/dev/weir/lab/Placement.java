package dev.weir.lab;

import dev.weir.api.kube.Node;
import dev.weir.api.kube.PodSpec;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** The lab's scheduler: where a pod names a node it goes there, all others go round. Desk only. */
final class Placement {
  private static final String HOSTNAME_LABEL = "kubernetes.io/hostname";

  private int turn;

  /** Null where no node fits. */
  @Nullable LabNode place(PodSpec spec, Collection<LabNode> nodes) {
    List<LabNode> fitting = nodes.stream().filter(node -> fits(spec, node)).toList();
    if (fitting.isEmpty()) {
      return null;
    }
    return spec.nodeName().isEmpty() ? fitting.get(turn++ % fitting.size()) : fitting.getFirst();
  }

  static boolean fits(PodSpec spec, LabNode node) {
    return (spec.nodeName().isEmpty() || spec.nodeName().equals(node.name()))
        && labels(node).entrySet().containsAll(spec.nodeSelector().entrySet());
  }

  static Map<String, String> labels(LabNode node) {
    return node.zone().isEmpty()
        ? Map.of(HOSTNAME_LABEL, node.name())
        : Map.of(HOSTNAME_LABEL, node.name(), Node.ZONE_LABEL, node.zone());
  }
}
