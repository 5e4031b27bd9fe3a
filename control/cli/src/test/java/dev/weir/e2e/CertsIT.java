package dev.weir.e2e;

import static org.assertj.core.api.Assertions.assertThat;

import dev.weir.api.json.Json;
import dev.weir.testing.NeedsKernel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;

/**
 * Certificates in a lab of two nodes: who has which, that they change, what is said when none come.
 */
@NeedsKernel
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
final class CertsIT {
  private static final String FRONT = "spiffe://cluster.local/ns/e2e/sa/front";
  private static final String DEFAULT = "spiffe://cluster.local/ns/e2e/sa/default";
  private static final String CONTROL = "10.243.255.254:15012";
  private static final String YAML =
      """
      apiVersion: v1
      kind: Namespace
      metadata: {name: e2e, annotations: {weir.dev/mesh: enabled}}
      ---
      apiVersion: v1
      kind: ServiceAccount
      metadata: {name: front, namespace: e2e}
      ---
      apiVersion: v1
      kind: Pod
      metadata: {name: front, namespace: e2e}
      spec:
        nodeName: node-1
        serviceAccountName: front
        terminationGracePeriodSeconds: 1
        containers: [{name: peer, image: none, command: [python3, PEER, serve, "8080", "8081"]}]
      ---
      apiVersion: v1
      kind: Pod
      metadata: {name: back, namespace: e2e}
      spec:
        nodeName: node-2
        terminationGracePeriodSeconds: 1
        containers: [{name: peer, image: none, command: [python3, PEER, serve, "8080", "8081"]}]
      """;

  private @Nullable Lab lab;

  @BeforeAll
  void up() {
    lab =
        Lab.up(
            "certs",
            YAML.replace("PEER", Lab.peer().toString()),
            "--nodes",
            "2",
            "--cert-ttl",
            "20s");
  }

  @AfterAll
  void down() {
    Lab up = lab;
    if (up != null) {
      up.close();
    }
  }

  private Lab lab() {
    Lab up = lab;
    if (up == null) {
      throw new AssertionError("the lab is not up");
    }
    return up;
  }

  private void awaitAvailable() {
    Waiting.until(
        "both certificates",
        () ->
            lab().certificate("node-1", FRONT).get("state").text().equals("Available")
                && lab().certificate("node-2", DEFAULT).get("state").text().equals("Available"));
  }

  @Test
  void each_node_has_its_own_pods_identities_and_they_change() {
    awaitAvailable();
    assertThat(lab().certificate("node-2", FRONT).get("identity").isNull())
        .as("node-2 has an identity of a pod that is not its own")
        .isTrue();
    String people = lab().certs("-o", "wide").ok().out();
    assertThat(people).contains(FRONT).contains(DEFAULT).contains("Available");
    Set<String> serials = new TreeSet<>();
    Waiting.within(
        40,
        "three serials of one identity",
        () -> {
          serials.add(lab().certificate("node-1", FRONT).get("serial").text());
          return serials.size() >= 3;
        });
    assertThat(lab().certs().ok().status()).isZero();
  }

  @Test
  void config_dump_shows_them_as_istioctl_reads_them() {
    awaitAvailable();
    Json dumped =
        lab().admin("node-1", "/config_dump").get("certificates").items().stream()
            .filter(each -> each.get("identity").text().equals(FRONT))
            .findFirst()
            .orElseThrow(() -> new AssertionError("not in the dump"));
    assertThat(dumped.get("state").text()).isEqualTo("Available");
    Json leaf = dumped.get("certChain").items().getFirst();
    assertThat(
            new String(
                Base64.getDecoder().decode(leaf.get("pem").text()), StandardCharsets.US_ASCII))
        .startsWith("-----BEGIN CERTIFICATE-----");
    assertThat(leaf.get("serialNumber").text()).matches("[0-9]+");
    assertThat(dumped.get("rootCerts").items()).hasSize(1);
  }

  @Test
  void configuration_comes_by_TLS_for_a_token_and_by_nothing_else() {
    for (String node : List.of("node-1", "node-2")) {
      Json xds = lab().admin(node, "/status").get("xds");
      assertThat(xds.get("security").text()).as(xds.toJson()).isEqualTo("tls");
      assertThat(xds.get("target").text()).isEqualTo(CONTROL);
      assertThat(xds.get("connected").isTrue()).as(xds.toJson()).isTrue();
    }
    Json control =
        Json.parse(
            AdminDoor.get(
                Path.of("/run/weir-lab", lab().name(), "control", "admin.sock"), "/status"));
    assertThat(control.get("ports").get("plain").get("port").isNull())
        .as(control.toJson())
        .isTrue();
    assertThat(control.get("clients").items())
        .hasSize(2)
        .allMatch(client -> !client.get("tokenUntil").text().isEmpty());
    // One line a node, for configuration and certificates.
    assertThat(control.get("ports").get("tls").get("open").integer()).isEqualTo(2);

    assertThat(fromNode("curl", "-sS", "-m5", "--http2-prior-knowledge", "http://" + CONTROL))
        .as("in the clear")
        .startsWith("curl: (");
    assertThat(fromNode("curl", "-sS", "-m5", "http://10.243.255.254:15010"))
        .startsWith("curl: (7) ");
    assertThat(fromNode("openssl", "s_client", "-connect", CONTROL, "-tls1_2"))
        .contains("protocol version");
    Path roots = Path.of("/run/weir-lab", lab().name(), "control", "ca", "roots.pem");
    assertThat(
            fromNode(
                "curl",
                "-sS",
                "-m5",
                "-i",
                "--http2",
                "--cacert",
                roots.toString(),
                "-X",
                "POST",
                "-H",
                "content-type: application/grpc",
                "-H",
                "te: trailers",
                "https://"
                    + CONTROL
                    + "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"))
        .as("without a token")
        .contains("grpc-status: 16", "no bearer token");
  }

  /** What a program in a node's namespace says, whatever its end. */
  private String fromNode(String... command) {
    List<String> all =
        new ArrayList<>(List.of("ip", "netns", "exec", "weir-" + lab().name() + "-node-1"));
    all.addAll(List.of(command));
    WeirCommand.Outcome outcome = WeirCommand.process(all);
    return outcome.out() + outcome.err();
  }

  @Test
  void without_a_control_plane_the_old_ones_hold_and_the_trouble_is_told() {
    awaitAvailable();
    lab().lab("control", "kill").ok();
    try {
      Waiting.within(
          30,
          "the failure to be told",
          () ->
              lab().certificate("node-1", FRONT).get("cause").text().equals("ca-unreachable")
                  && lab()
                      .certificate("node-2", DEFAULT)
                      .get("cause")
                      .text()
                      .equals("ca-unreachable"));
      assertThat(lab().certs().out()).contains("problems").contains("weir lab logs control");
      assertThat(WeirCommand.run("status", "--name", lab().name()).out())
          .contains("node-1: certificates: " + FRONT)
          .contains("node-1: control plane: unreachable: the control plane is not reachable")
          .contains("the CA is not reachable");
    } finally {
      lab().lab("control", "start").ok();
    }
    Waiting.within(
        40,
        "fresh certificates",
        () ->
            lab().certificate("node-1", FRONT).get("failures").integer() == 0
                && lab().certificate("node-1", FRONT).get("state").text().equals("Available"));
  }
}
