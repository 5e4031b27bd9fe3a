package dev.weir.control;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import dev.weir.api.json.Json;
import dev.weir.control.ca.TestTokens;
import dev.weir.control.log.Log;
import io.grpc.Attributes;
import io.grpc.ManagedChannel;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.netty.GrpcSslContexts;
import io.grpc.netty.NettyChannelBuilder;
import io.netty.handler.ssl.SslContextBuilder;
import io.netty.handler.ssl.SslProvider;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.net.SocketAddress;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import javax.net.ssl.SSLException;
import javax.net.ssl.SSLSocket;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Who may follow the mesh: a whole control plane, called on its TLS port. */
@Timeout(120)
final class AdmissionTest {
  private static final Duration SOON = Duration.ofSeconds(20);
  @TempDir Path folder = Path.of("");

  private final TestTokens tokens = new TestTokens();
  private final List<AutoCloseable> open = new ArrayList<>();

  @BeforeEach
  void shop() throws IOException {
    Files.createDirectories(folder.resolve("state"));
    Files.writeString(
        folder.resolve("state/front.yaml"),
        """
        apiVersion: v1
        kind: Service
        metadata: {name: front, namespace: shop}
        spec: {ports: [{port: 80}]}
        """);
  }

  @AfterEach
  void close() throws Exception {
    for (AutoCloseable each : open.reversed()) {
      each.close();
    }
  }

  private ControlPlane start(int port, String... more) {
    List<String> options = new ArrayList<>(List.of(more));
    options.addAll(
        List.of(
            "--source-dir",
            folder.resolve("state").toString(),
            "--listen",
            "127.0.0.1:" + port,
            "--admin-socket",
            folder.resolve("admin.sock").toString(),
            "--ca-dir",
            folder.resolve("ca").toString(),
            "--token-keys",
            tokens.keysIn(folder).toString()));
    ControlPlane plane =
        ControlPlane.start(
            ControlOptions.parse(options.toArray(String[]::new)),
            InstantSource.system(),
            new Log(System.err, InstantSource.system(), "control"));
    open.add(plane);
    return plane;
  }

  private ControlPlane start() {
    return start(0);
  }

  private Json status() {
    try (SocketChannel channel =
        SocketChannel.open(UnixDomainSocketAddress.of(folder.resolve("admin.sock")))) {
      channel.write(
          ByteBuffer.wrap(
              "GET /status HTTP/1.1\r\nHost: x\r\n\r\n".getBytes(StandardCharsets.UTF_8)));
      String text =
          new String(Channels.newInputStream(channel).readAllBytes(), StandardCharsets.UTF_8);
      return Json.parse(text.substring(text.indexOf("\r\n\r\n") + 4));
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  private ManagedChannel channel(ControlPlane plane) throws SSLException {
    return channel(plane, "127.0.0.1");
  }

  private ManagedChannel channel(ControlPlane plane, String from) throws SSLException {
    ManagedChannel channel =
        NettyChannelBuilder.forAddress("127.0.0.1", plane.port())
            .localSocketPicker(
                new NettyChannelBuilder.LocalSocketPicker() {
                  @Override
                  public SocketAddress createSocketAddress(
                      SocketAddress remote, Attributes attributes) {
                    return new InetSocketAddress(InetAddress.ofLiteral(from), 0);
                  }
                })
            .sslContext(
                GrpcSslContexts.configure(SslContextBuilder.forClient(), SslProvider.JDK)
                    .trustManager(folder.resolve("ca/roots.pem").toFile())
                    .build())
            .build();
    open.add(channel::shutdownNow);
    return channel;
  }

  private Follower follow(ControlPlane plane, @Nullable String token, String node)
      throws SSLException {
    return new Follower(channel(plane), token, node);
  }

  private void refused(
      ControlPlane plane, @Nullable String token, Status.Code code, String cause, String said)
      throws Exception {
    Follower follower = follow(plane, token, "node-1");
    Status end = Status.fromThrowable(follower.end());
    assertThat(end.getCode()).as(end.toString()).isEqualTo(code);
    assertThat(end.getDescription()).contains(said);
    assertThat(follower.told()).as("what somebody unknown was told").isEmpty();
    Json status = status();
    assertThat(status.get("refused").get(cause).integer()).as(status.toJson()).isPositive();
    assertThat(status.get("lastRefusal").get("cause").text()).isEqualTo(cause);
    assertThat(status.get("lastRefusal").get("message").text()).contains(said);
    assertThat(status.get("lastRefusal").get("address").text()).isEqualTo("127.0.0.1");
    assertThat(status.get("clients").items()).isEmpty();
  }

  @Test
  void an_agent_of_a_node_is_told_the_mesh() throws Exception {
    ControlPlane plane = start();
    Follower follower = follow(plane, tokens.agentOf("node-1"), "node-1");
    assertThat(follower.resource()).isEqualTo("shop/front.shop.svc.cluster.local");
    await()
        .atMost(SOON)
        .untilAsserted(() -> {
          Json client = status().get("clients").items().getFirst();
          assertThat(client.get("node").text()).isEqualTo("node-1");
          assertThat(client.get("tokenUntil").text()).isNotEmpty();
        });
    Json ports = status().get("ports");
    assertThat(ports.get("tls").get("port").integer()).isEqualTo(plane.port());
    assertThat(ports.get("tls").get("open").integer()).isEqualTo(1);
    assertThat(ports.get("tls").get("notAdmitted").integer()).isZero();
    assertThat(ports.get("plain").get("port").isNull()).as("a plain port by default").isTrue();
    assertThat(plane.plainPort()).isZero();
    assertThat(status().get("refused").fieldsByName()).isEmpty();
  }

  @Test
  void whoever_is_no_agent_is_told_nothing_and_why() throws Exception {
    ControlPlane plane = start();
    Status.Code unknown = Status.Code.UNAUTHENTICATED;
    refused(plane, null, unknown, "token-missing", "no bearer token");
    refused(plane, "garbage", unknown, "token-malformed", "expected: three, as a JWT has");
    refused(plane, "a.b.c", unknown, "token-malformed", "header");
    refused(plane, new TestTokens().agentOf("node-1"), unknown, "token-signature", "not signed by");
    refused(plane, tokens.agentOf("node-1", -2_000), unknown, "token-expired", "expired");
    refused(
        plane,
        tokens.token(
            TestTokens.claims("weir-agent", "node-1").with("aud", List.of("vault")).build()),
        unknown,
        "token-audience",
        "expected: istio-ca");
    refused(
        plane,
        tokens.token(TestTokens.claims("someone", "node-1").build()),
        Status.Code.PERMISSION_DENIED,
        "not-a-node-account",
        "weir-system/someone is no node's agent (trusted: weir-system/weir-agent)");
    refused(
        plane,
        tokens.token(TestTokens.claims("weir-agent", "").build()),
        Status.Code.PERMISSION_DENIED,
        "node-unknown",
        "bound to no node");
    refused(
        plane,
        tokens.agentOf("node-2"),
        Status.Code.PERMISSION_DENIED,
        "other-node",
        "says that it is node node-1, but its token is bound to node-2");
    // Nobody was harmed.
    assertThat(follow(plane, tokens.agentOf("node-1"), "node-1").resource()).contains("front");
  }

  @Test
  void a_stream_ends_with_its_token_and_goes_on_with_the_next() throws Exception {
    ControlPlane plane = start();
    ManagedChannel line = channel(plane);
    Follower follower = new Follower(line, tokens.agentOf("node-1", 3_000), "node-1");
    assertThat(follower.resource()).contains("front");
    Status end = Status.fromThrowable(follower.end());
    assertThat(end.getCode()).isEqualTo(Status.Code.UNAUTHENTICATED);
    assertThat(end.getDescription()).contains("expired while the stream was open");
    assertThat(status().get("refused").get("token-ran-out").integer()).isEqualTo(1);
    // The same connection serves on.
    Follower again = new Follower(line, tokens.agentOf("node-1"), "node-1");
    assertThat(again.resource()).contains("front");
    assertThat(status().get("ports").get("tls").get("open").integer()).isEqualTo(1);
  }

  @Test
  void a_control_plane_that_starts_again_takes_the_same_tokens() throws Exception {
    ControlPlane first = start();
    int port = first.port();
    String token = tokens.agentOf("node-1");
    Follower before = follow(first, token, "node-1");
    assertThat(before.resource()).contains("front");
    first.close();
    assertThat(before.end()).hasMessageContaining("the control plane is stopping");
    ControlPlane second = start(port);
    assertThat(follow(second, token, "node-1").resource()).contains("front");
  }

  @Test
  void plaintext_and_older_TLS_get_nothing() throws Exception {
    ControlPlane plane = start();
    try (Socket plain = new Socket(InetAddress.getLoopbackAddress(), plane.port())) {
      plain.setSoTimeout(20_000);
      OutputStream out = plain.getOutputStream();
      out.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".getBytes(StandardCharsets.US_ASCII));
      out.flush();
      // An alert at most, and the end: no SETTINGS.
      InputStream in = plain.getInputStream();
      byte[] answer = in.readAllBytes();
      assertThat(answer.length == 0 || answer[0] == 21).as(answer.length + " bytes").isTrue();
    }
    try (SSLSocket old =
        (SSLSocket)
            Trusting.everybody()
                .getSocketFactory()
                .createSocket(InetAddress.getLoopbackAddress(), plane.port())) {
      old.setSoTimeout(20_000);
      old.setEnabledProtocols(new String[] {"TLSv1.2"});
      assertThatThrownBy(old::startHandshake)
          .isInstanceOf(SSLException.class)
          .hasMessageContaining("protocol_version");
    }
  }

  @Test
  void headers_that_are_too_large_end_their_call_alone() throws Exception {
    ControlPlane plane = start();
    ManagedChannel line = channel(plane);
    Follower wordy = new Follower(line, "x".repeat(40 << 10), "node-1");
    assertThat(wordy.end()).isNotNull();
    assertThat(wordy.told()).isEmpty();
    assertThat(new Follower(line, tokens.agentOf("node-1"), "node-1").resource()).contains("front");
  }

  @Test
  void a_message_that_is_too_large_ends_its_call_alone() throws Exception {
    ControlPlane plane = start();
    ManagedChannel line = channel(plane);
    String agent = tokens.agentOf("node-1");
    assertThatThrownBy(() -> Certificates.ask(line, agent, "x".repeat(200 << 10)))
        .isInstanceOfSatisfying(
            StatusRuntimeException.class,
            e -> {
              assertThat(e.getStatus().getCode()).isEqualTo(Status.Code.RESOURCE_EXHAUSTED);
              assertThat(e.getStatus().getDescription()).contains("65536");
            });
    Follower large = new Follower(line, agent, "x".repeat(33 << 20));
    assertThat(Status.fromThrowable(large.end()).getCode())
        .isIn(Status.Code.RESOURCE_EXHAUSTED, Status.Code.CANCELLED, Status.Code.UNAVAILABLE);
    assertThat(new Follower(line, agent, "node-1").resource()).contains("front");
    assertThat(line.isShutdown()).isFalse();
  }

  @Test
  void somebody_unknown_is_not_read_however_much_it_sends() throws Exception {
    ControlPlane plane = start();
    Follower stranger = follow(plane, "garbage", "x".repeat(8 << 20));
    assertThat(Status.fromThrowable(stranger.end()).getCode())
        .isEqualTo(Status.Code.UNAUTHENTICATED);
    assertThat(follow(plane, tokens.agentOf("node-1"), "node-1").resource()).contains("front");
  }

  @Test
  void a_flood_of_strangers_keeps_no_agent_out() throws Exception {
    ControlPlane plane = start();
    for (int i = 0; i < 600; i++) {
      Socket mute = new Socket(InetAddress.ofLiteral("127.0.0.1"), plane.port());
      open.add(mute);
      if (i % 100 == 99) {
        Follower agent = follow(plane, tokens.agentOf("node-" + i), "node-" + i);
        assertThat(agent.resource()).as("after " + i + " strangers").contains("front");
      }
    }
    Json port = status().get("ports").get("tls");
    assertThat(port.get("notAdmitted").integer()).isLessThanOrEqualTo(256);
    assertThat(port.get("ended").get("crowded-out").integer()).isGreaterThan(300);
    assertThat(status().get("clients").items()).hasSize(6);
    // None of them has ten seconds more.
    await()
        .atMost(SOON)
        .until(() -> status().get("ports").get("tls").get("notAdmitted").integer() == 0);
    assertThat(status().get("ports").get("tls").get("open").integer()).isEqualTo(6);
    assertThat(status().get("clients").items())
        .allMatch(client -> client.get("connected").isTrue());
  }

  @Test
  void who_is_refused_again_and_again_loses_its_connection() throws Exception {
    ControlPlane plane = start();
    ManagedChannel line = channel(plane);
    await()
        .atMost(SOON)
        .until(() -> {
          Throwable _ = new Follower(line, "garbage", "node-1").end();
          return status().get("ports").get("tls").get("ended").get("refused-too-often").integer()
              > 0;
        });
    assertThat(line.awaitTermination(0, TimeUnit.SECONDS)).isFalse();
  }

  @Test
  void forged_tokens_from_one_address_keep_no_agent_out() throws Exception {
    ControlPlane plane = start();
    String forged = new TestTokens().agentOf("node-1");
    for (int i = 0; i < 20; i++) {
      ManagedChannel evil = channel(plane, "127.0.0.2");
      for (int call = 0; call < 16; call++) {
        Follower _ = new Follower(evil, forged, "node-1");
      }
      Follower agent = follow(plane, tokens.agentOf("node-" + i), "node-" + i);
      assertThat(agent.resource()).as("beside " + i + " of them").contains("front");
    }
    assertThat(status().get("refused").get("token-signature").integer()).isPositive();
  }

  @Test
  void a_plain_port_that_is_asked_for_serves_configuration_to_anybody_and_no_certificates()
      throws Exception {
    ControlPlane plane = start(0, "--listen-plain", "127.0.0.1:0");
    assertThat(plane.plainPort()).isPositive().isNotEqualTo(plane.port());
    ManagedChannel plain =
        NettyChannelBuilder.forAddress("127.0.0.1", plane.plainPort()).usePlaintext().build();
    open.add(plain::shutdownNow);
    assertThat(new Follower(plain, null, "node-1").resource()).contains("front");
    await()
        .atMost(SOON)
        .untilAsserted(() ->
            assertThat(status().get("clients").items())
                .extracting(client -> client.get("tokenUntil").text())
                .containsExactly(""));
    assertThatThrownBy(() -> Certificates.ask(plain, tokens.agentOf("node-1"), "csr"))
        .isInstanceOfSatisfying(
            StatusRuntimeException.class,
            e -> assertThat(e.getStatus().getCode()).isEqualTo(Status.Code.UNIMPLEMENTED));
  }
}
