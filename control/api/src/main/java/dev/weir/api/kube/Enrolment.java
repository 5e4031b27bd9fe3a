package dev.weir.api.kube;

import dev.weir.api.model.FastPath;
import dev.weir.api.model.OnAgentLoss;
import dev.weir.api.model.PodSettings;
import org.jspecify.annotations.Nullable;

/** Says whether a pod is in the mesh, and how. */
public final class Enrolment {
  private Enrolment() {}

  /**
   * What a pod's own and its namespace's annotations ask. The Pod's annotation counts first, then
   * its label, then the Namespace's annotation, then its label. A pod in its node's network is
   * never enrolled: its namespace is the node's.
   *
   * @param namespace null where none is known, which counts as one without annotations
   * @throws AnnotationException if a value means nothing
   */
  public static PodSettings of(Pod pod, @Nullable Namespace namespace) {
    Metadata own = pod.metadata();
    Metadata outer = namespace == null ? Metadata.NONE : namespace.metadata();
    String fastPath = first(own, outer, Annotations.FAST_PATH);
    String onAgentLoss = first(own, outer, Annotations.ON_AGENT_LOSS);
    String weight = own.annotations().get(Annotations.WEIGHT);
    String tunnel = own.annotations().get(Annotations.APPLICATION_TUNNEL);
    return new PodSettings(
        !pod.spec().hostNetwork() && optedIn(own, outer),
        fastPath == null ? FastPath.DIRECT : Annotations.fastPath(fastPath),
        onAgentLoss == null ? OnAgentLoss.CLOSED : Annotations.onAgentLoss(onAgentLoss),
        Annotations.ports(
            Annotations.EXCLUDE_INBOUND_PORTS,
            own.annotations().getOrDefault(Annotations.EXCLUDE_INBOUND_PORTS, "")),
        Annotations.ports(
            Annotations.EXCLUDE_OUTBOUND_PORTS,
            own.annotations().getOrDefault(Annotations.EXCLUDE_OUTBOUND_PORTS, "")),
        Annotations.cidrs(own.annotations().getOrDefault(Annotations.EXCLUDE_OUTBOUND_CIDRS, "")),
        pod.spec().probePorts(),
        weight == null ? PodSettings.DEFAULT_WEIGHT : Annotations.weight(weight),
        tunnel == null ? null : Annotations.applicationTunnel(tunnel));
  }

  private static boolean optedIn(Metadata own, Metadata outer) {
    for (Metadata metadata : new Metadata[] {own, outer}) {
      String word = metadata.annotations().get(Annotations.MESH);
      if (word == null) {
        word = metadata.labels().get(Annotations.MESH);
      }
      if (word != null) {
        return Annotations.mesh(word);
      }
    }
    return false;
  }

  private static @Nullable String first(Metadata own, Metadata outer, String key) {
    String value = own.annotations().get(key);
    return value != null ? value : outer.annotations().get(key);
  }
}
