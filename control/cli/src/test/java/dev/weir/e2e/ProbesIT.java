package dev.weir.e2e;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/**
 * The node may reach what a Pod's probes name; anything else from it is metered like everybody's.
 */
@ExtendWith(MeshLab.class)
final class ProbesIT {
  @Test
  void theNodeReachesAProbePortPastTheAgentAndOthersThroughIt(Lab lab) {
    String pod = lab.ip("in-b", "v4");
    long before = inbound(lab);
    assertThat(fromTheNode(lab, pod, 8081)).startsWith("FROM ");
    assertThat(inbound(lab)).as("a probe is not metered").isEqualTo(before);
    assertThat(fromTheNode(lab, pod, 8080)).startsWith("FROM ");
    Waiting.until("what is no probe to be metered", () -> inbound(lab) > before);
  }

  private static long inbound(Lab lab) {
    return lab.admin("node-1", "/edges").items().stream()
        .filter(edge -> edge.get("destination").get("pod").text().equals("in-b"))
        .filter(edge -> edge.get("source").get("pod").text().isEmpty())
        .mapToLong(edge -> edge.get("opened").integer())
        .sum();
  }

  private static String fromTheNode(Lab lab, String address, int port) {
    return lab.inNode(
        "node-1", "bash", "-c", "exec 3<>/dev/tcp/%s/%d && head -n1 <&3".formatted(address, port));
  }
}
