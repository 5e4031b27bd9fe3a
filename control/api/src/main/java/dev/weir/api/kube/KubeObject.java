package dev.weir.api.kube;

/** One Kubernetes object that Weir takes. */
public sealed interface KubeObject
    permits AccessPolicy,
        ConfigMap,
        DaemonSet,
        Deployment,
        EndpointSlice,
        Job,
        Namespace,
        Node,
        Pod,
        ReplicaSet,
        Secret,
        Service,
        ServiceAccount,
        StatefulSet {
  Metadata metadata();

  /** {@code v1}, {@code apps/v1} … */
  String apiVersion();

  /** {@code Pod}, {@code Deployment} … */
  default String kind() {
    return getClass().getSimpleName();
  }

  default String name() {
    return metadata().name();
  }

  /** Empty for what belongs to no namespace. */
  default String namespace() {
    return metadata().namespace();
  }

  /** What no two objects may share: {@code Kind namespace/name}. */
  default String key() {
    return namespace().isEmpty()
        ? kind() + " " + name()
        : kind() + " " + namespace() + "/" + name();
  }
}
