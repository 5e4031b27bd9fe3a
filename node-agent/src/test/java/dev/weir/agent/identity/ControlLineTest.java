package dev.weir.agent.identity;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.weir.agent.config.FakeControlPlane;
import dev.weir.agent.config.Meshes;
import dev.weir.agent.config.XdsClient;
import dev.weir.agent.config.XdsOptions;
import dev.weir.agent.log.Level;
import dev.weir.agent.log.Logs;
import dev.weir.agent.metrics.Exposition;
import dev.weir.api.proto.ca.IstioCertificateRequest;
import dev.weir.api.proto.ca.IstioCertificateResponse;
import dev.weir.api.proto.ca.IstioCertificateServiceGrpc;
import io.grpc.Attributes;
import io.grpc.Metadata;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerInterceptor;
import io.grpc.ServerTransportFilter;
import io.grpc.Status;
import io.grpc.netty.GrpcSslContexts;
import io.grpc.netty.NettyServerBuilder;
import io.grpc.stub.StreamObserver;
import io.netty.handler.ssl.SslContextBuilder;
import io.netty.handler.ssl.SslProvider;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.Duration;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import javax.net.ssl.SSLException;
import org.bouncycastle.asn1.x509.GeneralName;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** An agent that follows a control plane by TLS, and what it says where it cannot. */
@Timeout(60)
final class ControlLineTest {
  private static final Duration SOON = Duration.ofSeconds(20);
  private static final Metadata.Key<String> AUTHORIZATION =
      Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);

  @TempDir Path folder = Path.of("");

  private final ByteArrayOutputStream logged = new ByteArrayOutputStream();
  private final Logs logs =
      new Logs(
          new PrintStream(logged, true, StandardCharsets.UTF_8),
          InstantSource.system(),
          Level.INFO);
  private final TestAuthority mesh = new TestAuthority("mesh");
  private final LineLoop loop = LineLoop.open();
  private final List<AutoCloseable> open = new ArrayList<>();

  /** What the control plane was shown, {@code none} where nothing was. */
  private final BlockingQueue<String> shown = new LinkedBlockingQueue<>();

  private final AtomicInteger connections = new AtomicInteger();
  private volatile @Nullable Status refusal;

  @BeforeEach
  void files() throws IOException {
    write("root.pem", TestAuthority.pem(mesh.root));
    write("token", "first\n");
  }

  @AfterEach
  void close() throws Exception {
    for (AutoCloseable each : open.reversed()) {
      each.close();
    }
    loop.close();
  }

  private void write(String name, String text) throws IOException {
    Path fresh = folder.resolve(name + ".new");
    Files.writeString(fresh, text);
    Files.move(fresh, folder.resolve(name), StandardCopyOption.ATOMIC_MOVE);
  }

  // ---- a control plane

  private NettyServerBuilder watched(NettyServerBuilder builder) {
    return builder
        .intercept(
            new ServerInterceptor() {
              @Override
              public <Q, A> ServerCall.Listener<Q> interceptCall(
                  ServerCall<Q, A> call, Metadata headers, ServerCallHandler<Q, A> next) {
                String token = headers.get(AUTHORIZATION);
                shown.add(token == null ? "none" : token);
                Status no = refusal;
                if (no == null) {
                  return next.startCall(call, headers);
                }
                call.close(no, new Metadata());
                return new ServerCall.Listener<>() {};
              }
            })
        .addTransportFilter(
            new ServerTransportFilter() {
              @Override
              public Attributes transportReady(Attributes attributes) {
                connections.incrementAndGet();
                return attributes;
              }
            });
  }

  private FakeControlPlane control(TestAuthority by, String name, int port, String protocol)
      throws IOException {
    TestAuthority.Held own =
        by.issue(TestAuthority.Leaf.of().names(new GeneralName(GeneralName.iPAddress, name)));
    FakeControlPlane control =
        new FakeControlPlane(
            port,
            true,
            builder -> {
              try {
                return watched(builder)
                    .addService(new Silent())
                    .sslContext(
                        GrpcSslContexts.configure(
                                SslContextBuilder.forServer(own.pair().getPrivate(), own.chain()),
                                SslProvider.JDK)
                            .protocols(protocol)
                            .build());
              } catch (SSLException e) {
                throw new AssertionError(e);
              }
            });
    open.add(control);
    return control;
  }

  private FakeControlPlane control() throws IOException {
    return control(mesh, "127.0.0.1", 0, "TLSv1.3");
  }

  /** A CA that has nothing to say. */
  private static final class Silent
      extends IstioCertificateServiceGrpc.IstioCertificateServiceImplBase {
    @Override
    public void createCertificate(
        IstioCertificateRequest request, StreamObserver<IstioCertificateResponse> answer) {
      answer.onError(Status.PERMISSION_DENIED.withDescription("nothing").asRuntimeException());
    }
  }

  // ---- an agent

  private ControlLine line(LineOptions options) {
    ControlLine line = ControlLine.open(options, loop, InstantSource.system());
    open.add(line);
    return line;
  }

  private ControlLine line(int port) {
    return line(
        new LineOptions.Secure(
            "127.0.0.1:" + port, folder.resolve("root.pem"), folder.resolve("token")));
  }

  private XdsClient follow(ControlLine line) {
    XdsClient client =
        XdsClient.open(XdsOptions.of("node-1", "10.0.0.1", "test"), line, logs.room("config"));
    open.add(client);
    return client;
  }

  private XdsClient follow(int port) {
    return follow(line(port));
  }

  private static void serve(FakeControlPlane control, String address) throws Exception {
    control.request();
    control.send(List.of(FakeControlPlane.resource(Meshes.service("web", address), address)));
    control.request();
  }

  private String shownNext() throws InterruptedException {
    String token = shown.poll(20, TimeUnit.SECONDS);
    return token == null ? "nobody called within 20 s" : token;
  }

  private void fails(XdsClient client, LineFailure.Cause cause, String... words) {
    await()
        .atMost(SOON)
        .untilAsserted(() ->
            assertThat(client.state().lastFailure())
                .isNotNull()
                .extracting(LineFailure::cause)
                .isEqualTo(cause));
    LineFailure failure = client.state().lastFailure();
    assertThat(failure == null ? "" : failure.reason()).contains(words);
    assertThat(client.state().connected()).isFalse();
    Exposition metrics = new Exposition();
    client.write(metrics);
    assertThat(metrics.toString())
        .containsPattern("weir_xds_failures_total\\{cause=\"" + cause.label() + "\"} [1-9]")
        .contains("weir_xds_connected 0");
    assertThat(logged.toString(StandardCharsets.UTF_8))
        .contains("no control plane", "cause=" + cause.label())
        .doesNotContain("\tat ");
  }

  private static void follows(XdsClient client) {
    await().atMost(SOON).until(() -> client.state().connected());
    assertThat(client.state().secure()).isTrue();
    assertThat(client.state().lastFailure()).isNull();
  }

  // ---- what holds

  @Test
  void it_follows_by_TLS_and_shows_its_token() throws Exception {
    FakeControlPlane control = control();
    XdsClient client = follow(control.port());
    serve(control, "10.96.0.7");
    follows(client);
    assertThat(shownNext()).isEqualTo("Bearer first");
    assertThat(client.current().synced()).isTrue();
    assertThat(logged.toString(StandardCharsets.UTF_8))
        .contains("following the control plane", "tls=true");
  }

  @Test
  void configuration_and_certificates_share_a_connection() throws Exception {
    FakeControlPlane control = control();
    ControlLine line = line(control.port());
    XdsClient client = follow(line);
    serve(control, "10.96.0.7");
    follows(client);
    CompletableFuture<FetchFailure> answer = new CompletableFuture<>();
    new AuthorityClient(line, SOON, Runnable::run)
        .request(
            "spiffe://cluster.local/ns/a/sa/b",
            "csr",
            SOON,
            new AuthorityClient.Answer() {
              @Override
              public void chain(List<String> pems) {
                answer.completeExceptionally(new AssertionError("a certificate"));
              }

              @Override
              public void failed(FetchFailure failure) {
                answer.complete(failure);
              }
            });
    assertThat(answer.get(20, TimeUnit.SECONDS).cause()).isEqualTo(FetchFailure.Cause.NOT_ALLOWED);
    assertThat(connections).hasValue(1);
    assertThat(client.state().connected()).isTrue();
  }

  @Test
  void a_stream_that_ends_with_its_token_is_begun_anew_with_the_next_and_nothing_is_forgotten()
      throws Exception {
    FakeControlPlane control = control();
    XdsClient client = follow(control.port());
    serve(control, "10.96.0.7");
    follows(client);
    assertThat(shownNext()).isEqualTo("Bearer first");
    write("token", "second");
    control.end(Status.UNAUTHENTICATED.withDescription("token: expired while the stream was open"));
    assertThat(control.request().getInitialResourceVersionsMap()).hasSize(1);
    assertThat(shownNext()).isEqualTo("Bearer second");
    assertThat(client.current().serviceCount()).isEqualTo(1);
    assertThat(client.current().synced()).isTrue();
    control.send(List.of());
    follows(client);
    assertThat(connections).hasValue(1);
  }

  @Test
  void a_token_that_is_refused_is_told_with_the_reason() throws Exception {
    refusal = Status.UNAUTHENTICATED.withDescription("token: another audience");
    FakeControlPlane control = control();
    XdsClient client = follow(control.port());
    fails(
        client,
        LineFailure.Cause.TOKEN_REFUSED,
        "the control plane refused the token: token: another audience");
    refusal = Status.PERMISSION_DENIED.withDescription("weir-system/x is no node's agent");
    fails(client, LineFailure.Cause.NOT_ALLOWED, "refused: weir-system/x is no node's agent");
    refusal = null;
    serve(control, "10.96.0.7");
    follows(client);
  }

  @Test
  void a_token_that_is_not_there_is_told_and_taken_when_it_comes() throws Exception {
    Files.delete(folder.resolve("token"));
    FakeControlPlane control = control();
    XdsClient client = follow(control.port());
    fails(client, LineFailure.Cause.TOKEN_UNREADABLE, folder.resolve("token").toString());
    write("token", " \n");
    await()
        .atMost(SOON)
        .untilAsserted(() ->
            assertThat(String.valueOf(client.state().lastFailure())).contains("holds no token"));
    assertThat(shown).isEmpty();
    write("token", "late");
    serve(control, "10.96.0.7");
    follows(client);
    assertThat(shownNext()).isEqualTo("Bearer late");
  }

  @Test
  void who_is_not_trusted_sees_no_token_until_the_root_s_file_says_so() throws Exception {
    TestAuthority other = new TestAuthority("other");
    FakeControlPlane control = control(other, "127.0.0.1", 0, "TLSv1.3");
    XdsClient client = follow(control.port());
    fails(client, LineFailure.Cause.NOT_TRUSTED, "untrusted", "leads to no trusted root");
    assertThat(shown).isEmpty();
    write("root.pem", TestAuthority.pem(mesh.root) + TestAuthority.pem(other.root));
    serve(control, "10.96.0.7");
    follows(client);
    // What was good stays in force.
    write("root.pem", "nothing of use");
    control.end(Status.UNAVAILABLE.withDescription("again"));
    serve(control, "10.96.0.8");
    follows(client);
  }

  @Test
  void a_root_that_is_not_there_is_told_and_taken_when_it_comes() throws Exception {
    Files.delete(folder.resolve("root.pem"));
    FakeControlPlane control = control();
    XdsClient client = follow(control.port());
    fails(
        client,
        LineFailure.Cause.ROOT_UNREADABLE,
        folder.resolve("root.pem") + ", cannot be read: there is no such file");
    write("root.pem", TestAuthority.pem(mesh.root));
    serve(control, "10.96.0.7");
    follows(client);
  }

  @Test
  void a_certificate_for_another_name_is_told_with_the_remedy() throws Exception {
    FakeControlPlane control = control(mesh, "127.0.0.9", 0, "TLSv1.3");
    XdsClient client = follow(control.port());
    fails(client, LineFailure.Cause.WRONG_NAME, "not for 127.0.0.1", "--tls-name");
    assertThat(shown).isEmpty();
  }

  @Test
  void who_speaks_no_TLS_or_an_older_one_sees_no_token() throws Exception {
    FakeControlPlane plain = new FakeControlPlane(0, true, this::watched);
    open.add(plain);
    fails(follow(plain.port()), LineFailure.Cause.NOT_TLS, "does not speak TLS on that port");
    FakeControlPlane old = control(mesh, "127.0.0.1", 0, "TLSv1.2");
    fails(follow(old.port()), LineFailure.Cause.HANDSHAKE, "not reachable by TLS");
    assertThat(shown).isEmpty();
  }

  @Test
  void without_TLS_nobody_answers_on_its_port() throws Exception {
    FakeControlPlane control = control();
    XdsClient client = follow(line(new LineOptions.Plain("127.0.0.1:" + control.port())));
    await().atMost(SOON).until(() -> client.state().lastFailure() != null);
    assertThat(client.state().secure()).isFalse();
    assertThat(client.current().synced()).isFalse();
    assertThat(shown).isEmpty();
  }

  @Test
  void a_control_plane_that_is_gone_is_found_again() throws Exception {
    FakeControlPlane first = control();
    int port = first.port();
    XdsClient client = follow(port);
    serve(first, "10.96.0.7");
    follows(client);
    first.close();
    fails(client, LineFailure.Cause.UNREACHABLE, "the control plane is not reachable");
    assertThat(client.current().serviceCount()).isEqualTo(1);
    FakeControlPlane second = control(mesh, "127.0.0.1", port, "TLSv1.3");
    serve(second, "10.96.0.8");
    follows(client);
  }
}
