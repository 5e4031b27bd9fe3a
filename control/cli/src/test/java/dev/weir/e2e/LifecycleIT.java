package dev.weir.e2e;

import static org.assertj.core.api.Assertions.assertThat;

import dev.weir.api.json.Json;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/**
 * Opting in and out, agents that die and come back, pods that go and whose addresses are used
 * again.
 */
@ExtendWith(MeshLab.class)
final class LifecycleIT {
  @AfterEach
  void theMeshIsWholeAgain(Lab lab) {
    for (String node : new String[] {"node-1", "node-2"}) {
      if (!agentState(lab, node).equals("ready")) {
        lab.lab("agent", node, "start").ok();
        awaitReady(lab, node);
      }
    }
  }

  @Test
  void optingOutAndInActsAtOnceAndResetsNothing(Lab lab) {
    try (var direct = lab.hold("in-a", "in-b", 80, "v4");
        var relayed = lab.hold("in-a", "in-c", 80, "v4")) {
      lab.annotate("in-a", "weir.dev/mesh=disabled");
      Waiting.until("in-a to be out", () -> !lab.isEnrolled("in-a"));
      long before = opened(lab);
      assertThat(lab.one("in-a", Cases.of("talk", "in-c", 80)).get("echoed").isTrue()).isTrue();
      assertThat(opened(lab))
          .as("connections of in-a seen by the agent after it left")
          .isEqualTo(before);
      assertThat(direct.say("direct")).isEqualTo("direct");
      assertThat(relayed.say("relayed")).isEqualTo("relayed");

      lab.annotate("in-a", "weir.dev/mesh=enabled");
      Waiting.until("in-a to be in", () -> lab.isEnrolled("in-a"));
      assertThat(lab.one("in-a", Cases.of("talk", "in-c", 80)).get("echoed").isTrue()).isTrue();
      Waiting.until("in-a's connection to be seen", () -> opened(lab) > before);
      assertThat(direct.say("again")).isEqualTo("again");
      assertThat(relayed.say("again")).isEqualTo("again");
    } finally {
      lab.annotate("in-a", "weir.dev/mesh=enabled");
      Waiting.until("in-a to be in", () -> lab.isEnrolled("in-a"));
    }
  }

  @Test
  void aKilledAgentLeavesKernelFlowsAndItsSuccessorTakesOver(Lab lab) {
    Way.DIRECT.settle(lab);
    Way.JOINED.settle(lab);
    try (var direct = lab.hold("in-a", "in-b", 80, "v4");
        var joined = lab.hold("joined-a", "joined-b", 80, "v4");
        var relayed = lab.hold("in-a", "in-c", 80, "v4")) {
      lab.lab("agent", "node-1", "kill").ok();
      assertThat(direct.say("still")).isEqualTo("still");
      assertThat(joined.say("still")).isEqualTo("still");
      assertThat(relayed.say("gone"))
          .as("a relayed connection ends with its agent")
          .doesNotContain("gone");
      Json refused = lab.one("in-a", Cases.of("connect", lab.ip("in-c", "v4"), 8080));
      assertThat(refused.get("ends").text())
          .as("closed is the default: " + refused.toJson())
          .isIn("ECONNREFUSED", "ECONNRESET", "EPERM");
      assertThat(refused.get("seconds").number()).isLessThan(1);

      lab.lab("agent", "node-1", "start").ok();
      awaitReady(lab, "node-1");
      assertThat(lab.one("in-a", Cases.of("talk", "in-c", 80)).get("echoed").isTrue()).isTrue();
      assertThat(direct.say("still")).isEqualTo("still");
      assertThat(joined.say("still")).isEqualTo("still");
    }
  }

  @Test
  void aPodThatAskedForOpenTalksPlainlyWhileNoAgentLives(Lab lab) {
    lab.annotate("off-a", "weir.dev/on-agent-loss=open");
    try {
      Waiting.until(
          "the setting to reach the kernel",
          () ->
              lab.one("off-a", Cases.of("talk", "in-c", 80)).get("echoed").isTrue()
                  && knowsOpen(lab, "off-a"));
      lab.lab("agent", "node-1", "kill").ok();
      Json answer = lab.one("off-a", Cases.of("talk", lab.ip("out-c", "v4"), 8080));
      assertThat(answer.get("echoed").isTrue()).as(answer.toJson()).isTrue();
    } finally {
      lab.lab("agent", "node-1", "start").ok();
      awaitReady(lab, "node-1");
      lab.annotate("off-a", "weir.dev/on-agent-loss-");
    }
  }

  @Test
  void aVerdictDoesNotOutliveItsPod(Lab lab) {
    String first = guest("one");
    lab.apply(first);
    Waiting.until("guest to be in", () -> lab.isEnrolled("guest"));
    // Enrolled, and ready to be called, and known to be ready: three things, in this order.
    Waiting.until(
        "guest's Service to answer",
        () -> lab.one("in-a", Cases.of("talk", "guest", 80)).get("echoed").isTrue());
    assertThat(lab.one("in-a", Cases.of("talk", "guest", 80)).get("echoed").isTrue()).isTrue();
    String address = lab.ip("guest", "v4");
    lab.lab("delete", "pod/guest", "-n", "e2e").ok();
    // The address is used again by a pod outside the mesh: nothing of the old decision may hold for
    // it.
    lab.apply(guest("two").replace("weir.dev/mesh: enabled", "weir.dev/mesh: disabled"));
    Waiting.until("guest to be ready", () -> lab.pod("guest").get("ready").isTrue());
    long direct = lab.opened("node-1", "in-a", "guest", "direct");
    Json answer = lab.one("in-a", Cases.of("talk", lab.ip("guest", "v4"), 8080));
    assertThat(answer.get("echoed").isTrue()).as(answer.toJson() + " " + address).isTrue();
    assertThat(lab.opened("node-1", "in-a", "guest", "direct")).isEqualTo(direct);
    lab.lab("delete", "pod/guest", "-n", "e2e").ok();
  }

  private static String guest(String generation) {
    return """
    apiVersion: v1
    kind: Pod
    metadata: {name: guest, namespace: e2e, labels: {app: guest, generation: %s}, annotations: {weir.dev/mesh: enabled}}
    spec:
      nodeName: node-1
      terminationGracePeriodSeconds: 1
      containers:
      - {name: peer, image: none, command: [python3, %s, serve, "8080", "8081"], readinessProbe: {tcpSocket: {port: 8081}, periodSeconds: 1}}
    ---
    apiVersion: v1
    kind: Service
    metadata: {name: guest, namespace: e2e}
    spec:
      selector: {app: guest}
      ports: [{name: tcp, port: 80, targetPort: 8080}]
    """
        .formatted(generation, Lab.peer());
  }

  private static boolean knowsOpen(Lab lab, String pod) {
    return lab.admin("node-1", "/status").get("pods").items().stream()
        .anyMatch(each ->
            each.get("name").text().equals(pod) && each.get("onAgentLoss").text().equals("open"));
  }

  private static long opened(Lab lab) {
    return lab.opened("node-1", "in-a", "in-c", "tunnel");
  }

  private static String agentState(Lab lab, String node) {
    return lab.status().get("nodes").items().stream()
        .filter(each -> each.get("name").text().equals(node))
        .findFirst()
        .orElseThrow()
        .get("agent")
        .get("state")
        .text();
  }

  private static void awaitReady(Lab lab, String node) {
    Waiting.until(node + "'s agent to be ready", () -> agentState(lab, node).equals("ready"));
  }
}
