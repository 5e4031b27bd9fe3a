package dev.weir.e2e;

import static org.assertj.core.api.Assertions.assertThat;

import dev.weir.api.json.Json;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ConditionEvaluationResult;
import org.junit.jupiter.api.extension.ExecutionCondition;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.extension.ExtensionContext;

/** Certificates that change under load between nodes. */
@ExtendWith(RotationIT.OnThisMachine.class)
final class RotationIT {
  private static final String IDENTITY = "spiffe://cluster.local/ns/e2e/sa/default";
  private static final List<String> NODES = List.of("node-1", "node-2");
  private static final Duration LIFE = Duration.ofSeconds(60);
  private static Lab lab;

  static final class OnThisMachine implements ExecutionCondition {
    @Override
    public ConditionEvaluationResult evaluateExecutionCondition(ExtensionContext context) {
      return Machine.needed();
    }
  }

  @BeforeAll
  static void up() {
    lab =
        Lab.up(
            "rotation",
            Lab.yaml("mesh.yaml") + "---\n" + Lab.yaml("upgrade.yaml"),
            "--cert-ttl",
            LIFE.toSeconds() + "s");
  }

  @AfterAll
  static void down() {
    lab.close();
  }

  @Test
  void aCertificateThatIsReplacedUnderLoadIsNoticedByNobody() {
    for (String node : NODES) {
      Waiting.until(
          "a certificate on " + node,
          () -> lab.certificate(node, IDENTITY).get("state").text().equals("Available"));
    }
    List<CompletableFuture<String>> loads =
        List.of(
            load("-c", "16", "http://web-far/"),
            // Each request is a stream of its own, in an old tunnel or a new one.
            load("-c", "4", "-H", "Connection: close", "http://web-far/"));
    try (var held = lab.hold("in-a", "in-c", 80, "v4")) {
      Map<String, Json> before = new LinkedHashMap<>();
      Map<String, Long> handshakes = new LinkedHashMap<>();
      for (String node : NODES) {
        Json certificate = lab.certificate(node, IDENTITY);
        assertThat(
                Duration.between(
                    Instant.now(), Instant.parse(certificate.get("expirationTime").text())))
            .as(node)
            .isPositive()
            .isLessThanOrEqualTo(LIFE);
        before.put(node, certificate);
        handshakes.put(node, lab.handshakes(node));
      }
      assertThat(lab.certs("-o", "wide").ok().out())
          .contains(IDENTITY)
          .contains(before.values().stream().map(each -> each.get("serial").text()).toList())
          .contains(before.values().stream().map(each -> each.get("validFrom").text()).toList());

      before.forEach((node, certificate) -> {
        Waiting.within(
            35,
            "another certificate on " + node,
            () ->
                !lab.certificate(node, IDENTITY)
                    .get("serial")
                    .text()
                    .equals(certificate.get("serial").text()));
        Waiting.until(
            "tunnels with the new certificate on " + node,
            () -> lab.handshakes(node) > handshakes.getOrDefault(node, 0L));
      });
      assertThat(loads).as("the load outlived the change").noneMatch(CompletableFuture::isDone);
      assertThat(held.say("still")).isEqualTo("still");
    }
    for (CompletableFuture<String> load : loads) {
      assertThat(load.join())
          .contains("requests in")
          .doesNotContain("Socket errors")
          .doesNotContain("Non-2xx");
    }
  }

  private static CompletableFuture<String> load(String... how) {
    List<String> command = new ArrayList<>(List.of("wrk", "-t1", "-d", "42s", "--timeout", "10s"));
    command.addAll(List.of(how));
    return CompletableFuture.supplyAsync(
        () -> lab.exec("load", "", command.toArray(String[]::new)).ok().out(),
        task -> Thread.ofVirtual().start(task));
  }
}
