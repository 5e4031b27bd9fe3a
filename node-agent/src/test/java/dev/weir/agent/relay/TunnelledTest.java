package dev.weir.agent.relay;

import static dev.weir.agent.relay.Programs.assertReset;
import static dev.weir.agent.relay.Programs.say;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.weir.agent.config.MeshView;
import dev.weir.agent.telemetry.Refusal;
import dev.weir.api.model.ApplicationTunnel;
import dev.weir.api.model.Authorization;
import dev.weir.testing.NeedsRoot;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** What only tunnels can get wrong: who the other side is, and peers that do not do their part. */
@NeedsRoot
@Timeout(60)
final class TunnelledTest {
  private TwoPods pods;

  @BeforeEach
  void open() {
    pods = new TwoPods("epoll+tunnel");
  }

  @AfterEach
  void nothingIsHeldWhenAllHasEnded() {
    pods.endHoldingNothing();
  }

  private void assertRefused(Refusal reason) {
    pods.assertRefused();
    await().untilAsserted(() -> assertThat(pods.refused).containsKey(reason));
  }

  @Test
  void connectionsOfOneLoopShareATunnel() throws IOException {
    List<SocketChannel> open = new ArrayList<>();
    try (ServerSocketChannel listener = pods.listen()) {
      for (int i = 0; i < 40; i++) {
        SocketChannel client = pods.connect();
        open.add(client);
        SocketChannel server = listener.accept();
        open.add(server);
        say(client, server, "number " + i);
      }
      // Two loops, and both sides of each tunnel are ours.
      assertThat(pods.tunnels.count()).isBetween(2, 4);
    } finally {
      for (SocketChannel each : open) {
        each.close();
      }
    }
  }

  @Test
  void aProgramBehindAnApplicationTunnelHearsFirstWhoCalls() throws IOException {
    for (int port : new int[] {0, 15088}) {
      pods.settings(pods.server, new ApplicationTunnel(port));
      InetAddress loopback = InetAddress.ofLiteral("127.0.0.1");
      try (ServerSocketChannel listener =
          pods.listenAt(
              pods.server, new InetSocketAddress(loopback, port == 0 ? 8080 : port), 50)) {
        pods.ask(new InetSocketAddress(InetAddress.ofLiteral("10.9.0.2"), 8080));
        try (SocketChannel client = pods.connect();
            SocketChannel server = listener.accept()) {
          client.write(ByteBuffer.wrap("hello".getBytes(StandardCharsets.UTF_8)));
          String identity = pods.client.identity();
          ByteBuffer heard = ByteBuffer.allocate(16 + 12 + 3 + identity.length() + 5);
          while (heard.hasRemaining()) {
            assertThat(server.read(heard)).isPositive();
          }
          heard.flip();
          byte[] start = new byte[16 + 8];
          heard.get(start);
          assertThat(HexFormat.of().formatHex(start))
              .isEqualTo(
                  "0d0a0d0a000d0a515549540a2111"
                      + "%04x".formatted(12 + 3 + identity.length())
                      + "0a0900010a090002");
          assertThat(heard.getShort() & 0xffff)
              .as("the client's port")
              .isEqualTo(((InetSocketAddress) client.getLocalAddress()).getPort());
          assertThat(heard.getShort()).isEqualTo((short) 8080);
          assertThat(heard.get()).isEqualTo((byte) 0xd0);
          assertThat(heard.getShort()).isEqualTo((short) identity.length());
          assertThat(StandardCharsets.UTF_8.decode(heard).toString()).isEqualTo(identity + "hello");
          say(server, client, "welcome");
        }
      }
    }
  }

  @Test
  void policyIsAskedForThePortBehindAnApplicationTunnel() throws IOException {
    pods.settings(pods.server, new ApplicationTunnel(15088));
    Authorization ports =
        new Authorization(
            "test",
            "no-15088",
            Authorization.Scope.NAMESPACE,
            Authorization.Action.DENY,
            false,
            List.of(
                new Authorization.Rule(
                    List.of(
                        new Authorization.Clause(
                            List.of(Authorization.Match.ports(List.of(15088), List.of())))))));
    pods.view =
        MeshView.of(
            List.of(), List.of(Meshes.of(pods.client), Meshes.of(pods.server)), List.of(ports));
    pods.ask(new InetSocketAddress(InetAddress.ofLiteral("10.9.0.2"), 8080));
    assertRefused(Refusal.DENIED);
  }

  @Test
  void nothingIsSaidToSomebodyElse() throws IOException {
    pods.identities.impostors.put(pods.server.identity(), "spiffe://cluster.local/ns/test/sa/eve");
    try (ServerSocketChannel listener = pods.listen()) {
      listener.configureBlocking(false);
      assertRefused(Refusal.WRONG_PEER);
      assertThat(listener.accept()).isNull();
    }
  }

  @Test
  void aTunnelIsNotUsedForWhoeverGotTheAddress() throws IOException {
    try (ServerSocketChannel listener = pods.listen();
        SocketChannel client = pods.connect();
        SocketChannel server = listener.accept()) {
      say(client, server, "before");
      pods.view =
          MeshView.of(List.of(), List.of(Meshes.of(pods.client), Meshes.of(pods.server, "eve")));
      assertRefused(Refusal.WRONG_PEER);
      say(client, server, "after");
    }
  }

  @Test
  void aPodWithoutACertificateCallsNobody() throws IOException {
    pods.identities.uncertified.add(pods.client.identity());
    try (ServerSocketChannel listener = pods.listen()) {
      listener.configureBlocking(false);
      assertRefused(Refusal.NO_IDENTITY);
      assertThat(listener.accept()).isNull();
    }
  }

  @Test
  void aPodWithoutACertificateIsCalledByNobody() throws IOException {
    pods.identities.uncertified.add(pods.server.identity());
    try (ServerSocketChannel listener = pods.listen()) {
      listener.configureBlocking(false);
      assertRefused(Refusal.TUNNEL_FAILED);
      assertThat(pods.refused).containsKey(Refusal.NO_IDENTITY);
      assertThat(listener.accept()).isNull();
    }
  }

  @Test
  void aNewCertificateMeansANewTunnelAndTheOldOneGoesOn() throws IOException {
    try (ServerSocketChannel listener = pods.listen();
        SocketChannel client = pods.connect();
        SocketChannel server = listener.accept()) {
      say(client, server, "old");
      pods.identities.rotate(pods.client.identity());
      List<SocketChannel> more = new ArrayList<>();
      for (int i = 0; i < 4; i++) {
        SocketChannel fresh = pods.connect();
        more.add(fresh);
        SocketChannel answered = listener.accept();
        more.add(answered);
        say(fresh, answered, "new");
      }
      assertThat(pods.tunnels.count()).as("one old and one a loop, both sides").isBetween(4, 6);
      say(client, server, "old still");
      for (SocketChannel each : more) {
        each.close();
      }
    }
  }

  @Test
  void aRevokedPeerIsCutOffAtOnce() throws IOException {
    try (ServerSocketChannel listener = pods.listen();
        SocketChannel client = pods.connect();
        SocketChannel server = listener.accept()) {
      say(client, server, "trusted");
      pods.identities.revoke(pods.client.identity());
      assertReset(client);
      assertReset(server);
      await()
          .untilAsserted(() ->
              assertThat(pods.failures())
                  .containsPattern("tunnel ended: .*certificate is revoked"));
      assertThat(pods.refused).containsEntry(Refusal.REVOKED, 1);
      assertThat(pods.counter("weir_tunnels_revoked_total"))
          .as("its own side ends it as well, should the other have no such list")
          .isEqualTo(2);
    }
  }

  @Test
  void aPodThatWasRevokedCallsAgainWithItsNextCertificate() throws IOException {
    try (ServerSocketChannel listener = pods.listen()) {
      try (SocketChannel client = pods.connect();
          SocketChannel server = listener.accept()) {
        say(client, server, "trusted");
        pods.identities.revokeAndRenew(pods.client.identity());
        assertReset(client);
        assertReset(server);
      }
      try (SocketChannel client = pods.connect();
          SocketChannel server = listener.accept()) {
        say(client, server, "trusted again");
      }
    }
  }

  @Test
  void nobodyAtTheTunnelPortIsARefusal() throws IOException {
    ServerSocketChannel stranger = pods.strangerAtTheTunnelPort();
    stranger.close();
    pods.ask(new InetSocketAddress(InetAddress.ofLiteral("10.9.0.2"), 8080));
    assertRefused(Refusal.CONNECT_REFUSED);
  }

  @Test
  void aPeerThatSpeaksNoTlsIsLeftAtOnce() throws Exception {
    try (ServerSocketChannel stranger = pods.strangerAtTheTunnelPort()) {
      pods.ask(new InetSocketAddress(InetAddress.ofLiteral("10.9.0.2"), 8080));
      try (SocketChannel client = pods.connect();
          SocketChannel tunnel = stranger.accept()) {
        tunnel.write(
            ByteBuffer.wrap(
                "HTTP/1.1 400 Bad Request\r\n\r\n".getBytes(StandardCharsets.US_ASCII)));
        assertReset(client);
      }
      await().untilAsserted(() -> assertThat(pods.refused).containsKey(Refusal.TUNNEL_FAILED));
    }
  }

  @Test
  void aPeerThatNeverShakesHandsFailsOnlyThoseWhoCallIt() throws IOException {
    try (ServerSocketChannel stranger = pods.strangerAtTheTunnelPort()) {
      pods.ask(new InetSocketAddress(InetAddress.ofLiteral("10.9.0.2"), 8080));
      try (SocketChannel client = pods.connect();
          SocketChannel tunnel = stranger.accept()) {
        assertReset(client);
        assertThat(tunnel.isOpen()).isTrue();
      }
      await().untilAsserted(() -> assertThat(pods.refused).containsKey(Refusal.TUNNEL_FAILED));
    }
  }
}
