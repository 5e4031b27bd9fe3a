package dev.weir.api.kube;

/** One pod: what it should be and what it is. */
public record Pod(Metadata metadata, PodSpec spec, PodStatus status) implements KubeObject {
  @Override
  public String apiVersion() {
    return "v1";
  }

  public boolean ready() {
    return status.ready();
  }

  public Pod withMetadata(Metadata value) {
    return new Pod(value, spec, status);
  }

  public Pod withStatus(PodStatus value) {
    return new Pod(metadata, spec, value);
  }
}
