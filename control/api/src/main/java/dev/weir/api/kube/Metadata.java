package dev.weir.api.kube;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * An object's metadata; what is absent is empty.
 *
 * @param namespace {@code default} where a namespaced object names none; empty for cluster-wide
 *     objects
 * @param deletionTimestamp set while the object is being deleted, as Kubernetes writes it (RFC
 *     3339)
 */
public record Metadata(
    String namespace,
    String name,
    String uid,
    Map<String, String> labels,
    Map<String, String> annotations,
    List<OwnerReference> owners,
    String creationTimestamp,
    String deletionTimestamp) {
  /** The metadata of a pod template. */
  public static final Metadata NONE =
      new Metadata("", "", "", Map.of(), Map.of(), List.of(), "", "");

  public Metadata {
    // In the order of the file, so that what is written reads like what was read.
    labels = Collections.unmodifiableMap(new LinkedHashMap<>(labels));
    annotations = Collections.unmodifiableMap(new LinkedHashMap<>(annotations));
    owners = List.copyOf(owners);
  }

  public static Metadata named(String namespace, String name) {
    return new Metadata(namespace, name, "", Map.of(), Map.of(), List.of(), "", "");
  }

  public boolean terminating() {
    return !deletionTimestamp.isEmpty();
  }

  public Metadata withLabels(Map<String, String> value) {
    return new Metadata(
        namespace, name, uid, value, annotations, owners, creationTimestamp, deletionTimestamp);
  }

  public Metadata withAnnotations(Map<String, String> value) {
    return new Metadata(
        namespace, name, uid, labels, value, owners, creationTimestamp, deletionTimestamp);
  }

  public Metadata withUid(String value) {
    return new Metadata(
        namespace, name, value, labels, annotations, owners, creationTimestamp, deletionTimestamp);
  }

  public Metadata withOwners(List<OwnerReference> value) {
    return new Metadata(
        namespace, name, uid, labels, annotations, value, creationTimestamp, deletionTimestamp);
  }

  public Metadata withCreationTimestamp(String value) {
    return new Metadata(
        namespace, name, uid, labels, annotations, owners, value, deletionTimestamp);
  }

  public Metadata withDeletionTimestamp(String value) {
    return new Metadata(
        namespace, name, uid, labels, annotations, owners, creationTimestamp, value);
  }
}
