package dev.weir.api.kube;

/** The identity under which pods run. */
public record ServiceAccount(Metadata metadata) implements KubeObject {
  @Override
  public String apiVersion() {
    return "v1";
  }
}
