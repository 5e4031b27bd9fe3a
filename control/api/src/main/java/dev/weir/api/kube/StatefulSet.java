package dev.weir.api.kube;

/**
 * So many pods with names of their own.
 *
 * @param serviceName the headless Service under whose name each pod has a host name
 * @param parallel pods start all at once, not one after the other
 */
public record StatefulSet(
    Metadata metadata,
    int replicas,
    LabelSelector selector,
    String serviceName,
    boolean parallel,
    PodTemplate template)
    implements KubeObject {
  @Override
  public String apiVersion() {
    return "apps/v1";
  }

  public StatefulSet withReplicas(int value) {
    return new StatefulSet(metadata, value, selector, serviceName, parallel, template);
  }
}
