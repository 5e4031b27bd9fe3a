package dev.weir.agent.telemetry;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.weir.agent.capture.FlowBytes;
import dev.weir.agent.capture.KernelFlow;
import dev.weir.agent.capture.KernelPath;
import dev.weir.agent.config.MeshView;
import dev.weir.agent.config.Meshes;
import dev.weir.agent.metrics.Exposition;
import dev.weir.api.json.Json;
import dev.weir.api.model.Service;
import dev.weir.api.model.Workload;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

class TelemetryTest {
  private final Service web = Meshes.service("web", "10.96.0.7");
  private final Workload client = Meshes.pod("front-1", "front", "10.244.1.4");
  private final Workload server = Meshes.pod("web-1", "web", "10.244.1.5", "web");
  private final MeshView view = MeshView.of(List.of(web), List.of(client, server));
  private final ByteArrayOutputStream lines = new ByteArrayOutputStream();
  private final AccessLog accessLog =
      new AccessLog(
          new PrintStream(lines, true, StandardCharsets.UTF_8),
          () -> Instant.parse("2026-11-21T13:00:00Z"),
          AccessLog.Mode.ALL,
          AccessLog.Format.TEXT);
  private long now;
  private final Telemetry telemetry = new Telemetry(Meshes.fixed(view), accessLog, () -> now);

  @Test
  void aConnectionIsCountedOnBothSidesUnderIstiosNames() {
    ConnectionMeter meter = telemetry.opened(facts(Reporter.BOTH, Path.AGENT));
    meter.sent(100);
    meter.received(2_000);
    meter.closed(Outcome.ENDED, null);
    meter.closed(Outcome.ENDED, null);
    String metrics = telemetry.metrics();
    for (String reporter : List.of("source", "destination")) {
      String labels = labels(metrics, "istio_tcp_connections_opened_total", reporter);
      assertThat(labels)
          .contains(
              "source_workload=\"front\"",
              "source_workload_namespace=\"shop\"",
              "source_principal=\"spiffe://cluster.local/ns/shop/sa/front\"",
              "source_version=\"v1\"",
              "destination_service=\"web.shop.svc.cluster.local\"",
              "destination_service_name=\"web\"",
              "destination_service_namespace=\"shop\"",
              "destination_workload=\"web\"",
              "destination_canonical_revision=\"v1\"",
              "request_protocol=\"tcp\"",
              "response_flags=\"-\"",
              "connection_security_policy=\"unknown\"");
      assertThat(value(metrics, "istio_tcp_connections_opened_total", reporter)).isEqualTo(1);
      assertThat(value(metrics, "istio_tcp_connections_closed_total", reporter)).isEqualTo(1);
      // Istio's sent is what the server sent.
      assertThat(value(metrics, "istio_tcp_sent_bytes_total", reporter)).isEqualTo(2_000);
      assertThat(value(metrics, "istio_tcp_received_bytes_total", reporter)).isEqualTo(100);
    }
  }

  @Test
  void aKernelFlowIsCountedByWhatItGrewAndShowsItsPath() {
    KernelFlow flow =
        new KernelFlow(
            null,
            null,
            address("10.244.1.4", 41234),
            address("10.244.1.5", 8080),
            address("10.96.0.7", 80),
            1,
            KernelPath.JOINED,
            0);
    telemetry.opened(flow);
    telemetry.progressed(flow, new FlowBytes(10, 20, 50, 0));
    telemetry.progressed(flow, new FlowBytes(30, 40, 58, 0));
    telemetry.closed(flow, new FlowBytes(31, 41, 0, 0));
    telemetry.closed(flow, new FlowBytes(99, 99, 0, 0));
    assertThat(telemetry.edges())
        .containsExactly(
            new EdgeReport(
                "shop",
                "front",
                "front-1",
                "shop",
                "web",
                "web",
                "web-1",
                "10.244.1.5:8080",
                Path.JOINED,
                1,
                0,
                0,
                31,
                41,
                51));
  }

  @Test
  void edgesForgetWhatIsOlderThanAnHour() {
    ConnectionMeter meter = telemetry.opened(facts(Reporter.SOURCE, Path.AGENT));
    meter.sent(10);
    telemetry.failed(facts(Reporter.SOURCE, Path.AGENT), Outcome.CONNECT_FAILED, "refused");
    for (int minute = 0; minute < 59; minute++) {
      telemetry.minutePassed();
    }
    meter.sent(5);
    assertThat(edge().bytesSent()).isEqualTo(15);
    assertThat(edge().failed()).isEqualTo(1);
    telemetry.minutePassed();
    assertThat(edge().bytesSent()).isEqualTo(5);
    assertThat(edge().opened()).isZero();
    assertThat(edge().open()).isEqualTo(1);
    meter.closed(Outcome.ENDED, null);
    for (int minute = 0; minute < 60; minute++) {
      telemetry.minutePassed();
    }
    assertThat(telemetry.edges()).isEmpty();
  }

  @Test
  void labelSetsAreBoundedAndWhatDoesNotFitIsCountedAsOverflow() {
    for (int i = 0; i < Telemetry.MAX_SERIES + 10; i++) {
      Party stranger =
          Party.of(Meshes.pod("p" + i, "app-" + i, "10.1.0.1"), address("10.1.0.1", 1));
      telemetry.opened(
          new ConnectionFacts(
              Reporter.SOURCE,
              stranger,
              party(server, 8080),
              address("10.244.1.5", 8080),
              null,
              Path.AGENT));
    }
    String metrics = telemetry.metrics();
    assertThat(metrics).contains("weir_telemetry_overflow_total{table=\"tcp\"} 10");
    assertThat(
            metrics.lines().filter(line -> line.startsWith("istio_tcp_connections_opened_total{")))
        .hasSize(Telemetry.MAX_SERIES + 1);
    assertThat(metrics).contains("source_workload=\"overflow\"");
  }

  @Test
  void aFailureIsOpenedAndClosedWithItsFlag() {
    telemetry.failed(
        facts(Reporter.SOURCE, Path.AGENT), Outcome.CONNECT_FAILED, "connection refused");
    assertThat(
            telemetry
                .metrics()
                .lines()
                .filter(line -> line.startsWith("istio_tcp_connections_closed_total{")))
        .anyMatch(line -> line.contains("response_flags=\"CONNECT\"") && line.endsWith(" 1"));
    await()
        .untilAsserted(() ->
            assertThat(lines())
                .contains(
                    "connection failed",
                    "error=\"connection refused\"",
                    "dst.service=\"web.shop.svc.cluster.local\""));
  }

  @Test
  void anAccessLineIsOneLineWhateverANameHolds() {
    accessLog.format(AccessLog.Format.JSON);
    ConnectionFacts evil =
        new ConnectionFacts(
            Reporter.SOURCE,
            new Party("ns\"\n{", "pod\u001b[31m\\", null, address("10.0.0.1", 1)),
            party(server, 8080),
            address("10.96.0.7", 80),
            web,
            Path.AGENT);
    now = 7_000_000;
    String line = accessLog.line(evil, 7_000_000, 1, 2, Outcome.ENDED, null);
    Json json = Json.parse(line);
    assertThat(line).doesNotContain("\n", "\u001b");
    assertThat(json.get("src.namespace").text()).isEqualTo("ns\"\n{");
    assertThat(json.get("src.workload").text()).isEqualTo("pod\u001b[31m\\");
    assertThat(json.get("duration").text()).isEqualTo("7ms");
    assertThat(json.get("bytes_recv").integer()).isEqualTo(2);
    assertThat(Exposition.labels("a", "x\"y\\z\nw")).isEqualTo("a=\"x\\\"y\\\\z\\nw\"");
  }

  @Test
  void offAndFailuresSayWhatTheyPromise() {
    accessLog.mode(AccessLog.Mode.FAILURES);
    telemetry.opened(facts(Reporter.SOURCE, Path.AGENT)).closed(Outcome.ENDED, null);
    telemetry.opened(facts(Reporter.SOURCE, Path.AGENT)).closed(Outcome.CONNECT_FAILED, "reset");
    await()
        .untilAsserted(() ->
            assertThat(lines().lines())
                .hasSize(1)
                .allMatch(line -> line.contains("error=\"reset\"")));
  }

  private EdgeReport edge() {
    assertThat(telemetry.edges()).hasSize(1);
    return telemetry.edges().getFirst();
  }

  private String lines() {
    return lines.toString(StandardCharsets.UTF_8);
  }

  private ConnectionFacts facts(Reporter reporter, Path path) {
    return new ConnectionFacts(
        reporter, party(client, 41234), party(server, 8080), address("10.96.0.7", 80), web, path);
  }

  private static Party party(Workload workload, int port) {
    return Party.of(workload, new InetSocketAddress(workload.addresses().getFirst(), port));
  }

  private static InetSocketAddress address(String ip, int port) {
    return new InetSocketAddress(InetAddress.ofLiteral(ip), port);
  }

  private static String labels(String metrics, String name, String reporter) {
    return line(metrics, name, reporter);
  }

  private static long value(String metrics, String name, String reporter) {
    String line = line(metrics, name, reporter);
    return Long.parseLong(line.substring(line.lastIndexOf(' ') + 1));
  }

  private static String line(String metrics, String name, String reporter) {
    @Nullable String found =
        metrics
            .lines()
            .filter(line -> line.startsWith(name + "{reporter=\"" + reporter + "\""))
            .findFirst()
            .orElse(null);
    assertThat(found).as("%s of %s in%n%s", name, reporter, metrics).isNotNull();
    return found == null ? "" : found;
  }
}
