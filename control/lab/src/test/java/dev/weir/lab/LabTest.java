package dev.weir.lab;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import dev.weir.api.json.Json;
import dev.weir.testing.NeedsRoot;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.parallel.Execution;
import org.junit.jupiter.api.parallel.ExecutionMode;

/** What LAB.md promises, on one lab of two nodes without a mesh. */
@NeedsRoot
@Execution(ExecutionMode.SAME_THREAD)
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class LabTest {
  private static final String NAME = "labtest";

  private final LabClient lab = starting();

  private static LabClient starting() {
    LabClient.down(NAME);
    return LabClient.up(
        UpOptions.named(NAME)
            .withMesh(false)
            .withZones(Map.of("node-2", "b"))
            .withReady(Duration.ofSeconds(60))
            .withSources(List.of(new Source("basis.yaml", BASIS))),
        line -> {},
        line -> {});
  }

  private static final String BASIS =
      """
      apiVersion: v1
      kind: Pod
      metadata: {name: server, labels: {app: web}}
      spec:
        nodeName: node-1
        containers:
        - name: http
          command: [python3, -m, http.server, "8080", --bind, "::"]
          workingDir: /usr/share/doc
          ports: [{name: web, containerPort: 8080}]
          readinessProbe: {httpGet: {path: /, port: web}}
      ---
      apiVersion: v1
      kind: Pod
      metadata: {name: near}
      spec: {nodeName: node-1, containers: [{name: c, command: [sleep, infinity]}]}
      ---
      apiVersion: v1
      kind: Pod
      metadata: {name: far}
      spec: {nodeName: node-2, containers: [{name: c, command: [sleep, infinity]}]}
      ---
      apiVersion: v1
      kind: Service
      metadata: {name: web}
      spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: web}]}
      ---
      apiVersion: v1
      kind: Service
      metadata: {name: web-headless}
      spec: {clusterIP: None, selector: {app: web}, ports: [{name: http, port: 8080}]}
      ---
      apiVersion: v1
      kind: Service
      metadata: {name: nobody}
      spec: {selector: {app: nobody}, ports: [{port: 80}]}
      """;

  @BeforeAll
  void up() {
    assertThat(lab.status().get("missing").items()).isEmpty();
  }

  @AfterAll
  void down() {
    LabClient.down(NAME);
  }

  private record Output(int status, String out) {}

  private Output exec(String pod, String... argv) {
    return execIn("default", pod, argv);
  }

  private Output execIn(String namespace, String pod, String... argv) {
    try {
      Process process =
          new ProcessBuilder(lab.execCommand(namespace, pod, "", List.of(argv)))
              .redirectErrorStream(true)
              .start();
      process.getOutputStream().close();
      String out =
          new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8).strip();
      if (!process.waitFor(30, TimeUnit.SECONDS)) {
        process.destroyForcibly();
        throw new AssertionError(List.of(argv) + " has not ended: " + out);
      }
      return new Output(process.exitValue(), out);
    } catch (IOException | InterruptedException e) {
      throw new AssertionError(e);
    }
  }

  private void apply(String yaml) {
    lab.apply(List.of(new Source("test.yaml", yaml)));
  }

  private Json pod(String namespace, String name) {
    return lab.status().get("pods").items().stream()
        .filter(pod ->
            pod.get("namespace").text().equals(namespace) && pod.get("name").text().equals(name))
        .findFirst()
        .orElse(Json.Nothing.NOTHING);
  }

  private List<Json> podsOf(String namespace) {
    return lab.status().get("pods").items().stream()
        .filter(pod -> pod.get("namespace").text().equals(namespace))
        .toList();
  }

  private Json service(String namespace, String name) {
    return lab.status().get("services").items().stream()
        .filter(service ->
            service.get("namespace").text().equals(namespace)
                && service.get("name").text().equals(name))
        .findFirst()
        .orElse(Json.Nothing.NOTHING);
  }

  private String curl(String pod, String url) {
    return exec(pod, "curl", "-s", "-o", "/dev/null", "-m", "5", "-w", "%{http_code}", url).out();
  }

  @Test
  void podsReachAServiceByNameAndAddressOnBothNodesAndInBothFamilies() {
    List<Json> ips = service("default", "web").get("clusterIPs").items();
    assertThat(ips).hasSize(2);
    for (String client : List.of("near", "far", "server")) {
      assertThat(curl(client, "http://" + ips.get(0).text() + "/")).as(client).isEqualTo("200");
      assertThat(curl(client, "http://[" + ips.get(1).text() + "]/")).as(client).isEqualTo("200");
      assertThat(curl(client, "http://web.default.svc.cluster.local/")).as(client).isEqualTo("200");
      assertThat(curl(client, "http://web-headless.default:8080/")).as(client).isEqualTo("200");
    }
    for (Json ip : pod("default", "server").get("ips").items()) {
      String host = ip.text().contains(":") ? "[" + ip.text() + "]" : ip.text();
      assertThat(curl("far", "http://" + host + ":8080/")).isEqualTo("200");
    }
  }

  @Test
  void aServiceWithoutEndpointsOrWithoutThatPortRefusesAtOnce() {
    for (String url : List.of("http://nobody/", "http://web:81/")) {
      for (String family : List.of("-4", "-6")) {
        Output output = exec("far", "curl", "-sS", family, "-m", "5", "-w", "%{time_total}", url);
        assertThat(output.status()).as(url).isEqualTo(7);
        assertThat(output.out()).contains("connect").doesNotContain("timed out");
      }
    }
  }

  @Test
  void namesOutsideOfTheClusterDoNotExist() {
    Output output = exec("near", "getent", "hosts", "example.com");
    assertThat(output.status()).isNotZero();
    assertThat(output.out()).isEmpty();
  }

  @Test
  void aPodHasItsOwnHostnameProcessesEnvironmentAndFiles() {
    assertThat(exec("near", "hostname").out()).isEqualTo("near");
    assertThat(exec("near", "sh", "-c", "echo $POD_NAME $POD_NAMESPACE $POD_IP $NODE_NAME").out())
        .isEqualTo(
            "near default "
                + pod("default", "near").get("ips").items().getFirst().text()
                + " node-1");
    assertThat(exec("near", "cat", "/etc/resolv.conf").out())
        .isEqualTo(
            """
            nameserver 10.96.0.10
            search default.svc.cluster.local svc.cluster.local cluster.local
            options ndots:5\
            """);
    assertThat(exec("near", "cat", "/etc/hosts").out())
        .contains(pod("default", "near").get("ips").items().getFirst().text() + "\tnear");
    assertThat(exec("near", "sh", "-c", "ls -d /proc/[0-9]* | wc -l").out().strip())
        .satisfies(count -> assertThat(Integer.parseInt(count)).isLessThan(10));
    exec("near", "sh", "-c", "echo litter > /litter; mkdir -p /opt/litter");
    assertThat(Path.of("/litter")).doesNotExist();
    assertThat(Path.of("/opt/litter")).doesNotExist();
  }

  @Test
  void execPassesOnTheCommandsStatusAndInput() throws IOException, InterruptedException {
    assertThat(exec("near", "sh", "-c", "exit 42").status()).isEqualTo(42);
    Process process =
        new ProcessBuilder(lab.execCommand("default", "near", "c", List.of("cat"))).start();
    process.getOutputStream().write("through".getBytes(StandardCharsets.UTF_8));
    process.getOutputStream().close();
    assertThat(new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8))
        .isEqualTo("through");
    assertThat(process.waitFor()).isZero();
    assertThatThrownBy(() -> lab.execCommand("default", "near", "nope", List.of("true")))
        .isInstanceOf(LabException.class)
        .hasMessage("pod default/near has no container 'nope'");
  }

  @Test
  void volumesAppearAtPathsThatTheMachineDoesNotHaveAndFollowTheirSources() {
    apply(
        """
        apiVersion: v1
        kind: Namespace
        metadata: {name: vol}
        ---
        apiVersion: v1
        kind: ConfigMap
        metadata: {name: settings, namespace: vol}
        data: {colour: blue, "nested.conf": "a=1"}
        ---
        apiVersion: v1
        kind: Secret
        metadata: {name: key, namespace: vol}
        stringData: {password: hunter2}
        ---
        apiVersion: v1
        kind: Pod
        metadata: {name: p, namespace: vol, labels: {tier: gold}}
        spec:
          serviceAccountName: robot
          securityContext: {runAsUser: 1234, runAsGroup: 4321}
          containers:
          - name: c
            command: [sh, -c, "echo $(COLOUR) $HOST_IP $TIER; id -u; id -g; pwd; sleep infinity"]
            workingDir: /no/such/path
            env:
            - {name: COLOUR, valueFrom: {configMapKeyRef: {name: settings, key: colour}}}
            - {name: HOST_IP, valueFrom: {fieldRef: {fieldPath: status.hostIP}}}
            - {name: TIER, valueFrom: {fieldRef: {fieldPath: "metadata.labels['tier']"}}}
            volumeMounts:
            - {name: settings, mountPath: /no/such/path}
            - {name: key, mountPath: /var/run/secrets/key}
            - {name: scratch, mountPath: /scratch}
            - {name: token, mountPath: /var/run/secrets/tokens}
          volumes:
          - {name: settings, configMap: {name: settings}}
          - {name: key, secret: {secretName: key}}
          - {name: scratch, emptyDir: {}}
          - {name: token, projected: {sources: [{serviceAccountToken: {path: t, audience: istio-ca}}]}}
        """);
    lab.awaitReady(Duration.ofSeconds(30));
    await()
        .atMost(Duration.ofSeconds(10))
        .untilAsserted(() ->
            assertThat(Files.readString(lab.log("vol", "p", "")))
                .startsWith("blue " + "10.243.0.")
                .endsWith("gold\n1234\n4321\n/no/such/path\n"));
    assertThat(execIn("vol", "p", "cat", "/no/such/path/nested.conf").out()).isEqualTo("a=1");
    assertThat(execIn("vol", "p", "cat", "/run/secrets/key/password").out()).isEqualTo("hunter2");
    assertThat(execIn("vol", "p", "sh", "-c", "echo x > /scratch/f && cat /scratch/f").out())
        .isEqualTo("x");
    assertThat(execIn("vol", "p", "sh", "-c", "echo x > /no/such/path/f").status()).isNotZero();
    assertThat(execIn("vol", "p", "cut", "-d.", "-f2", "/run/secrets/tokens/t").out())
        .satisfies(claims ->
            assertThat(new String(Base64.getUrlDecoder().decode(claims), StandardCharsets.UTF_8))
                .contains("system:serviceaccount:vol:robot", "istio-ca"));
    assertThat(Path.of("/no")).doesNotExist();
    assertThat(Path.of("/run/secrets")).doesNotExist();
    apply(
        """
        apiVersion: v1
        kind: ConfigMap
        metadata: {name: settings, namespace: vol}
        data: {colour: red}
        """);
    await()
        .atMost(Duration.ofSeconds(5))
        .untilAsserted(() ->
            assertThat(execIn("vol", "p", "cat", "/no/such/path/colour").out()).isEqualTo("red"));
    lab.delete("vol", "ns", "vol");
    assertThat(podsOf("vol")).isEmpty();
  }

  @Test
  void aContainerThatEndsIsStartedAgainWithBackOffAndItsOutputIsKept() {
    apply(
        """
        apiVersion: v1
        kind: Pod
        metadata: {name: flaky, namespace: restart}
        spec: {containers: [{name: c, command: [sh, -c, "echo turn; exit 3"]}]}
        ---
        apiVersion: v1
        kind: Pod
        metadata: {name: once, namespace: restart}
        spec: {restartPolicy: Never, containers: [{name: c, command: ["false"]}]}
        """);
    await()
        .atMost(Duration.ofSeconds(20))
        .untilAsserted(() ->
            assertThat(pod("restart", "flaky").get("restarts").integer())
                .isGreaterThanOrEqualTo(2));
    assertThat(lab.log("restart", "flaky", "c")).content().startsWith("turn\nturn\n");
    assertThat(pod("restart", "flaky").get("message").text()).contains("ended with status 3");
    await()
        .atMost(Duration.ofSeconds(10))
        .untilAsserted(
            () -> assertThat(pod("restart", "once").get("phase").text()).isEqualTo("Failed"));
    assertThat(pod("restart", "once").get("restarts").integer()).isZero();
    lab.delete("restart", "namespace", "restart");
  }

  @Test
  void probesDecideReadinessAndRestarts() {
    apply(
        """
        apiVersion: v1
        kind: Pod
        metadata: {name: p, namespace: probe, labels: {app: p}}
        spec:
          terminationGracePeriodSeconds: 1
          containers:
          - name: c
            command: [sh, -c, "touch /alive; exec python3 -m http.server 9000"]
            readinessProbe: {exec: {command: [test, -e, /ready]}, periodSeconds: 1, failureThreshold: 1}
            livenessProbe: {exec: {command: [test, -e, /alive]}, periodSeconds: 1, failureThreshold: 1, initialDelaySeconds: 1}
          - name: tcp
            command: [sleep, infinity]
            readinessProbe: {tcpSocket: {port: 9000}, periodSeconds: 1}
        ---
        apiVersion: v1
        kind: Service
        metadata: {name: p, namespace: probe}
        spec: {selector: {app: p}, ports: [{port: 80, targetPort: 9000}]}
        """);
    await()
        .atMost(Duration.ofSeconds(10))
        .untilAsserted(
            () -> assertThat(pod("probe", "p").get("phase").text()).isEqualTo("Running"));
    assertThat(pod("probe", "p").get("ready").isTrue()).isFalse();
    assertThat(service("probe", "p").get("endpoints").items())
        .allMatch(endpoint -> !endpoint.get("ready").isTrue());
    execIn("probe", "p", "touch", "/ready");
    await()
        .atMost(Duration.ofSeconds(10))
        .untilAsserted(() ->
            assertThat(service("probe", "p").get("endpoints").items())
                .isNotEmpty()
                .allMatch(endpoint -> endpoint.get("ready").isTrue()));
    execIn("probe", "p", "rm", "/ready");
    await()
        .atMost(Duration.ofSeconds(10))
        .untilAsserted(() -> assertThat(pod("probe", "p").get("ready").isTrue()).isFalse());
    execIn("probe", "p", "rm", "/alive");
    await()
        .atMost(Duration.ofSeconds(15))
        .untilAsserted(() -> assertThat(pod("probe", "p").get("restarts").integer()).isPositive());
    lab.delete("probe", "ns", "probe");
  }

  @Test
  void controllersMakeScaleAndEndPods() {
    apply(
        """
        apiVersion: apps/v1
        kind: Deployment
        metadata: {name: web, namespace: ctl}
        spec:
          replicas: 3
          selector: {matchLabels: {app: web}}
          template:
            metadata: {labels: {app: web}}
            spec: {terminationGracePeriodSeconds: 1, containers: [{name: c, command: [sleep, infinity]}]}
        ---
        apiVersion: v1
        kind: Service
        metadata: {name: db, namespace: ctl}
        spec: {clusterIP: None, selector: {app: db}, ports: [{port: 1}]}
        ---
        apiVersion: apps/v1
        kind: StatefulSet
        metadata: {name: db, namespace: ctl}
        spec:
          replicas: 2
          serviceName: db
          selector: {matchLabels: {app: db}}
          template:
            metadata: {labels: {app: db}}
            spec: {terminationGracePeriodSeconds: 1, containers: [{name: c, command: [sleep, infinity]}]}
        ---
        apiVersion: apps/v1
        kind: DaemonSet
        metadata: {name: each, namespace: ctl}
        spec:
          selector: {matchLabels: {app: each}}
          template:
            metadata: {labels: {app: each}}
            spec: {terminationGracePeriodSeconds: 1, containers: [{name: c, command: [sleep, infinity]}]}
        ---
        apiVersion: batch/v1
        kind: Job
        metadata: {name: sum, namespace: ctl}
        spec:
          completions: 2
          template:
            spec: {restartPolicy: Never, containers: [{name: c, command: ["true"]}]}
        """);
    lab.awaitReady(Duration.ofSeconds(60));
    List<Json> pods = podsOf("ctl");
    assertThat(pods.stream().filter(p -> p.get("name").text().matches("web-[a-z0-9]+-[a-z0-9]{5}")))
        .hasSize(3);
    assertThat(
            pods.stream()
                .filter(p -> p.get("name").text().startsWith("web-"))
                .map(p -> p.get("node").text())
                .distinct())
        .hasSize(2);
    assertThat(pods.stream().map(p -> p.get("name").text())).contains("db-0", "db-1");
    assertThat(
            pods.stream()
                .filter(p -> p.get("name").text().startsWith("each-"))
                .map(p -> p.get("node").text()))
        .containsExactlyInAnyOrder("node-1", "node-2");
    await()
        .atMost(Duration.ofSeconds(20))
        .untilAsserted(() ->
            assertThat(
                    podsOf("ctl").stream()
                        .filter(p -> p.get("name").text().startsWith("sum-"))
                        .map(p -> p.get("phase").text()))
                .containsExactly("Succeeded", "Succeeded"));
    Json db1 = pod("ctl", "db-1");
    assertThat(execIn("ctl", "db-0", "getent", "ahostsv4", "db-1.db").out())
        .startsWith(db1.get("ips").items().getFirst().text());
    lab.scale("ctl", "deploy", "web", 1);
    await()
        .atMost(Duration.ofSeconds(20))
        .untilAsserted(() ->
            assertThat(podsOf("ctl").stream().filter(p -> p.get("name").text().startsWith("web-")))
                .hasSize(1));
    String before =
        podsOf("ctl").stream()
            .map(p -> p.get("name").text())
            .filter(n -> n.startsWith("web-"))
            .findFirst()
            .orElseThrow();
    apply(
        """
        apiVersion: apps/v1
        kind: Deployment
        metadata: {name: web, namespace: ctl}
        spec:
          replicas: 1
          selector: {matchLabels: {app: web}}
          template:
            metadata: {labels: {app: web, version: v2}}
            spec: {terminationGracePeriodSeconds: 1, containers: [{name: c, command: [sleep, infinity]}]}
        """);
    await()
        .atMost(Duration.ofSeconds(20))
        .untilAsserted(() ->
            assertThat(
                    podsOf("ctl").stream()
                        .map(p -> p.get("name").text())
                        .filter(n -> n.startsWith("web-")))
                .hasSize(1)
                .doesNotContain(before));
    lab.delete("ctl", "ns", "ctl");
    assertThat(podsOf("ctl")).isEmpty();
  }

  @Test
  void aPodBeingDeletedIsTerminatingUntilItsProcessesHaveEnded() throws InterruptedException {
    apply(
        """
        apiVersion: v1
        kind: Pod
        metadata: {name: slow, namespace: gone, labels: {app: slow}}
        spec:
          terminationGracePeriodSeconds: 20
          containers: [{name: c, command: [bash, -c, "trap 'until [ -e /go ]; do sleep 0.05; done; exit 0' TERM; while :; do sleep 0.05; done"]}]
        ---
        apiVersion: v1
        kind: Pod
        metadata: {name: deaf, namespace: gone}
        spec:
          terminationGracePeriodSeconds: 1
          containers: [{name: c, command: [bash, -c, "trap '' TERM; while :; do sleep 1; done"]}]
        ---
        apiVersion: v1
        kind: Service
        metadata: {name: slow, namespace: gone}
        spec: {selector: {app: slow}, ports: [{port: 1}]}
        """);
    lab.awaitReady(Duration.ofSeconds(30));
    String address = pod("gone", "slow").get("ips").items().getFirst().text();
    Thread deletion = Thread.ofVirtual().start(() -> lab.delete("gone", "pod", "slow"));
    await()
        .atMost(Duration.ofSeconds(10))
        .untilAsserted(() ->
            assertThat(service("gone", "slow").get("endpoints").items())
                .isNotEmpty()
                .allMatch(e ->
                    e.get("terminating").isTrue()
                        && e.get("serving").isTrue()
                        && !e.get("ready").isTrue()));
    assertThat(pod("gone", "slow").get("phase").text()).isEqualTo("Terminating");
    execIn("gone", "slow", "touch", "/go");
    assertThat(deletion.join(Duration.ofSeconds(10))).isTrue();
    assertThat(pod("gone", "slow").isNull()).isTrue();
    assertThat(Paths.netns(lab.paths().podNetns("gone", "slow"))).doesNotExist();
    assertThat(lab.delete("gone", "pod", "deaf")).containsExactly("pod/deaf (gone) deleted");
    apply(
        """
        apiVersion: v1
        kind: Pod
        metadata: {name: heir, namespace: gone}
        spec: {containers: [{name: c, command: [sleep, infinity]}]}
        """);
    lab.awaitReady(Duration.ofSeconds(30));
    assertThat(address).startsWith("10.244.");
    lab.delete("gone", "ns", "gone");
  }

  @Test
  void aTimeoutOfAffinityThatIsNotAppliedIsSaidWhenItIsAskedForAndAfterwards() {
    String caveat =
        "sessionAffinityConfig.clientIP.timeoutSeconds: 60 is not applied: a client keeps its"
            + " endpoint for as long as that is ready";
    Source services =
        new Source(
            "sticky.yaml",
            """
            apiVersion: v1
            kind: Service
            metadata: {name: timed, namespace: sticky}
            spec:
              sessionAffinity: ClientIP
              sessionAffinityConfig: {clientIP: {timeoutSeconds: 60}}
              ports: [{port: 80}]
            ---
            apiVersion: v1
            kind: Service
            metadata: {name: timeless, namespace: sticky}
            spec: {sessionAffinity: ClientIP, ports: [{port: 80}]}
            """);
    assertThat(lab.apply(List.of(services)))
        .containsExactly(
            "service/timed (sticky) created",
            "service/timed (sticky): " + caveat,
            "service/timeless (sticky) created");
    assertThat(service("sticky", "timed").get("caveats").items())
        .extracting(Json::text)
        .containsExactly(caveat);
    assertThat(service("sticky", "timeless").get("caveats").items()).isEmpty();
    lab.delete("sticky", "ns", "sticky");
  }

  @Test
  void whatCannotBeRunIsRefusedWithItsPlaceAndNothingOfItIsDone() {
    assertThatThrownBy(() ->
            apply(
                """
                apiVersion: v1
                kind: Pod
                metadata: {name: good, namespace: bad}
                spec: {containers: [{name: c, command: [sleep, "1"]}]}
                ---
                apiVersion: v1
                kind: Pod
                metadata: {name: idle, namespace: bad}
                spec: {containers: [{name: c, image: nginx}]}
                ---
                apiVersion: v1
                kind: Gizmo
                metadata: {name: g}
                """))
        .isInstanceOf(LabException.class)
        .hasMessageContaining("test.yaml:6 (document 2): Pod idle: container c has no command")
        .hasMessageContaining("test.yaml:12")
        .hasMessageContaining("Gizmo");
    assertThat(podsOf("bad")).isEmpty();
    assertThatThrownBy(() ->
            lab.annotate("default", "pod", "near", Map.of("weir.dev/mesh", Optional.of("yes"))))
        .isInstanceOf(LabException.class)
        .hasMessageContaining("weir.dev/mesh");
    assertThatThrownBy(() -> lab.delete("default", "pod", "nobody"))
        .isInstanceOf(LabException.class)
        .hasMessageContaining("does not exist");
    assertThatThrownBy(() -> lab.scale("default", "svc", "web", 2))
        .isInstanceOf(LabException.class)
        .hasMessageContaining("no replicas");
    assertThatThrownBy(() -> lab.agent("node-1", "kill"))
        .isInstanceOf(LabException.class)
        .hasMessageContaining("without a mesh");
    assertThatThrownBy(() -> LabClient.up(UpOptions.named(NAME), line -> {}, line -> {}))
        .isInstanceOf(LabException.class)
        .hasMessageContaining("is up");
  }

  @Test
  void annotationsAndLabelsChangeOnLivePodsAndReachTheStateFolder() {
    lab.annotate(
        "default",
        "pod",
        "far",
        Map.of("weir.dev/fast-path", Optional.of("off"), "note", Optional.of("x")));
    lab.label("default", "po", "far", Map.of("app", Optional.of("web")));
    Path state = lab.paths().state().resolve("pod.default.far.yaml");
    await()
        .atMost(Duration.ofSeconds(5))
        .untilAsserted(() -> assertThat(state).content().contains("weir.dev/fast-path", "note"));
    await()
        .atMost(Duration.ofSeconds(5))
        .untilAsserted(() ->
            assertThat(service("default", "web-headless").get("endpoints").items()).hasSize(4));
    lab.annotate(
        "default",
        "pod",
        "far",
        Map.of("weir.dev/fast-path", Optional.empty(), "note", Optional.empty()));
    lab.label("default", "pods", "far", Map.of("app", Optional.empty()));
    await()
        .atMost(Duration.ofSeconds(5))
        .untilAsserted(() ->
            assertThat(service("default", "web-headless").get("endpoints").items()).hasSize(2));
    assertThat(state).content().doesNotContain("weir.dev/fast-path");
    assertThat(lab.paths().state().resolve("node.node-2.yaml"))
        .content()
        .contains("topology.kubernetes.io/zone");
  }

  @Test
  void aNamedNodeThatIsNotThereIsAdded() {
    apply(
        """
        apiVersion: v1
        kind: Pod
        metadata: {name: remote, namespace: third}
        spec: {nodeName: edge, containers: [{name: c, command: [sleep, infinity]}]}
        """);
    lab.awaitReady(Duration.ofSeconds(30));
    assertThat(pod("third", "remote").get("ips").items().getFirst().text()).isEqualTo("10.244.3.2");
    assertThat(
            execIn(
                    "third",
                    "remote",
                    "curl",
                    "-s",
                    "-o",
                    "/dev/null",
                    "-m",
                    "5",
                    "-w",
                    "%{http_code}",
                    "http://web.default/")
                .out())
        .isEqualTo("200");
    lab.delete("third", "ns", "third");
  }
}
