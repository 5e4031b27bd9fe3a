package dev.weir.agent.capture;

import java.net.InetAddress;
import java.nio.file.Path;
import java.util.List;

/**
 * Where capture works.
 *
 * @param node name of this node, for logs
 * @param cgroup the cgroup2 folder whose processes are captured: this node's
 * @param bpffs folder under a bpffs where maps and links are pinned
 * @param nodeAddresses where kubelet probes come from
 */
public record CaptureOptions(
    String node, Path cgroup, Path bpffs, List<InetAddress> nodeAddresses) {
  public CaptureOptions {
    nodeAddresses = List.copyOf(nodeAddresses);
  }
}
