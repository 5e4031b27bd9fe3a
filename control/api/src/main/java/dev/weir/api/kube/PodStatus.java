package dev.weir.api.kube;

import java.net.InetAddress;
import java.util.List;

/**
 * What a pod is now.
 *
 * @param phase Pending, Running, Succeeded, Failed, Unknown; empty before anyone has looked
 * @param startTime RFC 3339; empty before it has started
 */
public record PodStatus(
    String phase,
    List<InetAddress> hostIps,
    List<InetAddress> podIps,
    List<Condition> conditions,
    List<ContainerStatus> containers,
    String startTime,
    String reason,
    String message) {
  public static final PodStatus NONE =
      new PodStatus("", List.of(), List.of(), List.of(), List.of(), "", "", "");

  public PodStatus {
    hostIps = List.copyOf(hostIps);
    podIps = List.copyOf(podIps);
    conditions = List.copyOf(conditions);
    containers = List.copyOf(containers);
  }

  public boolean ready() {
    for (Condition condition : conditions) {
      if (condition.type().equals(Condition.READY)) {
        return condition.met();
      }
    }
    return false;
  }

  /** What one container is now. */
  public record ContainerStatus(String name, boolean ready, int restarts) {}
}
