package dev.weir.e2e;

import static org.assertj.core.api.Assertions.assertThat;

import dev.weir.api.json.Json;
import dev.weir.testing.NeedsKernel;
import java.time.Duration;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** AccessPolicies in force: who is let in, who is cut, and who does not notice. */
@NeedsKernel
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
final class PolicyIT {
  private static final Duration AT_ONCE = Duration.ofSeconds(1);

  /** How a caller reaches the server: one of each service account. */
  enum Way {
    /** In the kernel, by a verdict that the agent has given. */
    KERNEL("friend", "stranger"),
    THROUGH_THE_AGENT("friend-off", "stranger-off"),
    /** Who calls is proven by a certificate, and the server's node decides. */
    BETWEEN_NODES("friend-far", "stranger-far");

    private final String friend;
    private final String stranger;

    Way(String friend, String stranger) {
      this.friend = friend;
      this.stranger = stranger;
    }
  }

  private final Set<String> standing = new HashSet<>();
  private Lab lab;

  @SuppressWarnings("NullAway.Init")
  PolicyIT() {}

  @BeforeAll
  void up() {
    lab = Lab.up("policy", Lab.yaml("policy.yaml"), "--nodes", "2");
    Waiting.until("the server to be enrolled", () -> lab.isEnrolled("server"));
    for (Way way : Way.values()) {
      Waiting.until(way.friend + " to be enrolled", () -> lab.isEnrolled(way.friend));
      Waiting.until(way.stranger + " to be enrolled", () -> lab.isEnrolled(way.stranger));
    }
    for (String pod : List.of("friend", "stranger")) {
      Waiting.until(
          pod + " to talk in the kernel",
          () -> {
            assertThat(talks(pod)).as(pod + " talks\n" + lab.logs()).isTrue();
            return lab.opened("node-1", pod, "server", "direct") > 0;
          });
    }
  }

  @AfterAll
  void down() {
    if (lab != null) {
      lab.close();
    }
  }

  @AfterEach
  void noPolicies() {
    for (String policy : standing) {
      lab.lab("delete", "accesspolicy/" + policy, "-n", "e2e").ok();
    }
    standing.clear();
    Waiting.until("those outside to be let in once no policy stands", () -> talks("outside"));
    for (Way way : Way.values()) {
      for (String pod : List.of(way.friend, way.stranger)) {
        Waiting.until(pod + " to be let in once no policy stands", () -> talks(pod));
      }
    }
    // The kernel's verdict comes back with the first connection through the agent.
    for (String pod : List.of("friend", "stranger")) {
      long before = lab.opened("node-1", pod, "server", "direct");
      Waiting.until(
          pod + " to talk in the kernel again",
          () -> talks(pod) && lab.opened("node-1", pod, "server", "direct") > before);
    }
  }

  private void policy(String name, String spec) {
    standing.add(name);
    lab.apply(
        """
        apiVersion: weir.dev/v1alpha1
        kind: AccessPolicy
        metadata: {name: %s, namespace: e2e}
        spec: %s
        """
            .formatted(name, spec));
  }

  private boolean talks(String pod) {
    return lab.one(pod, Cases.of("talk", lab.ip("server", "v4"), 8080)).get("echoed").isTrue();
  }

  /** How a connection that is not wanted ends. */
  private String ends(String pod) {
    return lab.one(pod, Cases.of("connect", lab.ip("server", "v4"), 8080)).get("ends").text();
  }

  private Lab.Held hold(String pod) {
    return lab.hold(pod, lab.ip("server", "v4"), 8080, "v4");
  }

  private static void endsAtOnce(Lab.Held held, long since) {
    while (held.say("on").equals("on")) {
      assertThat(Duration.ofNanos(System.nanoTime() - since))
          .as("a connection that lost its right is alive since")
          .isLessThan(AT_ONCE);
    }
  }

  @ParameterizedTest
  @EnumSource
  void whoIsDeniedLosesWhatItHasAndTheOthersDoNotNotice(Way way) {
    try (var friend = hold(way.friend);
        var stranger = hold(way.stranger)) {
      assertThat(stranger.say("hello")).isEqualTo("hello");
      long before = denied("e2e/p");
      policy(
          "p",
          "{action: deny, targetRefs: [{kind: Service, name: server}], from: [{serviceAccounts: [e2e/stranger]}]}");
      endsAtOnce(stranger, System.nanoTime());
      Waiting.until("what was cut to be counted", () -> denied("e2e/p") > before);
      assertThat(ends(way.stranger)).isEqualTo("ECONNRESET");
      assertThat(lab.refusals("node-1", "denied")).isPositive();
      assertThat(friend.say("untouched")).isEqualTo("untouched");
      assertThat(talks(way.friend)).isTrue();
      assertThat(lab.logs()).contains("denied by policy e2e/p");
    }
  }

  @Test
  void onceSomebodyIsAllowedNobodyElseIs() {
    try (var stranger = hold("stranger-off")) {
      policy(
          "p",
          "{targetRefs: [{kind: Pod, selector: {matchLabels: {app: server}}}], from: [{serviceAccounts: ['*/friend']}], to: [{ports: [8080]}]}");
      endsAtOnce(stranger, System.nanoTime());
      assertThat(ends("outside")).isEqualTo("ECONNRESET");
      for (Way way : Way.values()) {
        assertThat(ends(way.stranger)).as(way.stranger).isEqualTo("ECONNRESET");
        assertThat(talks(way.friend)).as(way.friend).isTrue();
      }
    }
  }

  @ParameterizedTest
  @EnumSource
  void aShadowCountsAndLetsPass(Way way) {
    try (var stranger = hold(way.stranger)) {
      policy("p", "{action: deny, mode: shadow, from: [{serviceAccounts: [e2e/stranger]}]}");
      Waiting.until(
          "connections that would be denied to be counted",
          () -> {
            assertThat(talks(way.stranger)).isTrue();
            return wouldDeny("e2e/p") > 0;
          });
      long before = wouldDeny("e2e/p");
      assertThat(talks(way.stranger)).isTrue();
      assertThat(wouldDeny("e2e/p")).as("each is counted").isEqualTo(before + 1);
      assertThat(stranger.say("unharmed")).isEqualTo("unharmed");
      assertThat(lab.logs()).contains("connection would be denied");
    }
  }

  private long denied(String policy) {
    return decided(policy, "denied");
  }

  private long wouldDeny(String policy) {
    return decided(policy, "would-deny");
  }

  private long decided(String policy, String effect) {
    return lab.admin("node-1", "/status").get("policies").get("decisions").items().stream()
        .filter(each -> each.get("policy").text().equals(policy))
        .filter(each -> each.get("effect").text().equals(effect))
        .mapToLong(each -> each.get("count").integer())
        .sum();
  }

  @Test
  void strictRefusesWhoCannotProveAnythingAndProbesGoOn() {
    try (var outside = hold("outside");
        var friend = hold("friend-off");
        var far = hold("friend-far")) {
      policy("p", "{mtls: strict}");
      endsAtOnce(outside, System.nanoTime());
      assertThat(ends("outside")).isEqualTo("ECONNRESET");
      assertThat(lab.refusals("node-1", "mtls-required")).isPositive();
      assertThat(talks("friend")).as("the kernel knows who calls on one node").isTrue();
      assertThat(talks("friend-far")).as("a certificate says who calls from afar").isTrue();
      assertThat(friend.say("untouched")).isEqualTo("untouched");
      assertThat(far.say("untouched")).isEqualTo("untouched");
      assertThat(fromTheNode(8081)).as("a probe's port").startsWith("FROM ");
      assertThat(fromTheNode(8080)).as("a port that no probe names").isEmpty();
      assertThat(lab.pod("server").get("ready").isTrue()).isTrue();

      policy("q", "{mtls: permissive, targetRefs: [{kind: Service, name: server}]}");
      Waiting.until("the narrower mode to win", () -> talks("outside"));
    }
  }

  private String fromTheNode(int port) {
    return lab.inNode(
        "node-1",
        "bash",
        "-c",
        "exec 3<>/dev/tcp/%s/%d; head -n1 <&3 2>/dev/null || true"
            .formatted(lab.ip("server", "v4"), port));
  }

  @Test
  void whatCannotBeMeantIsRefusedAndTheOldStaysInForce() {
    policy("p", "{action: deny, from: [{serviceAccounts: [e2e/stranger]}]}");
    Waiting.until("the policy to be in force", () -> ends("stranger").equals("ECONNRESET"));
    WeirCommand.Outcome refused =
        WeirCommand.run(
            """
            apiVersion: weir.dev/v1alpha1
            kind: AccessPolicy
            metadata: {name: p, namespace: e2e}
            spec:
              from: [{serviceAccounts: [e2e/stranger]}]
              to:
              - methods: [GET]
            """,
            List.of("lab", "apply", "--name", lab.name(), "-f", "-"));
    assertThat(refused.status()).isNotZero();
    assertThat(refused.err()).contains(":7: spec.to[0].methods is layer 7");
    assertThat(ends("stranger")).isEqualTo("ECONNRESET");
    assertThat(ends("stranger-off")).isEqualTo("ECONNRESET");
    assertThat(ends("stranger-far")).isEqualTo("ECONNRESET");
    assertThat(talks("friend")).isTrue();
    Json policies = lab.admin("node-1", "/status").get("policies");
    assertThat(policies.get("names").items()).extracting(Json::text).containsExactly("e2e/p");
    assertThat(policies.get("problems").items()).isEmpty();
  }

  @Test
  void aPolicyThatPicksNobodySaysSo() {
    policy(
        "p",
        "{action: deny, targetRefs: [{kind: Service, name: sever}], from: [{namespaces: [x]}]}");
    Waiting.until(
        "the policy to come",
        () ->
            WeirCommand.run("status", "--name", lab.name())
                .ok()
                .out()
                .lines()
                .anyMatch(line -> line.contains("e2e/p") && line.contains("matches no pod")));
    policy(
        "p",
        "{action: deny, targetRefs: [{kind: Service, name: server}], from: [{namespaces: [x]}]}");
    Waiting.until(
        "the one pod to be picked",
        () ->
            lab.admin("node-2", "/status").get("policies").get("targets").items().stream()
                .anyMatch(each ->
                    each.get("policy").text().equals("e2e/p") && each.get("pods").integer() == 1));
  }

  @Test
  void aPodThatIsRelabelledComesUnderItsPolicyAtOnce() {
    policy(
        "p",
        "{action: deny, targetRefs: [{kind: Pod, selector: {matchLabels: {guarded: \"yes\"}}}], from: [{serviceAccounts: [e2e/stranger]}]}");
    try (var direct = hold("stranger");
        var friend = hold("friend")) {
      assertThat(direct.say("not yet")).isEqualTo("not yet");
      lab.lab("label", "pod/server", "guarded=yes", "-n", "e2e").ok();
      endsAtOnce(direct, System.nanoTime());
      assertThat(ends("stranger")).isEqualTo("ECONNRESET");
      assertThat(friend.say("untouched")).isEqualTo("untouched");
    } finally {
      lab.lab("label", "pod/server", "guarded-", "-n", "e2e").ok();
    }
  }
}
