package dev.weir.lab;

import dev.weir.api.kube.Metadata;
import dev.weir.api.kube.Pod;
import java.net.InetAddress;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/** Fields of a pod by their path, as {@code fieldRef} and downward API volumes name them. */
final class PodFields {
  private static final Pattern SUBSCRIPT =
      Pattern.compile("metadata\\.(labels|annotations)\\['([^']*)'\\]");

  private PodFields() {}

  static String value(Pod pod, String nodeIp, String path) {
    Metadata metadata = pod.metadata();
    Matcher subscript = SUBSCRIPT.matcher(path);
    if (subscript.matches()) {
      Map<String, String> map =
          subscript.group(1).equals("labels") ? metadata.labels() : metadata.annotations();
      return map.getOrDefault(subscript.group(2), "");
    }
    return switch (path) {
      case "metadata.name" -> pod.name();
      case "metadata.namespace" -> pod.namespace();
      case "metadata.uid" -> metadata.uid();
      case "metadata.labels" -> lines(metadata.labels());
      case "metadata.annotations" -> lines(metadata.annotations());
      case "spec.nodeName" -> pod.spec().nodeName();
      case "spec.serviceAccountName" -> pod.spec().serviceAccountName();
      case "status.hostIP" -> nodeIp;
      case "status.podIP" -> ip(pod);
      case "status.podIPs" ->
          pod.status().podIps().stream()
              .map(InetAddress::getHostAddress)
              .collect(Collectors.joining(","));
      default ->
          throw new LabException(
              "fieldPath '"
                  + path
                  + "' (expected: metadata.name, .namespace, .uid, .labels['KEY'], .annotations['KEY'], spec.nodeName,"
                  + " spec.serviceAccountName, status.hostIP, status.podIP or status.podIPs)");
    };
  }

  static String ip(Pod pod) {
    return pod.status().podIps().isEmpty() ? "" : pod.status().podIps().getFirst().getHostAddress();
  }

  private static String lines(Map<String, String> map) {
    return new TreeMap<>(map)
        .entrySet().stream()
            .map(entry ->
                entry.getKey()
                    + "=\""
                    + entry.getValue().replace("\\", "\\\\").replace("\"", "\\\"")
                    + "\"")
            .collect(Collectors.joining("\n"));
  }
}
