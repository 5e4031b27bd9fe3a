package dev.weir.lab;

import dev.weir.api.kube.ConfigMap;
import dev.weir.api.kube.KubeObject;
import dev.weir.api.kube.Namespace;
import dev.weir.api.kube.Secret;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * What the user applied, and what controllers made of it; pods that run are kept elsewhere. Desk
 * only.
 */
final class Objects {
  /** Names as kubectl takes them. */
  private static final Map<String, String> KINDS =
      Map.ofEntries(
          Map.entry("pod", "Pod"),
          Map.entry("po", "Pod"),
          Map.entry("deployment", "Deployment"),
          Map.entry("deploy", "Deployment"),
          Map.entry("replicaset", "ReplicaSet"),
          Map.entry("rs", "ReplicaSet"),
          Map.entry("statefulset", "StatefulSet"),
          Map.entry("sts", "StatefulSet"),
          Map.entry("daemonset", "DaemonSet"),
          Map.entry("ds", "DaemonSet"),
          Map.entry("job", "Job"),
          Map.entry("service", "Service"),
          Map.entry("svc", "Service"),
          Map.entry("endpointslice", "EndpointSlice"),
          Map.entry("configmap", "ConfigMap"),
          Map.entry("cm", "ConfigMap"),
          Map.entry("secret", "Secret"),
          Map.entry("accesspolicy", "AccessPolicy"),
          Map.entry("accesspolicies", "AccessPolicy"),
          Map.entry("serviceaccount", "ServiceAccount"),
          Map.entry("sa", "ServiceAccount"),
          Map.entry("namespace", "Namespace"),
          Map.entry("ns", "Namespace"));

  private final Map<String, KubeObject> byKey = new LinkedHashMap<>();

  /** {@code Deployment} for {@code deploy}, {@code deployments} or {@code Deployment.apps}. */
  static String kind(String word) {
    String lower = word.toLowerCase(Locale.ROOT).replaceFirst("\\..*", "");
    String kind = KINDS.get(lower);
    if (kind == null && lower.endsWith("s")) {
      kind = KINDS.get(lower.substring(0, lower.length() - 1));
    }
    if (kind == null) {
      throw new LabException(
          "kind '"
              + word
              + "' is unknown (expected: "
              + String.join(", ", KINDS.keySet().stream().sorted().toList())
              + ")");
    }
    return kind;
  }

  /** What {@link KubeObject#key} says of such an object. */
  static String key(String kind, String namespace, String name) {
    return kind.equals("Namespace") || kind.equals("Node")
        ? kind + " " + name
        : kind + " " + namespace + "/" + name;
  }

  /**
   * {@code deployment/web} for the key {@code Deployment default/web}; other namespaces are named.
   */
  static String readable(String key) {
    int blank = key.indexOf(' ');
    String name = key.substring(blank + 1);
    String kind = key.substring(0, blank).toLowerCase(Locale.ROOT);
    int slash = name.indexOf('/');
    return slash < 0
        ? kind + "/" + name
        : kind + "/" + name.substring(slash + 1) + " (" + name.substring(0, slash) + ")";
  }

  void put(KubeObject object) {
    byKey.put(object.key(), object);
  }

  @Nullable KubeObject remove(String key) {
    return byKey.remove(key);
  }

  @Nullable KubeObject get(String key) {
    return byKey.get(key);
  }

  <T extends KubeObject> @Nullable T get(Class<T> type, String namespace, String name) {
    KubeObject object = byKey.get(key(type.getSimpleName(), namespace, name));
    return type.isInstance(object) ? type.cast(object) : null;
  }

  <T extends KubeObject> List<T> all(Class<T> type) {
    return byKey.values().stream().filter(type::isInstance).map(type::cast).toList();
  }

  Collection<KubeObject> all() {
    return List.copyOf(byKey.values());
  }

  @Nullable Namespace namespace(String name) {
    return get(Namespace.class, "", name);
  }

  /** The files of a ConfigMap; null where there is none. */
  @Nullable Map<String, byte[]> configMap(String namespace, String name) {
    ConfigMap map = get(ConfigMap.class, namespace, name);
    return map == null ? null : map.files();
  }

  @Nullable Map<String, byte[]> secret(String namespace, String name) {
    Secret secret = get(Secret.class, namespace, name);
    return secret == null ? null : secret.files();
  }
}
