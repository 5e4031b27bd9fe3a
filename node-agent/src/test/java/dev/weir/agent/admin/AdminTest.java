package dev.weir.agent.admin;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.awaitility.Awaitility.await;

import dev.weir.agent.authz.Authz;
import dev.weir.agent.capture.Joining;
import dev.weir.agent.capture.KernelDrop;
import dev.weir.agent.capture.Reason;
import dev.weir.agent.config.Mesh;
import dev.weir.agent.config.MeshView;
import dev.weir.agent.config.Meshes;
import dev.weir.agent.config.XdsState;
import dev.weir.agent.fairness.Fairness;
import dev.weir.agent.fairness.Limits;
import dev.weir.agent.fairness.Pace;
import dev.weir.agent.identity.CrlReport;
import dev.weir.agent.log.Level;
import dev.weir.agent.log.Logs;
import dev.weir.agent.telemetry.AccessLog;
import dev.weir.agent.telemetry.Telemetry;
import dev.weir.api.json.Json;
import dev.weir.api.model.Workload;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.net.StandardProtocolFamily;
import java.net.URI;
import java.net.UnixDomainSocketAddress;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicInteger;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(60)
class AdminTest {
  private static final InetAddress LOOPBACK = InetAddress.ofLiteral("127.0.0.1");

  @TempDir Path folder;
  private final Logs logs = new Logs(System.err, InstantSource.system(), Level.WARN);
  private final List<String> notReady = new CopyOnWriteArrayList<>();
  private final AtomicInteger quits = new AtomicInteger();
  private final HttpClient http = HttpClient.newHttpClient();
  private final List<Admin> open = new ArrayList<>();

  @AfterEach
  void close() {
    open.forEach(Admin::close);
    http.close();
  }

  @Test
  void readinessSaysWhyNot() throws Exception {
    Admin admin = admin(MeshView.empty());
    notReady.add("no snapshot from the enroller");
    HttpResponse<String> not = get(admin.readinessAddress(), "/healthz/ready");
    assertThat(not.statusCode()).isEqualTo(503);
    assertThat(not.body()).contains("no snapshot from the enroller");
    notReady.clear();
    assertThat(get(admin.readinessAddress(), "/healthz/ready").statusCode()).isEqualTo(200);
    assertThat(get(admin.readinessAddress(), "/config_dump").statusCode()).isEqualTo(404);
  }

  @Test
  void metricsAreOnTheirOwnPortAndTellOfTheNode() throws Exception {
    Admin admin = admin(MeshView.empty());
    HttpResponse<String> answer = get(admin.metricsAddress(), "/metrics");
    assertThat(answer.headers().firstValue("content-type"))
        .contains("text/plain; version=0.0.4; charset=utf-8");
    assertThat(answer.body())
        .contains(
            "weir_build_info{version=\"0.1.0\",node=\"node-1\",transport=\"epoll\"} 1",
            "weir_refusals_total{namespace=\"\",pod=\"\",reason=\"escape\"} 3",
            "weir_joining{state=\"off\"} 1",
            "process_resident_memory_bytes ");
    assertThat(get(admin.metricsAddress(), "/quitquitquit").statusCode()).isEqualTo(404);
  }

  @Test
  void theDumpHasIstioctlsKeysAndIsWholeHoweverLarge() throws Exception {
    List<Workload> pods = new ArrayList<>();
    for (int i = 0; i < 3_000; i++) {
      pods.add(Meshes.pod("web-" + i, "web", "10.1." + i / 256 + "." + i % 256, "web"));
    }
    Admin admin = admin(MeshView.of(List.of(Meshes.service("web", "10.96.0.7")), pods));
    Json dump = Json.parse(get(admin.address(), "/config_dump").body());
    assertThat(dump.fieldsByName().keySet())
        .containsExactly(
            "workloads",
            "services",
            "policies",
            "stagedServices",
            "certificates",
            "config",
            "version",
            "workloadState");
    assertThat(dump.get("workloads").items()).hasSize(3_000);
    Json pod = dump.get("workloads").items().getFirst();
    assertThat(pod.get("workloadIps").items()).hasSize(1);
    assertThat(pod.get("protocol").text()).isEqualTo("TCP");
    assertThat(pod.get("workloadType").text()).isEqualTo("Deployment");
    Json service = dump.get("services").items().getFirst();
    assertThat(service.get("vips").items().getFirst().text()).isEqualTo("/10.96.0.7");
    assertThat(service.get("endpoints").fieldsByName()).hasSize(3_000);
    assertThat(raw(admin, "GET /config_dump HTTP/1.0\r\n\r\n"))
        .doesNotContain("transfer-encoding")
        .endsWith("}}\n");
  }

  @Test
  void statusAndEdgesAreJson() throws Exception {
    Admin admin = admin(MeshView.empty());
    Json status = Json.parse(get(admin.address(), "/status").body());
    assertThat(status.get("node").text()).isEqualTo("node-1");
    assertThat(status.get("crl").get("problem").text()).isEqualTo("there is no such file");
    assertThat(status.get("joining").get("reason").text()).isEqualTo("order across the spill");
    assertThat(status.get("refusals").items().getFirst().get("count").integer()).isEqualTo(3);
    assertThat(status.get("xds").get("types").items().getFirst().get("resources").integer())
        .isEqualTo(7);
    assertThat(Json.parse(get(admin.address(), "/edges").body()).items()).isEmpty();
  }

  @Test
  void levelsAreSwitchedByPostAndNothingHoldsOfABadOne() throws Exception {
    Admin admin = admin(MeshView.empty());
    assertThat(post(admin, "/logging?level=debug&access=all").body())
        .contains("\"debug\"", "\"all\"");
    assertThat(logs.level()).isEqualTo(Level.DEBUG);
    assertThat(post(admin, "/logging?level=info&access=maybe").statusCode()).isEqualTo(400);
    assertThat(post(admin, "/logging?verbose=1").statusCode()).isEqualTo(400);
    assertThat(logs.level()).isEqualTo(Level.DEBUG);
  }

  @Test
  void quittingTakesAPost() throws Exception {
    Admin admin = admin(MeshView.empty());
    assertThat(get(admin.address(), "/quitquitquit").statusCode()).isEqualTo(405);
    assertThat(quits).hasValue(0);
    assertThat(post(admin, "/quitquitquit").statusCode()).isEqualTo(202);
    await().until(() -> quits.get() == 1);
  }

  @Test
  void anotherProgramsPortIsOneLineThatSaysWhichButAnAgentMayTakeOverFromAnAgent()
      throws Exception {
    try (ServerSocketChannel other = ServerSocketChannel.open()) {
      other.bind(local());
      InetSocketAddress taken = (InetSocketAddress) other.getLocalAddress();
      AdminOptions same = new AdminOptions("node-1", "0.1.0", taken, local(), local(), null);
      assertThatExceptionOfType(Admin.AdminException.class)
          .isThrownBy(() -> Admin.open(same, sources(MeshView.empty()), logs.room("admin")))
          .withMessageContaining("admin port " + taken.getPort())
          .withMessageContaining("Address already in use");
    }
    Admin first = admin(MeshView.empty());
    AdminOptions same =
        new AdminOptions("node-1", "0.1.0", first.address(), local(), local(), null);
    Admin second = Admin.open(same, sources(MeshView.empty()), logs.room("admin"));
    first.close();
    assertThat(get(second.address(), "/healthz/ready").statusCode()).isEqualTo(200);
    second.close();
  }

  @Test
  void theUnixSocketIsItsOwnersAloneReplacesAStaleOneAndIsLeftToASuccessor() throws Exception {
    Path socket = folder.resolve("admin.sock");
    try (var stale = ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
      stale.bind(UnixDomainSocketAddress.of(socket));
    }
    Admin admin = admin(MeshView.empty(), socket);
    assertThat(Files.getPosixFilePermissions(socket)).hasSize(2);
    try (SocketChannel channel = SocketChannel.open(UnixDomainSocketAddress.of(socket))) {
      channel.write(
          ByteBuffer.wrap(
              "GET /healthz/ready HTTP/1.1\r\nconnection: close\r\n\r\n"
                  .getBytes(StandardCharsets.US_ASCII)));
      ByteBuffer answer = ByteBuffer.allocate(4096);
      while (channel.read(answer) >= 0) {
        assertThat(answer.hasRemaining()).isTrue();
      }
      assertThat(new String(answer.array(), 0, answer.position(), StandardCharsets.US_ASCII))
          .startsWith("HTTP/1.1 200 OK")
          .endsWith("ready\n");
    }
    AdminOptions options = new AdminOptions("node-1", "0.1.0", local(), local(), local(), socket);
    Admin successor = Admin.open(options, sources(MeshView.empty()), logs.room("admin"));
    admin.close();
    SocketChannel.open(UnixDomainSocketAddress.of(socket)).close();
    successor.close();
    assertThat(folder).isEmptyDirectory();
  }

  @Test
  void pipelinedRequestsAreAnsweredInOrderOnOneConnection() throws Exception {
    Admin admin = admin(MeshView.empty());
    String answers =
        raw(
            admin,
            "GET /healthz/ready HTTP/1.1\r\n\r\nGET /nothing HTTP/1.1\r\n\r\nHEAD /status HTTP/1.1\r\nconnection: close\r\n\r\n");
    assertThat(answers.indexOf("200 OK")).isLessThan(answers.indexOf("404 Not Found")).isPositive();
    assertThat(answers).contains("connection: close").doesNotContain("\"node\"");
  }

  @Test
  void hostileBytesAreRefusedAndTheNextCallerIsServed() throws Exception {
    Admin admin = admin(MeshView.empty());
    assertThat(raw(admin, "GET\r\n\r\n")).startsWith("HTTP/1.1 400");
    assertThat(raw(admin, "GET /status HTTP/1.1\r\nA : b\r\n\r\n")).startsWith("HTTP/1.1 400");
    assertThat(
            raw(admin, "POST /logging HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n"))
        .startsWith("HTTP/1.1 400");
    assertThat(raw(admin, "POST /logging HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n"))
        .startsWith("HTTP/1.1 501");
    assertThat(raw(admin, "POST /logging HTTP/1.1\r\ncontent-length: 999999\r\n\r\n"))
        .startsWith("HTTP/1.1 413");
    assertThat(raw(admin, "GET /" + "a".repeat(9000) + " HTTP/1.1\r\n\r\n"))
        .startsWith("HTTP/1.1 431");
    SplittableRandom random = new SplittableRandom(7);
    for (int i = 0; i < 200; i++) {
      byte[] noise = new byte[1 + random.nextInt(300)];
      random.nextBytes(noise);
      try (Socket socket = connected(admin)) {
        socket.getOutputStream().write(noise);
        socket.getOutputStream().flush();
      }
    }
    assertThat(get(admin.address(), "/healthz/ready").statusCode()).isEqualTo(200);
  }

  @Test
  void moreCallersThanThereIsRoomForWaitTheirTurn() throws Exception {
    Admin admin = admin(MeshView.empty());
    List<Socket> idle = new ArrayList<>();
    for (int i = 0; i < HttpServer.MAX_CONNECTIONS; i++) {
      idle.add(connected(admin));
    }
    try (Socket late = connected(admin)) {
      late.getOutputStream()
          .write(
              "GET /healthz/ready HTTP/1.1\r\nconnection: close\r\n\r\n"
                  .getBytes(StandardCharsets.US_ASCII));
      idle.getFirst().close();
      assertThat(text(late.getInputStream())).startsWith("HTTP/1.1 200");
    }
    for (Socket socket : idle) {
      socket.close();
    }
  }

  private Admin admin(MeshView view) {
    return admin(view, null);
  }

  private Admin admin(MeshView view, @Nullable Path socket) {
    Admin admin =
        Admin.open(
            new AdminOptions("node-1", "0.1.0", local(), local(), local(), socket),
            sources(view),
            logs.room("admin"));
    open.add(admin);
    return admin;
  }

  private AdminSources sources(MeshView view) {
    Mesh mesh = Meshes.fixed(view);
    Telemetry telemetry =
        new Telemetry(
            mesh,
            new AccessLog(
                System.err, InstantSource.system(), AccessLog.Mode.OFF, AccessLog.Format.TEXT));
    return new AdminSources(
        mesh,
        () ->
            new XdsState(
                true,
                "10.0.0.1:15012",
                true,
                null,
                null,
                List.of(new XdsState.Type("url", 7, 1, 0, ""))),
        telemetry,
        new Authz(),
        new Fairness(Limits.standard(64 << 20), () -> 0, Pace.STEADY, logs.room("fairness")),
        List::of,
        _ -> List.of(),
        () -> List.of(new KernelDrop(null, Reason.ESCAPE, 3)),
        () -> new Joining(Joining.State.OFF, "order across the spill", List.of()),
        () -> {},
        List::of,
        () -> new CrlReport(Path.of("/etc/crl.pem"), 2, "there is no such file"),
        "epoll",
        () -> notReady,
        () -> new Standing(Standing.State.READY, true, 4, 0),
        quits::incrementAndGet,
        logs);
  }

  private static InetSocketAddress local() {
    return new InetSocketAddress(LOOPBACK, 0);
  }

  private HttpResponse<String> get(InetSocketAddress address, String path) throws Exception {
    return http.send(
        HttpRequest.newBuilder(uri(address, path)).build(), HttpResponse.BodyHandlers.ofString());
  }

  private HttpResponse<String> post(Admin admin, String path) throws Exception {
    return http.send(
        HttpRequest.newBuilder(uri(admin.address(), path))
            .POST(HttpRequest.BodyPublishers.noBody())
            .build(),
        HttpResponse.BodyHandlers.ofString());
  }

  private static URI uri(InetSocketAddress address, String path) {
    return URI.create("http://127.0.0.1:" + address.getPort() + path);
  }

  private static Socket connected(Admin admin) throws IOException {
    Socket socket = new Socket(LOOPBACK, admin.address().getPort());
    socket.setSoTimeout(20_000);
    return socket;
  }

  private static String raw(Admin admin, String request) throws IOException {
    try (Socket socket = connected(admin)) {
      OutputStream out = socket.getOutputStream();
      out.write(request.getBytes(StandardCharsets.US_ASCII));
      out.flush();
      return text(socket.getInputStream());
    }
  }

  private static String text(InputStream in) throws IOException {
    return new String(in.readAllBytes(), StandardCharsets.UTF_8);
  }
}
