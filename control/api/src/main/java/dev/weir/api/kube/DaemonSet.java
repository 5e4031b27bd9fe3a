package dev.weir.api.kube;

/** One pod a node. */
public record DaemonSet(Metadata metadata, LabelSelector selector, PodTemplate template)
    implements KubeObject {
  @Override
  public String apiVersion() {
    return "apps/v1";
  }
}
