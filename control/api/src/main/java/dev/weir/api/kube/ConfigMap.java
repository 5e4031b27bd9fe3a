package dev.weir.api.kube;

import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.Map;
import java.util.TreeMap;

/**
 * Files and values for pods.
 *
 * @param binaryData base64, as in the manifest
 */
public record ConfigMap(Metadata metadata, Map<String, String> data, Map<String, String> binaryData)
    implements KubeObject {
  public ConfigMap {
    data = Map.copyOf(data);
    binaryData = Map.copyOf(binaryData);
  }

  @Override
  public String apiVersion() {
    return "v1";
  }

  /** Every key with its bytes, sorted by key. */
  public Map<String, byte[]> files() {
    Map<String, byte[]> files = new TreeMap<>();
    data.forEach((key, text) -> files.put(key, text.getBytes(StandardCharsets.UTF_8)));
    binaryData.forEach((key, base64) -> files.put(key, Base64.getDecoder().decode(base64)));
    return files;
  }
}
