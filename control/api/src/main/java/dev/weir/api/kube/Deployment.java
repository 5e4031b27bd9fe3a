package dev.weir.api.kube;

/** So many pods of one kind. */
public record Deployment(
    Metadata metadata, int replicas, LabelSelector selector, PodTemplate template)
    implements KubeObject {
  @Override
  public String apiVersion() {
    return "apps/v1";
  }

  public Deployment withReplicas(int value) {
    return new Deployment(metadata, value, selector, template);
  }
}
