package dev.weir.api.kube;

/** A namespace; of interest for its annotations and labels. */
public record Namespace(Metadata metadata) implements KubeObject {
  @Override
  public String apiVersion() {
    return "v1";
  }
}
