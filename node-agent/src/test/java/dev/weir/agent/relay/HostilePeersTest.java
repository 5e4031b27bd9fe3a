package dev.weir.agent.relay;

import static dev.weir.agent.relay.Programs.assertReset;
import static dev.weir.agent.relay.Programs.receive;
import static dev.weir.agent.relay.Programs.say;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.weir.agent.config.MeshView;
import dev.weir.agent.telemetry.Refusal;
import dev.weir.api.model.AppProtocol;
import dev.weir.api.model.Balancing;
import dev.weir.api.model.IpFamilies;
import dev.weir.api.model.Service;
import dev.weir.api.model.ServicePort;
import dev.weir.testing.NeedsRoot;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.netty.handler.codec.http2.DefaultHttp2Headers;
import io.netty.handler.codec.http2.Http2Headers;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.StandardProtocolFamily;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Peers that mean harm, at a pod's real tunnel port. What each does ends its own tunnel or its own
 * stream, is counted under its name, costs neighbours nothing and leaves nothing behind.
 */
@NeedsRoot
@Timeout(90)
final class HostilePeersTest {
  private static final int PROTOCOL_ERROR = 1;
  private static final int FLOW_CONTROL_ERROR = 3;
  private static final int SETTINGS_TIMEOUT = 4;

  private TwoPods pods;

  @BeforeEach
  void open() {
    pods = new TwoPods("epoll+tunnel");
  }

  @AfterEach
  void nothingIsHeldWhenAllHasEnded() {
    pods.endHoldingNothing();
  }

  private long abuses(String kind) {
    return pods.counter("weir_tunnel_abuse_total{kind=\"%s\"}".formatted(kind));
  }

  private long ended(String code) {
    return pods.counter("weir_tunnels_ended_total{code=\"%s\"}".formatted(code));
  }

  private long handshakes(String side, String result) {
    return pods.counter(
        "weir_tunnel_handshakes_total{side=\"%s\",result=\"%s\"}".formatted(side, result));
  }

  private void awaitRefused(Refusal reason) {
    await().untilAsserted(() -> assertThat(pods.refused).containsKey(reason));
  }

  private RawPeer peer() throws IOException {
    return RawPeer.calling(pods).greet(true);
  }

  // ---- before TLS stands

  /** A record of 512 bytes is announced, and 12 of them come. */
  private static ByteBuffer halfAClientHello() {
    return ByteBuffer.wrap(
        new byte[] {0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, (byte) 0xfc, 3, 3, 0});
  }

  @Test
  void tenThousandHalfClientHellosLockNobodyOut() throws IOException {
    int many = 10_000;
    InetAddress elsewhere = InetAddress.ofLiteral("10.9.0.9");
    pods.alsoAt(elsewhere);
    List<SocketChannel> flood = new ArrayList<>(many);
    long most = 0;
    try (ServerSocketChannel listener = pods.listen()) {
      int friends = 0;
      for (int i = 0; i < many; i++) {
        SocketChannel each = pods.unconnected(pods.client, StandardProtocolFamily.INET);
        flood.add(each);
        each.bind(new InetSocketAddress(elsewhere, 0));
        each.connect(new InetSocketAddress(InetAddress.ofLiteral("10.9.0.2"), 15008));
        each.write(halfAClientHello());
        if (i % 100 == 0) {
          most = Math.max(most, pods.allocator.pinnedDirectMemory());
        }
        if (i % 500 == 499) {
          // With a new certificate, so that it needs a handshake of its own.
          pods.identities.rotate(pods.client.identity());
          try (SocketChannel client = pods.connect();
              SocketChannel server = listener.accept()) {
            say(client, server, "friend " + friends++);
          }
        }
      }
      assertThat(handshakes("client", "done")).isGreaterThanOrEqualTo(friends);
      assertThat(pods.refused).doesNotContainKey(Refusal.TUNNEL_FAILED);
      assertThat(most).as("bytes held for the flood").isLessThan(32 << 20);
      await()
          .atMost(Duration.ofSeconds(15))
          .untilAsserted(() ->
              assertThat(handshakes("server", "overload") + handshakes("server", "tls-failed"))
                  .isEqualTo(many));
      assertThat(handshakes("server", "overload")).isPositive();
      assertThat(pods.refused).containsKey(Refusal.OVERLOAD);
    } finally {
      for (SocketChannel each : flood) {
        each.close();
      }
    }
  }

  @Test
  void aRefusalOfOurCertificateIsNamedToWhoeverWaits() throws IOException {
    // TLS 1.3: the client's handshake is over before the server has judged it.
    pods.identities.current(pods.client.identity());
    pods.identities.revoke(pods.client.identity());
    try (ServerSocketChannel listener = pods.listen()) {
      listener.configureBlocking(false);
      try (SocketChannel client = pods.connect()) {
        assertReset(client);
      }
      awaitRefused(Refusal.TUNNEL_FAILED);
      awaitRefused(Refusal.REVOKED);
      assertThat(handshakes("server", "revoked")).isEqualTo(1);
      await().untilAsserted(() -> assertThat(pods.failures()).contains("TLS: refused-by-peer"));
      assertThat(listener.accept()).isNull();
    }
  }

  // ---- instead of HTTP/2

  @Test
  void aPeerThatNeverGreetsIsLeftAfterAPeriod() throws IOException {
    try (RawPeer silent = RawPeer.calling(pods)) {
      assertThat(silent.untilEnded()).isEqualTo(SETTINGS_TIMEOUT);
    }
    await().untilAsserted(() -> assertThat(ended("settings-timeout")).isEqualTo(1));
  }

  @Test
  void garbageInsteadOfHttp2EndsTheTunnelAtOnce() throws IOException {
    try (RawPeer garbage = RawPeer.calling(pods)) {
      garbage.send(
          Unpooled.copiedBuffer("GET / HTTP/1.1\r\nHost: x\r\n\r\n", StandardCharsets.US_ASCII));
      assertThat(garbage.untilEnded()).isEqualTo(PROTOCOL_ERROR);
    }
    await().untilAsserted(() -> assertThat(ended("protocol-error")).isEqualTo(1));
  }

  @Test
  void noiseAfterTheGreetingHarmsOnlyItsTunnel() throws IOException {
    SplittableRandom random = new SplittableRandom(15008);
    try (ServerSocketChannel listener = pods.listen();
        SocketChannel client = pods.connect();
        SocketChannel server = listener.accept()) {
      for (int i = 0; i < 100; i++) {
        byte[] noise = new byte[random.nextInt(1, 2000)];
        random.nextBytes(noise);
        // Half of them as the payload of some frame, so that more than the head is read.
        ByteBuf bytes =
            random.nextBoolean()
                ? Unpooled.wrappedBuffer(noise)
                : RawPeer.frame(random.nextInt(10), random.nextInt(256), random.nextInt(4), noise);
        try (RawPeer peer = peer()) {
          peer.send(bytes);
        } catch (IOException e) {
          // It was cut off while it spoke.
        }
      }
      say(client, server, "unharmed");
    }
  }

  // ---- floods

  interface Attack {
    /** Returns what to send, all at once. */
    ByteBuf on(RawPeer peer, String authority);
  }

  private static ByteBuf times(int times, ByteBuf frame) {
    ByteBuf all = Unpooled.buffer(times * frame.readableBytes());
    for (int i = 0; i < times; i++) {
      all.writeBytes(frame, 0, frame.readableBytes());
    }
    return all;
  }

  private static ByteBuf after(ByteBuf first, ByteBuf rest) {
    return Unpooled.wrappedBuffer(first, rest);
  }

  private static ByteBuf window(int stream, int increment) {
    return RawPeer.frame(
        RawPeer.WINDOW_UPDATE,
        0,
        stream,
        (byte) (increment >> 24),
        (byte) (increment >> 16),
        (byte) (increment >> 8),
        (byte) increment);
  }

  /** Streams by the thousand, each followed at once by a frame of its own. */
  private static ByteBuf streams(RawPeer peer, String authority, int count, int type) {
    ByteBuf all = Unpooled.buffer();
    for (int i = 0; i < count; i++) {
      int id = peer.nextStream();
      all.writeBytes(peer.connect(id, authority));
      all.writeBytes(RawPeer.frame(type, 0, id, new byte[4]));
    }
    return all;
  }

  private static Arguments attack(String name, List<String> kinds, Attack attack) {
    return Arguments.of(name, kinds, attack);
  }

  private static Stream<Arguments> attacks() {
    // Answers that pile up in one burst are too many before the frames themselves are.
    List<String> control = List.of("idle-control", "unread-answers");
    return Stream.of(
        attack(
            "rapid reset",
            List.of("rapid-reset"),
            (peer, to) -> streams(peer, to, 2000, RawPeer.RST_STREAM)),
        attack(
            "MadeYouReset",
            List.of("made-to-reset", "unread-answers"),
            (peer, to) -> streams(peer, to, 2000, RawPeer.WINDOW_UPDATE)),
        attack(
            "endless CONTINUATION",
            List.of("headers"),
            (peer, to) ->
                after(
                    RawPeer.frame(RawPeer.HEADERS, 0, 1, new byte[16]),
                    times(100, RawPeer.frame(RawPeer.CONTINUATION, 0, 1, new byte[16_000])))),
        attack(
            "empty CONTINUATION",
            List.of("headers"),
            (peer, to) ->
                after(
                    RawPeer.frame(RawPeer.HEADERS, 0, 1),
                    times(10_000, RawPeer.frame(RawPeer.CONTINUATION, 0, 1)))),
        attack(
            "SETTINGS", control, (peer, to) -> times(5000, RawPeer.frame(RawPeer.SETTINGS, 0, 0))),
        attack(
            "acknowledgements of SETTINGS",
            control,
            (peer, to) -> times(5000, RawPeer.frame(RawPeer.SETTINGS, RawPeer.ACK, 0))),
        attack(
            "PING",
            control,
            (peer, to) -> times(5000, RawPeer.frame(RawPeer.PING, 0, 0, new byte[8]))),
        attack(
            "PRIORITY",
            control,
            (peer, to) ->
                times(
                    5000,
                    RawPeer.frame(
                        RawPeer.PRIORITY, 0, 1, (byte) 0, (byte) 0, (byte) 0, (byte) 3, (byte) 9))),
        attack(
            "unknown frames",
            control,
            (peer, to) -> times(5000, RawPeer.frame(RawPeer.UNKNOWN, 0, 0))),
        attack(
            "empty DATA",
            List.of("empty-data"),
            (peer, to) ->
                after(peer.connect(1, to), times(1000, RawPeer.frame(RawPeer.DATA, 0, 1)))),
        attack(
            "windows of a stream that is over",
            control,
            (peer, to) ->
                after(streams(peer, to, 1, RawPeer.RST_STREAM), times(5000, window(1, 1)))));
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("attacks")
  void aFloodEndsItsOwnTunnelAndIsCounted(String name, List<String> kinds, Attack attack)
      throws IOException {
    try (ServerSocketChannel listener = pods.listen();
        SocketChannel client = pods.connect();
        SocketChannel server = listener.accept()) {
      say(client, server, "before");
      try (RawPeer peer = peer()) {
        String to = "10.9.0.2:" + ((InetSocketAddress) listener.getLocalAddress()).getPort();
        try {
          peer.send(attack.on(peer, to));
        } catch (IOException e) {
          // It was cut off while it sent.
        }
        peer.untilEnded();
      }
      await()
          .untilAsserted(
              () -> assertThat(kinds.stream().mapToLong(this::abuses).sum()).as(name).isEqualTo(1));
      assertThat(ended("enhance-your-calm")).isEqualTo(1);
      say(client, server, "after");
    }
  }

  @Test
  void aWindowThatOverflowsEndsTheTunnel() throws IOException {
    try (RawPeer peer = peer()) {
      peer.send(times(3, window(0, Integer.MAX_VALUE)));
      assertThat(peer.untilEnded()).isEqualTo(FLOW_CONTROL_ERROR);
    }
  }

  // ---- CONNECT

  private int answer(RawPeer peer, Http2Headers headers) throws IOException {
    int id = peer.nextStream();
    peer.send(peer.headers(id, headers));
    return peer.status(id);
  }

  private static Http2Headers connect(String authority) {
    return new DefaultHttp2Headers(false).method("CONNECT").authority(authority);
  }

  @Test
  void onlyWhatThePodServesIsConnectedTo() throws IOException {
    try (ServerSocketChannel listener = pods.listen();
        RawPeer peer = peer()) {
      int port = ((InetSocketAddress) listener.getLocalAddress()).getPort();
      ServicePort served = new ServicePort("", 80, port, AppProtocol.TCP);
      Service mine = service("mine", "10.96.0.1", served);
      Service other = service("other", "10.96.0.2", served);
      pods.view =
          MeshView.of(
              List.of(mine, other),
              List.of(
                  Meshes.of(pods.client),
                  Meshes.of(
                      pods.server,
                      pods.server.serviceAccount(),
                      Map.of(mine.key(), List.of(served)))));

      assertThat(answer(peer, connect("10.9.0.2:" + port))).isEqualTo(200);
      assertThat(answer(peer, connect("mine.test.svc.cluster.local:80"))).isEqualTo(200);
      assertThat(answer(peer, connect("mine.test.svc.cluster.local:81"))).isEqualTo(400);
      assertThat(answer(peer, connect("other.test.svc.cluster.local:80"))).isEqualTo(400);
      assertThat(answer(peer, connect("nobody.example:80"))).isEqualTo(400);
      for (String elsewhere :
          List.of("10.9.0.1", "127.0.0.1", "169.254.169.254", "[::1]", "[fd09::2]")) {
        assertThat(answer(peer, connect(elsewhere + ":" + port))).as(elsewhere).isEqualTo(400);
      }
      for (int ours : new int[] {15001, 15006, 15008}) {
        assertThat(answer(peer, connect("10.9.0.2:" + ours))).as("port " + ours).isEqualTo(503);
      }
      assertThat(answer(peer, connect(""))).as("malformed: a stream error").isZero();
      for (String bad : List.of("10.9.0.2", "10.9.0.2:0", "010.9.0.2:80", "10.9.0.2:99999")) {
        assertThat(answer(peer, connect(bad))).as("authority '%s'", bad).isEqualTo(400);
      }
      assertThat(answer(peer, new DefaultHttp2Headers(false).method("CONNECT"))).isEqualTo(400);
      assertThat(
              answer(
                  peer,
                  new DefaultHttp2Headers(false)
                      .method("GET")
                      .scheme("https")
                      .path("/")
                      .authority("10.9.0.2:" + port)))
          .isEqualTo(400);
      assertThat(answer(peer, connect("10.9.0.2:1"))).as("nobody listens").isEqualTo(503);
    }
    assertThat(pods.refused)
        .containsKeys(Refusal.BAD_TUNNEL_REQUEST, Refusal.SELF_PORT, Refusal.CONNECT_REFUSED);
    assertThat(pods.counter("weir_tunnel_bad_requests_total")).isEqualTo(7);
  }

  private static Service service(String name, String address, ServicePort port) {
    return new Service(
        "test",
        name,
        name + ".test.svc.cluster.local",
        "",
        List.of(InetAddress.ofLiteral(address)),
        List.of(port),
        IpFamilies.AUTOMATIC,
        Balancing.ANYWHERE,
        false,
        "",
        false);
  }

  @ParameterizedTest
  @ValueSource(strings = {"baggage", "forwarded", "traceparent", "x-forwarded-network"})
  void garbageThatDecidesNothingIsServed(String header) throws IOException {
    SplittableRandom random = new SplittableRandom(header.hashCode());
    try (ServerSocketChannel listener = pods.listen();
        RawPeer peer = peer()) {
      String to = "10.9.0.2:" + ((InetSocketAddress) listener.getLocalAddress()).getPort();
      for (int i = 0; i < 100; i++) {
        StringBuilder garbage = new StringBuilder();
        for (int n = random.nextInt(300); n > 0; n--) {
          garbage.append((char) random.nextInt(0x21, 0x7f));
        }
        assertThat(answer(peer, connect(to).add(header, garbage.toString())))
            .as("%s: %s", header, garbage)
            .isEqualTo(200);
        listener.accept().close();
      }
    }
  }

  @Test
  void whatIsSaidBeforeTheAnswerArrivesFirst() throws IOException {
    try (ServerSocketChannel listener = pods.listen();
        RawPeer peer = peer()) {
      int id = peer.nextStream();
      String to = "10.9.0.2:" + ((InetSocketAddress) listener.getLocalAddress()).getPort();
      peer.send(peer.connect(id, to), RawPeer.data(id, "one "), RawPeer.data(id, "two "));
      try (SocketChannel server = listener.accept()) {
        assertThat(peer.status(id)).isEqualTo(200);
        peer.send(RawPeer.data(id, "three"));
        assertThat(receive(server, 13)).isEqualTo("one two three");
      }
    }
  }

  @Test
  void aProgramThatNeverAcceptsStallsOnlyWhoAskedForIt() throws IOException {
    List<SocketChannel> fillers = new ArrayList<>();
    try (ServerSocketChannel stalled = pods.listen(pods.server, "10.9.0.2", 1);
        ServerSocketChannel listener = pods.listen();
        RawPeer peer = peer()) {
      // A full backlog drops SYNs, as a black hole does.
      for (int i = 0; i < 2; i++) {
        SocketChannel filler = pods.unconnected(pods.server, StandardProtocolFamily.INET);
        fillers.add(filler);
        filler.connect(stalled.getLocalAddress());
      }
      int waits = peer.nextStream();
      peer.send(
          peer.connect(
              waits, "10.9.0.2:" + ((InetSocketAddress) stalled.getLocalAddress()).getPort()));
      int goes = peer.nextStream();
      peer.send(
          peer.connect(
              goes, "10.9.0.2:" + ((InetSocketAddress) listener.getLocalAddress()).getPort()));
      RawPeer.Received first = peer.nextOfAStream();
      assertThat(first.stream()).as("who is answered first").isEqualTo(goes);
      assertThat(peer.decode(first).status()).hasToString("200");
      assertThat(peer.status(waits)).isEqualTo(503);
      try (SocketChannel server = listener.accept()) {
        peer.send(RawPeer.data(goes, "goes on"));
        assertThat(receive(server, 7)).isEqualTo("goes on");
      }
    } finally {
      for (SocketChannel each : fillers) {
        each.close();
      }
    }
    awaitRefused(Refusal.CONNECT_TIMEOUT);
  }

  /** As an agent that has lost the streams to one port, and echoes the others. */
  private void serve(SocketChannel accepted, int silentPort) {
    try (RawPeer peer = RawPeer.serving(pods, accepted).greet(false)) {
      for (RawPeer.Received frame = peer.next(); frame != null; frame = peer.next()) {
        if (frame.type() == RawPeer.HEADERS) {
          if (!String.valueOf(peer.decode(frame).authority()).endsWith(":" + silentPort)) {
            peer.send(peer.headers(frame.stream(), new DefaultHttp2Headers().status("200")));
          }
        } else if (frame.type() == RawPeer.DATA) {
          peer.send(RawPeer.data(frame.stream(), frame.text()));
        }
      }
    } catch (IOException e) {
      // The test is over.
    }
  }

  @Test
  void aPeerThatNeverAnswersAConnectFailsThatOneAlone() throws IOException {
    try (ServerSocketChannel stranger = pods.strangerAtTheTunnelPort()) {
      Thread.ofPlatform()
          .daemon()
          .start(() -> {
            try {
              while (true) {
                SocketChannel accepted = stranger.accept();
                Thread.ofPlatform().daemon().start(() -> serve(accepted, 8080));
              }
            } catch (IOException e) {
              // The test is over.
            }
          });
      pods.ask(new InetSocketAddress(InetAddress.ofLiteral("10.9.0.2"), 8080));
      try (SocketChannel unanswered = pods.connect()) {
        // Asked for before the next one changes what a client is taken to ask for.
        await().until(() -> handshakes("client", "done") >= 1);
        pods.ask(new InetSocketAddress(InetAddress.ofLiteral("10.9.0.2"), 8081));
        List<SocketChannel> neighbours = new ArrayList<>();
        for (int i = 0; i < 4; i++) {
          SocketChannel neighbour = pods.connect();
          neighbours.add(neighbour);
          say(neighbour, neighbour, "neighbour");
        }
        assertReset(unanswered);
        awaitRefused(Refusal.CONNECT_TIMEOUT);
        for (SocketChannel neighbour : neighbours) {
          say(neighbour, neighbour, "still there");
          neighbour.close();
        }
      }
    }
    await().untilAsserted(() -> assertThat(pods.failures()).contains("no answer from"));
  }
}
