package dev.weir.api.kube;

import java.util.Base64;
import java.util.Map;
import java.util.TreeMap;

/**
 * Files and values for pods that others should not read.
 *
 * @param data base64, as in the manifest; {@code stringData} has been merged in
 */
public record Secret(Metadata metadata, String type, Map<String, String> data)
    implements KubeObject {
  public Secret {
    data = Map.copyOf(data);
  }

  @Override
  public String apiVersion() {
    return "v1";
  }

  /** Every key with its bytes, sorted by key. */
  public Map<String, byte[]> files() {
    Map<String, byte[]> files = new TreeMap<>();
    data.forEach((key, base64) -> files.put(key, Base64.getDecoder().decode(base64)));
    return files;
  }

  /** A secret's values stay out of logs. */
  @Override
  public String toString() {
    return "Secret["
        + metadata.namespace()
        + "/"
        + metadata.name()
        + ", keys="
        + data.keySet()
        + "]";
  }
}
