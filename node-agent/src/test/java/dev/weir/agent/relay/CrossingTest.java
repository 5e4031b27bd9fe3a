package dev.weir.agent.relay;

import static dev.weir.agent.relay.Programs.assertReset;
import static dev.weir.agent.relay.Programs.reset;
import static dev.weir.agent.relay.Programs.say;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.weir.agent.config.MeshView;
import dev.weir.agent.fairness.PodUsage;
import dev.weir.agent.telemetry.Refusal;
import dev.weir.api.model.AppProtocol;
import dev.weir.api.model.Authorization;
import dev.weir.api.model.Balancing;
import dev.weir.api.model.GatewayAddress;
import dev.weir.api.model.IpFamilies;
import dev.weir.api.model.Service;
import dev.weir.api.model.ServicePort;
import dev.weir.api.model.Workload;
import dev.weir.testing.NeedsRoot;
import io.netty.channel.Channel;
import io.netty.handler.codec.http2.DefaultHttp2Headers;
import io.netty.handler.codec.http2.DefaultHttp2ResetFrame;
import io.netty.handler.codec.http2.Http2Error;
import io.netty.handler.codec.http2.Http2Headers;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;
import java.util.zip.CRC32C;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Into another network, by way of a gateway: what the client's program is to notice of it, and who
 * of the two that answer may not be who he says.
 */
@NeedsRoot
@Timeout(60)
final class CrossingTest {
  private static final int MIB = 1 << 20;
  private static final InetSocketAddress INBOUND =
      new InetSocketAddress(InetAddress.ofLiteral("10.9.0.2"), 15008);

  private final List<AutoCloseable> open = new ArrayList<>();
  private TwoPods pods;
  private int services;
  private int targetPort;

  @BeforeEach
  void open() {
    open("epoll+tunnel");
  }

  private void open(String way) {
    pods = new TwoPods(way);
    pods.alsoAt(Gateway.ADDRESS);
  }

  @AfterEach
  void nothingIsHeldWhenAllHasEnded() throws Exception {
    for (AutoCloseable each : open.reversed()) {
      each.close();
    }
    pods.endHoldingNothing();
  }

  // ---- the mesh

  private static ServicePort port(int target) {
    return new ServicePort("", 80, target, AppProtocol.TCP);
  }

  /** A Service that only the other network answers for. */
  private Service service(String address, String... servers) {
    String name = "svc-" + ++services;
    return new Service(
        "test",
        name,
        name + ".test.svc.cluster.local",
        "",
        List.of(InetAddress.ofLiteral(address)),
        List.of(port(8080)),
        IpFamilies.AUTOMATIC,
        Balancing.ANYWHERE,
        false,
        "",
        false,
        List.of(servers));
  }

  private static Workload named(Workload workload, String name, List<InetAddress> addresses) {
    return new Workload(
        Workload.podUid("west", "istio-gateways", name),
        "istio-gateways",
        name,
        addresses,
        "west",
        "",
        "",
        "gateway",
        workload.trustDomain(),
        "west",
        workload.locality(),
        workload.kind(),
        name,
        name,
        "",
        workload.tunnel(),
        true,
        false,
        1,
        Map.of(),
        workload.settings());
  }

  /** Of all pods behind one Service in another network a control plane tells as if of one. */
  private static Workload behind(Service service, int gatewayPort, Workload like) {
    return new Workload(
            "west/SplitHorizonWorkload/" + service.name(),
            "test",
            service.name() + "-west",
            List.of(),
            "",
            "",
            "",
            Workload.DEFAULT_SERVICE_ACCOUNT,
            like.trustDomain(),
            "west",
            like.locality(),
            like.kind(),
            service.name(),
            service.name(),
            "",
            like.tunnel(),
            true,
            false,
            1,
            Map.of(service.key(), List.of(port(0))),
            like.settings())
        .in("west", new GatewayAddress.At("west", Gateway.ADDRESS, gatewayPort));
  }

  /** The server's pod answers, and its network's gateways alone know it. */
  private Workload answering(Service service, int target) {
    Workload like = Meshes.of(pods.server);
    return new Workload(
        like.uid(),
        like.namespace(),
        like.name(),
        like.addresses(),
        "",
        like.node(),
        like.hostname(),
        like.serviceAccount(),
        like.trustDomain(),
        like.cluster(),
        like.locality(),
        like.kind(),
        like.ownerName(),
        like.canonicalName(),
        like.canonicalRevision(),
        like.tunnel(),
        false,
        false,
        1,
        Map.of(service.key(), List.of(port(target))),
        like.settings());
  }

  private static InetSocketAddress address(Service service) {
    return new InetSocketAddress(service.addresses().getFirst(), 80);
  }

  private static int portOf(ServerSocketChannel listener) {
    return listener.socket().getLocalPort();
  }

  /** A Service behind a gateway that goes as far as that one does. */
  private record Far(Service service, Gateway gateway) {}

  private Gateway gateway(Gateway.Manner manner, InetSocketAddress beyond) throws IOException {
    Gateway gateway = new Gateway(pods, manner, beyond);
    open.add(gateway);
    return gateway;
  }

  /** To the first of them the server's pod answers, at a port of its own. */
  private void tell(List<Far> all, int target) {
    Workload like = Meshes.of(pods.client);
    List<Workload> workloads = new ArrayList<>();
    workloads.add(like);
    workloads.add(answering(all.getFirst().service, target));
    workloads.add(named(like, "gateway", List.of(Gateway.ADDRESS)));
    for (Far each : all) {
      workloads.add(behind(each.service, each.gateway.port(), like));
    }
    pods.view =
        MeshView.empty("east").with(all.stream().map(Far::service).toList(), workloads, List.of());
  }

  /** The server's program, behind a gateway that works. */
  private ServerSocketChannel reachable() throws IOException {
    ServerSocketChannel listener = pods.listen();
    open.add(listener);
    targetPort = portOf(listener);
    Far far =
        new Far(
            service("10.96.0.1", pods.server.identity()), gateway(Gateway.Manner.SPLICES, INBOUND));
    tell(List.of(far), targetPort);
    pods.ask(address(far.service));
    return listener;
  }

  private Gateway gateway() {
    return open.stream()
        .filter(Gateway.class::isInstance)
        .map(Gateway.class::cast)
        .findFirst()
        .orElseThrow();
  }

  // ---- programs

  private void awaitRefused(Refusal reason) {
    await()
        .atMost(Duration.ofSeconds(20))
        .untilAsserted(() -> assertThat(pods.refused).containsKey(reason));
  }

  private long innerTunnels() {
    return pods.counter("weir_tunnels{side=\"inner\"}");
  }

  /** On a thread of its own: what is done there blocks. */
  private static CompletableFuture<Long> aside(Supplier<Long> work) {
    return CompletableFuture.supplyAsync(work, task -> Thread.ofPlatform().daemon().start(task));
  }

  /** Sends so many bytes that no shift or swap would leave alike, and ends; their checksum. */
  private static CompletableFuture<Long> sending(SocketChannel to, int bytes, int seed) {
    return aside(() -> {
      Random random = new Random(seed);
      CRC32C sum = new CRC32C();
      byte[] block = new byte[100_000];
      try {
        for (int left = bytes; left > 0; ) {
          random.nextBytes(block);
          int n = Math.min(left, random.nextInt(1, block.length));
          sum.update(block, 0, n);
          ByteBuffer piece = ByteBuffer.wrap(block, 0, n);
          while (piece.hasRemaining()) {
            to.write(piece);
          }
          left -= n;
        }
        to.shutdownOutput();
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
      return sum.getValue();
    });
  }

  /** Reads to the end; the checksum. */
  private static CompletableFuture<Long> reading(SocketChannel from) {
    return aside(() -> {
      CRC32C sum = new CRC32C();
      ByteBuffer buffer = ByteBuffer.allocate(64 * 1024);
      try {
        while (from.read(buffer.clear()) >= 0) {
          sum.update(buffer.flip());
        }
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
      return sum.getValue();
    });
  }

  private static <T> T soon(CompletableFuture<T> future) throws Exception {
    return future.get(30, TimeUnit.SECONDS);
  }

  // ---- what goes well

  @ParameterizedTest
  @ValueSource(strings = {"epoll+tunnel", "io_uring+tunnel"})
  void bytesGoBothWaysAndEachEndsByItself(String way) throws Exception {
    pods.close();
    open(way);
    try (ServerSocketChannel listener = reachable();
        SocketChannel client = pods.connect();
        SocketChannel server = listener.accept()) {
      say(server, client, "the server speaks first");
      CompletableFuture<Long> up = sending(client, 12 * MIB, 1);
      CompletableFuture<Long> down = sending(server, 12 * MIB, 2);
      CompletableFuture<Long> read = reading(client);
      assertThat(soon(reading(server))).isEqualTo(soon(up));
      assertThat(soon(read)).isEqualTo(soon(down));
    }
    await().untilAsserted(() -> assertThat(innerTunnels()).isZero());
    assertThat(pods.refused).isEmpty();
  }

  @Test
  void oneDirectionGoesOnAfterTheOtherHasEnded() throws Exception {
    try (ServerSocketChannel listener = reachable();
        SocketChannel client = pods.connect();
        SocketChannel server = listener.accept()) {
      client.shutdownOutput();
      assertThat(server.read(ByteBuffer.allocate(1))).isEqualTo(-1);
      CompletableFuture<Long> down = sending(server, 3 * MIB, 3);
      assertThat(soon(reading(client))).isEqualTo(soon(down));
    }
  }

  @Test
  void theOuterTunnelIsSharedAndTheInnerOneIsNot() throws Exception {
    List<SocketChannel> all = new ArrayList<>();
    try (ServerSocketChannel listener = reachable()) {
      for (int i = 0; i < 20; i++) {
        SocketChannel client = pods.connect();
        all.add(client);
        SocketChannel server = listener.accept();
        all.add(server);
        say(client, server, "number " + i);
      }
      assertThat(innerTunnels()).isEqualTo(20);
      assertThat(pods.counter("weir_tunnel_handshakes_total{side=\"inner\",result=\"done\"}"))
          .isEqualTo(20);
      assertThat(gateway().tunnels).as("one for each loop of the pod").hasSizeBetween(1, 4);
    } finally {
      for (SocketChannel each : all) {
        each.close();
      }
    }
  }

  @Test
  void theNetworkIsToldToTheServerAloneAndTheNameToBoth() throws Exception {
    ServerSocketChannel inner =
        pods.listenAt(pods.server, new InetSocketAddress(InetAddress.ofLiteral("10.9.0.2"), 0), 50);
    open.add(inner);
    Gateway gateway = gateway(Gateway.Manner.SPLICES, (InetSocketAddress) inner.getLocalAddress());
    Far far = new Far(service("10.96.0.1", pods.server.identity()), gateway);
    tell(List.of(far), 8080);
    pods.ask(address(far.service));
    try (SocketChannel client = pods.connect();
        RawPeer peer = RawPeer.serving(pods, inner.accept()).greet(false)) {
      RawPeer.Received frame = peer.nextOfAStream();
      Http2Headers inside = peer.decode(frame);
      Http2Headers outside = Objects.requireNonNull(gateway.requests.poll());
      for (Http2Headers each : List.of(inside, outside)) {
        assertThat(each.method()).hasToString("CONNECT");
        assertThat(each.authority()).hasToString(far.service.hostname() + ":80");
        assertThat(each.scheme()).isNull();
        assertThat(each.path()).isNull();
        assertThat(each.get("baggage")).asString().contains("k8s.namespace.name=test");
        assertThat(each.get("forwarded"))
            .hasToString(
                "for=\"10.9.0.1:%d\";host=%s"
                    .formatted(client.socket().getLocalPort(), far.service.hostname()));
      }
      assertThat(inside.get("x-forwarded-network")).hasToString("east");
      assertThat(outside.contains("x-forwarded-network")).isFalse();
      assertThat(inside.get("traceparent")).hasToString(outside.get("traceparent").toString());

      peer.send(
          peer.headers(
              frame.stream(),
              new DefaultHttp2Headers()
                  .status("200")
                  .add("baggage", "k8s.deployment.name=cart,service.name=cart")));
      peer.send(RawPeer.data(frame.stream(), "welcome"));
      ByteBuffer heard = ByteBuffer.allocate(7);
      while (heard.hasRemaining()) {
        assertThat(client.read(heard)).isPositive();
      }
      peer.send(RawPeer.frame(RawPeer.RST_STREAM, 0, frame.stream(), new byte[] {0, 0, 0, 8}));
      assertReset(client);
    }
    assertThat(pods.telemetry.metrics().lines())
        .as("the answer's baggage, and the certificate, tell who answered")
        .anyMatch(line ->
            line.contains("destination_workload=\"cart\"")
                && line.contains("destination_principal=\"%s\"".formatted(pods.server.identity())));
  }

  // ---- ends before their time

  @Test
  void aResetOfEitherProgramReachesTheOther() throws Exception {
    try (ServerSocketChannel listener = reachable()) {
      try (SocketChannel client = pods.connect();
          SocketChannel server = listener.accept()) {
        say(client, server, "one");
        reset(client);
        assertReset(server);
      }
      try (SocketChannel client = pods.connect();
          SocketChannel server = listener.accept()) {
        say(client, server, "two");
        reset(server);
        assertReset(client);
      }
      await().untilAsserted(() -> assertThat(innerTunnels()).isZero());
    }
  }

  @Test
  void aStreamThatTheGatewayTakesBackIsAResetAndNamed() throws Exception {
    try (ServerSocketChannel listener = reachable();
        SocketChannel client = pods.connect();
        SocketChannel server = listener.accept()) {
      say(client, server, "before");
      Channel stream = Objects.requireNonNull(gateway().streams.peek());
      stream.writeAndFlush(new DefaultHttp2ResetFrame(Http2Error.INTERNAL_ERROR));
      assertReset(client);
      assertReset(server);
      pods.awaitFailure("the stream through the gateway is over");
    }
  }

  @Test
  void aGatewayThatDiesTakesItsConnectionsAndTheNextOneIsMadeAnew() throws Exception {
    try (ServerSocketChannel listener = reachable()) {
      try (SocketChannel client = pods.connect();
          SocketChannel server = listener.accept()) {
        say(client, server, "before");
        for (Channel each : gateway().tunnels) {
          each.close();
        }
        assertReset(client);
        assertReset(server);
      }
      await()
          .untilAsserted(() -> assertThat(pods.counter("weir_tunnels{side=\"client\"}")).isZero());
      try (SocketChannel client = pods.connect();
          SocketChannel server = listener.accept()) {
        say(client, server, "after");
      }
    }
  }

  @Test
  void policyOfTheOtherNetworkDeniesLiveOnesAndNewOnes() throws Exception {
    try (ServerSocketChannel listener = reachable();
        SocketChannel client = pods.connect();
        SocketChannel server = listener.accept()) {
      say(client, server, "allowed");
      Authorization nobody =
          new Authorization(
              "test",
              "nobody",
              Authorization.Scope.NAMESPACE,
              Authorization.Action.DENY,
              false,
              List.of(
                  new Authorization.Rule(
                      List.of(
                          new Authorization.Clause(
                              List.of(
                                  Authorization.Match.ports(List.of(targetPort), List.of())))))));
      pods.view = pods.view.with(List.of(), List.of(), List.of(nobody));
      pods.relays.judge(pods.view);
      assertReset(client);
      assertReset(server);
      pods.assertRefused();
      awaitRefused(Refusal.DENIED_THERE);
      pods.awaitFailure("policy of the other network denies");
    }
  }

  @Test
  void drainingLeavesThemToTheirEnd() throws Exception {
    try (ServerSocketChannel listener = reachable();
        SocketChannel client = pods.connect();
        SocketChannel server = listener.accept()) {
      say(client, server, "before");
      pods.relays.drain();
      say(client, server, "after");
      CompletableFuture<Long> down = sending(server, MIB, 4);
      assertThat(soon(reading(client))).isEqualTo(soon(down));
    }
    await().untilAsserted(() -> assertThat(pods.tunnels.count()).isZero());
  }

  @Test
  void aServerWhoseCertificateIsRevokedIsCutOff() throws Exception {
    try (ServerSocketChannel listener = reachable();
        SocketChannel client = pods.connect();
        SocketChannel server = listener.accept()) {
      say(client, server, "trusted");
      pods.identities.revoke(pods.server.identity());
      assertReset(client);
      assertReset(server);
      await().untilAsserted(() -> assertThat(pods.failures()).contains("certificate is revoked"));
    }
  }

  // ---- who is who

  @Test
  void nothingIsAskedOfAGatewayThatIsSomebodyElse() throws Exception {
    try (ServerSocketChannel listener = reachable()) {
      pods.identities.impostors.put(Gateway.IDENTITY, "spiffe://cluster.local/ns/test/sa/eve");
      listener.configureBlocking(false);
      pods.assertRefused();
      awaitRefused(Refusal.WRONG_PEER);
      assertThat(gateway().requests).isEmpty();
      assertThat(listener.accept()).isNull();
      pods.awaitFailure(Gateway.IDENTITY);
    }
  }

  @Test
  void nothingIsSaidToAServerThatIsSomebodyElse() throws Exception {
    try (ServerSocketChannel listener = reachable()) {
      pods.identities.impostors.put(
          pods.server.identity(), "spiffe://cluster.local/ns/test/sa/eve");
      listener.configureBlocking(false);
      pods.assertRefused();
      awaitRefused(Refusal.WRONG_PEER);
      assertThat(gateway().requests).hasSize(1);
      assertThat(listener.accept()).isNull();
      assertThat(pods.counter("weir_tunnel_handshakes_total{side=\"inner\",result=\"wrong-peer\"}"))
          .isEqualTo(1);
      pods.awaitFailure("should be " + pods.server.identity());
    }
  }

  // ---- who does not do his part

  private SocketChannel calling(Far far) throws IOException {
    SocketChannel client = pods.connectTo(address(far.service));
    open.add(client);
    return client;
  }

  /** As far as its port of a pod that shakes hands and, if told to, speaks HTTP/2. */
  private InetSocketAddress server(boolean greets) throws IOException {
    ServerSocketChannel inner =
        pods.listenAt(pods.server, new InetSocketAddress(InetAddress.ofLiteral("10.9.0.2"), 0), 50);
    open.add(inner);
    Thread.ofPlatform()
        .daemon()
        .start(() -> {
          try (RawPeer peer = RawPeer.serving(pods, inner.accept())) {
            if (greets) {
              peer.greet(false);
            }
            peer.untilEnded();
          } catch (IOException e) {
            // The test is over.
          }
        });
    return (InetSocketAddress) inner.getLocalAddress();
  }

  @Test
  void whoeverStallsIsLeftAndNamed() throws Exception {
    Gateway down = gateway(Gateway.Manner.SPLICES, INBOUND);
    String server = pods.server.identity();
    List<Far> all = new ArrayList<>();
    all.add(new Far(service("10.96.0.1", server), down));
    List<Gateway.Manner> manners =
        List.of(
            Gateway.Manner.NEVER_SHAKES_HANDS,
            Gateway.Manner.NEVER_GREETS,
            Gateway.Manner.NEVER_ANSWERS,
            Gateway.Manner.FALLS_SILENT,
            Gateway.Manner.REFUSES);
    for (Gateway.Manner each : manners) {
      all.add(new Far(service("10.96.1." + all.size(), server), gateway(each, INBOUND)));
    }
    for (boolean greets : new boolean[] {false, true}) {
      all.add(
          new Far(
              service("10.96.1." + all.size(), server),
              gateway(Gateway.Manner.SPLICES, server(greets))));
    }
    tell(all, 8080);
    down.close();
    List<String> causes =
        List.of(
            "Connection refused",
            "TLS with /10.9.0.9:\\d+: handshake-timeout",
            "no answer from the gateway at /10.9.0.9:\\d+ in 10 s: no SETTINGS came",
            "no answer from the gateway at /10.9.0.9:\\d+ in 10 s: CONNECT was sent",
            "TLS with svc-5.* by way of /10.9.0.9:\\d+: handshake-timeout",
            "the gateway answers 503 for svc-6",
            "no SETTINGS within 10 s",
            "no answer from the other network at /10.9.0.9:\\d+ in 10 s: CONNECT was sent");
    List<SocketChannel> clients = new ArrayList<>();
    for (Far each : all) {
      clients.add(calling(each));
    }
    for (SocketChannel each : clients) {
      assertReset(each);
    }
    await()
        .untilAsserted(() -> {
          for (String each : causes) {
            assertThat(pods.failures()).containsPattern(each);
          }
        });
    assertThat(pods.refused)
        .containsEntry(Refusal.CONNECT_REFUSED, 1)
        .containsEntry(Refusal.UNSERVED_THERE, 1)
        .containsEntry(Refusal.TUNNEL_FAILED, 3)
        .containsEntry(Refusal.CONNECT_TIMEOUT, 3);
    assertThat(pods.counter("weir_tunnel_handshakes_total{side=\"inner\",result=\"tls-failed\"}"))
        .isEqualTo(1);
  }

  // ---- bounds

  /** Sends until nothing has been taken for a second; how much was. */
  private static long fill(SocketChannel to) throws IOException, InterruptedException {
    to.configureBlocking(false);
    ByteBuffer block = ByteBuffer.allocate(64 * 1024);
    long sent = 0;
    long last = System.nanoTime();
    while (System.nanoTime() - last < TimeUnit.SECONDS.toNanos(1)) {
      int n = to.write(block.clear());
      if (n > 0) {
        sent += n;
        last = System.nanoTime();
      } else {
        TimeUnit.MILLISECONDS.sleep(5);
      }
      assertThat(sent).as("bytes that nobody has read").isLessThan(32 * MIB);
    }
    return sent;
  }

  private static long drained(SocketChannel from, long bytes) throws IOException {
    ByteBuffer buffer = ByteBuffer.allocate(64 * 1024);
    long read = 0;
    while (read < bytes) {
      int n = from.read(buffer.clear());
      if (n < 0) {
        break;
      }
      read += n;
    }
    return read;
  }

  private PodUsage usage(String pod) {
    return pods.fairness.usage().stream()
        .filter(each -> each.name().equals(pod))
        .findFirst()
        .orElseThrow();
  }

  @Test
  void aReaderThatStopsHoldsWindowsAndNoMore() throws Exception {
    pods.fairness.start();
    try (ServerSocketChannel listener = reachable();
        SocketChannel client = pods.connect();
        SocketChannel server = listener.accept()) {
      say(client, server, "hello");
      long down = fill(server);
      await()
          .untilAsserted(
              () -> assertThat(usage("client").buffered()).isBetween(64L << 10, 4L << 20));
      long up = fill(client);
      // Two agents' sides, and pooled buffers that are not full.
      assertThat(pods.allocator.pinnedDirectMemory()).isLessThan(12 << 20);
      assertThat(drained(client, down)).isEqualTo(down);
      assertThat(drained(server, up)).isEqualTo(up);
      client.configureBlocking(true);
      server.configureBlocking(true);
      say(client, server, "and on it goes");
    }
    assertThat(pods.refused).isEmpty();
  }
}
