package dev.weir.api.kube;

/** What stands between a Deployment and its pods. */
public record ReplicaSet(
    Metadata metadata, int replicas, LabelSelector selector, PodTemplate template)
    implements KubeObject {
  @Override
  public String apiVersion() {
    return "apps/v1";
  }
}
