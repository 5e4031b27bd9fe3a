package dev.weir.api.kube;

import java.net.InetAddress;
import java.util.List;

/** A machine of the cluster. Its locality stands in its {@code topology.kubernetes.io} labels. */
public record Node(
    Metadata metadata,
    List<InetAddress> addresses,
    List<String> podCidrs,
    List<Condition> conditions)
    implements KubeObject {
  public static final String REGION_LABEL = "topology.kubernetes.io/region";
  public static final String ZONE_LABEL = "topology.kubernetes.io/zone";

  public Node {
    addresses = List.copyOf(addresses);
    podCidrs = List.copyOf(podCidrs);
    conditions = List.copyOf(conditions);
  }

  @Override
  public String apiVersion() {
    return "v1";
  }

  public String region() {
    return metadata.labels().getOrDefault(REGION_LABEL, "");
  }

  public String zone() {
    return metadata.labels().getOrDefault(ZONE_LABEL, "");
  }
}
