package dev.weir.e2e;

import static org.assertj.core.api.Assertions.assertThat;

import dev.weir.api.json.Json;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** What a pod costs its node's agent is seen, and billed to that pod. */
@ExtendWith(MeshLab.class)
final class TopIT {
  @Test
  void aConnectionBetweenNodesIsOnTheAccountsOfBothItsPods(Lab lab) {
    try (Lab.Held tunnelled = lab.hold("in-a", lab.ip("in-c", "v4"), 8080, "v4")) {
      assertThat(tunnelled.say("hello")).isEqualTo("hello");
      Json top =
          Json.parse(
              WeirCommand.run(
                      "top", "--name", lab.name(), "--once", "--interval", "100ms", "-o", "json")
                  .ok()
                  .out());
      for (String pod : new String[] {"in-a", "in-c"}) {
        Json line =
            top.get("pods").items().stream()
                .filter(each -> each.get("pod").text().equals(pod))
                .findFirst()
                .orElseThrow(() -> new AssertionError(pod + " is missing: " + top.toJson()));
        assertThat(line.get("connections").integer()).as(line.toJson()).isPositive();
        assertThat(line.get("streams").integer()).as(line.toJson()).isPositive();
      }
      assertThat(top.get("errors").items()).isEmpty();
      assertThat(lab.metrics("node-1"))
          .containsPattern("weir_pod_cpu_nanoseconds_total\\{[^}]*pod=\"in-a\"[^}]*} [1-9]");
    }
  }
}
