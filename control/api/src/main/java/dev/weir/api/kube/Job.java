package dev.weir.api.kube;

/** Pods that run until so many of them have succeeded. */
public record Job(
    Metadata metadata, int completions, int parallelism, int backoffLimit, PodTemplate template)
    implements KubeObject {
  @Override
  public String apiVersion() {
    return "batch/v1";
  }
}
