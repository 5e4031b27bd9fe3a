package dev.weir.agent.identity;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import dev.weir.agent.identity.PeerRefused.Cause;
import dev.weir.agent.identity.TestAuthority.Held;
import dev.weir.agent.identity.TestAuthority.Leaf;
import dev.weir.api.model.SpiffeId;
import io.netty.bootstrap.Bootstrap;
import io.netty.bootstrap.ServerBootstrap;
import io.netty.buffer.ByteBufAllocator;
import io.netty.buffer.Unpooled;
import io.netty.channel.Channel;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.channel.ChannelInitializer;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.MultiThreadIoEventLoopGroup;
import io.netty.channel.embedded.EmbeddedChannel;
import io.netty.channel.nio.NioIoHandler;
import io.netty.channel.socket.nio.NioServerSocketChannel;
import io.netty.channel.socket.nio.NioSocketChannel;
import io.netty.handler.ssl.ApplicationProtocolConfig;
import io.netty.handler.ssl.ApplicationProtocolConfig.Protocol;
import io.netty.handler.ssl.ApplicationProtocolConfig.SelectedListenerFailureBehavior;
import io.netty.handler.ssl.ApplicationProtocolConfig.SelectorFailureBehavior;
import io.netty.handler.ssl.ClientAuth;
import io.netty.handler.ssl.SslContextBuilder;
import io.netty.handler.ssl.SslHandler;
import io.netty.handler.ssl.SslProvider;
import io.netty.handler.ssl.util.InsecureTrustManagerFactory;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import javax.net.ssl.SSLException;
import org.bouncycastle.asn1.x509.GeneralName;
import org.bouncycastle.asn1.x509.KeyPurposeId;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Handshakes over real sockets, most of them with a peer that must be refused. */
final class HandshakesTest {
  private static final String FRONT = "spiffe://cluster.local/ns/shop/sa/front";
  private static final String CART = "spiffe://cluster.local/ns/shop/sa/cart";
  private static final InetAddress LOOPBACK = InetAddress.ofLiteral("127.0.0.1");
  private static final EventLoopGroup LOOPS =
      new MultiThreadIoEventLoopGroup(2, NioIoHandler.newFactory());

  private final TestAuthority mesh = new TestAuthority("mesh");
  private final List<Tls> made = new ArrayList<>();
  private final List<Channel> open = new ArrayList<>();
  private Duration within = Duration.ofSeconds(10);
  private InstantSource clock = InstantSource.system();

  @AfterEach
  void close() {
    open.forEach(channel -> channel.close().awaitUninterruptibly());
    made.forEach(Tls::release);
  }

  @AfterAll
  static void end() {
    LOOPS.shutdownGracefully(0, 1, TimeUnit.SECONDS);
  }

  private Credentials ours(String identity) {
    Held held = mesh.issue(Leaf.of(identity));
    TrustRoots roots = new TrustRoots(1, List.of(mesh.root));
    SpiffeId id = ((SpiffeId.Valid) SpiffeId.parse(identity)).id();
    try {
      Tls tls =
          new Tls(
              identity,
              held.pair().getPrivate(),
              held.chain(),
              new PeerVerifier(id, () -> roots, _ -> false, clock),
              within);
      made.add(tls);
      return new Credentials(identity, 1, List.of(held.certificate()), tls);
    } catch (SSLException e) {
      throw new AssertionError(e);
    }
  }

  /** How both ends came out; null where the handshake succeeded. */
  private record Ends(
      SslHandler server,
      SslHandler client,
      @Nullable Throwable serverFailure,
      @Nullable Throwable clientFailure) {}

  private Ends meet(SslHandler server, SslHandler client) throws Exception {
    CompletableFuture<Channel> accepted = new CompletableFuture<>();
    Channel listener = listen(server, accepted);
    Channel near = connect(listener, client);
    open.add(near);
    open.add(accepted.get(10, TimeUnit.SECONDS));
    client.handshakeFuture().await(15, TimeUnit.SECONDS);
    server.handshakeFuture().await(15, TimeUnit.SECONDS);
    assertThat(client.handshakeFuture().isDone()).as("the client's handshake ended").isTrue();
    assertThat(server.handshakeFuture().isDone()).as("the server's handshake ended").isTrue();
    return new Ends(
        server, client, server.handshakeFuture().cause(), client.handshakeFuture().cause());
  }

  private Channel listen(SslHandler tls, CompletableFuture<Channel> accepted) {
    Channel listener =
        new ServerBootstrap()
            .group(LOOPS)
            .channel(NioServerSocketChannel.class)
            .childHandler(
                new ChannelInitializer<>() {
                  @Override
                  protected void initChannel(Channel channel) {
                    channel.pipeline().addLast(tls, new Quiet());
                    accepted.complete(channel);
                  }
                })
            .bind(new InetSocketAddress(LOOPBACK, 0))
            .syncUninterruptibly()
            .channel();
    open.add(listener);
    return listener;
  }

  private static Channel connect(Channel listener, SslHandler tls) {
    return new Bootstrap()
        .group(LOOPS)
        .channel(NioSocketChannel.class)
        .handler(
            new ChannelInitializer<>() {
              @Override
              protected void initChannel(Channel channel) {
                channel.pipeline().addLast(tls, new Quiet());
              }
            })
        .connect(listener.localAddress())
        .syncUninterruptibly()
        .channel();
  }

  private static final class Quiet extends ChannelInboundHandlerAdapter {
    @Override
    public void exceptionCaught(ChannelHandlerContext context, Throwable cause) {
      context.close();
    }
  }

  /** A peer by the JDK's TLS that checks nothing. */
  private static SslHandler client(@Nullable Held held, String version, String... protocols)
      throws SSLException {
    SslContextBuilder builder =
        SslContextBuilder.forClient()
            .sslProvider(SslProvider.JDK)
            .protocols(version)
            .endpointIdentificationAlgorithm(null)
            .trustManager(InsecureTrustManagerFactory.INSTANCE);
    if (held != null) {
      builder.keyManager(held.pair().getPrivate(), held.chain());
    }
    return alpn(builder, protocols).build().newHandler(ByteBufAllocator.DEFAULT);
  }

  private static SslHandler server(Held held, String version, String... protocols)
      throws SSLException {
    return alpn(
            SslContextBuilder.forServer(held.pair().getPrivate(), held.chain())
                .sslProvider(SslProvider.JDK)
                .protocols(version)
                .clientAuth(ClientAuth.REQUIRE)
                .trustManager(InsecureTrustManagerFactory.INSTANCE),
            protocols)
        .build()
        .newHandler(ByteBufAllocator.DEFAULT);
  }

  private static SslContextBuilder alpn(SslContextBuilder builder, String... protocols) {
    return protocols.length == 0
        ? builder
        : builder.applicationProtocolConfig(
            new ApplicationProtocolConfig(
                Protocol.ALPN,
                SelectorFailureBehavior.NO_ADVERTISE,
                SelectedListenerFailureBehavior.ACCEPT,
                protocols));
  }

  @Test
  void two_pods_of_the_mesh_know_each_other() throws Exception {
    Ends ends =
        meet(
            ours(CART).server(ByteBufAllocator.DEFAULT),
            ours(FRONT).client(ByteBufAllocator.DEFAULT, Set.of(CART)));
    assertThat(ends.serverFailure()).isNull();
    assertThat(ends.clientFailure()).isNull();
    assertThat(Peer.of(ends.server())).hasToString(FRONT);
    assertThat(Peer.of(ends.client())).hasToString(CART);
    assertThat(ends.client().engine().getSession().getProtocol()).isEqualTo("TLSv1.3");
    assertThat(ends.client().applicationProtocol()).isEqualTo("h2");
  }

  @Test
  void a_client_does_not_take_another_server_than_it_called() throws Exception {
    Ends ends =
        meet(
            ours(CART).server(ByteBufAllocator.DEFAULT),
            ours(FRONT).client(ByteBufAllocator.DEFAULT, Set.of(FRONT)));
    assertThat(PeerRefused.label(ends.clientFailure())).isEqualTo("wrong-identity");
    assertThat(PeerRefused.of(ends.clientFailure())).hasMessageContaining(CART);
    assertThat(ends.serverFailure()).isNotNull();
  }

  private static Stream<Arguments> refused() {
    Instant now = Instant.now();
    Leaf good = Leaf.of(FRONT);
    GeneralName dns = new GeneralName(GeneralName.dNSName, "front.shop");
    return Stream.of(
        Arguments.of(Cause.NO_SPIFFE_ID, good.names(dns)),
        Arguments.of(Cause.TWO_SPIFFE_IDS, Leaf.of(FRONT, CART)),
        Arguments.of(Cause.EXPIRED, good.valid(now.minusSeconds(600), now.minusSeconds(2))),
        Arguments.of(Cause.NOT_YET_VALID, good.valid(now.plusSeconds(60), now.plusSeconds(600))),
        Arguments.of(Cause.WRONG_USAGE, good.purposes(KeyPurposeId.id_kp_codeSigning)),
        Arguments.of(Cause.WRONG_USAGE, good.asCa()),
        Arguments.of(Cause.MALFORMED_SAN, Leaf.of("spiffe://cluster.local/ns/shop/sa/")),
        Arguments.of(Cause.MALFORMED_SAN, Leaf.of(FRONT + "/more")),
        Arguments.of(Cause.MALFORMED_SAN, Leaf.of("spiffe://cluster.local/sa/shop/ns/front")),
        Arguments.of(Cause.MALFORMED_SAN, Leaf.of("spiffe://Cluster.Local/ns/shop/sa/front")),
        Arguments.of(Cause.MALFORMED_SAN, Leaf.of("spiffe://cluster.local/ns/shop/sa/..")),
        Arguments.of(Cause.MALFORMED_SAN, Leaf.of("spiffe://cluster.local/ns/sh%6fp/sa/front")),
        Arguments.of(Cause.MALFORMED_SAN, Leaf.of("https://cluster.local/ns/shop/sa/front")));
  }

  @ParameterizedTest
  @MethodSource("refused")
  void a_client_that_is_not_what_it_must_be_is_refused(Cause cause, Leaf leaf) throws Exception {
    Ends ends =
        meet(
            ours(CART).server(ByteBufAllocator.DEFAULT), client(mesh.issue(leaf), "TLSv1.3", "h2"));
    assertThat(PeerRefused.label(ends.serverFailure())).isEqualTo(cause.label());
  }

  @ParameterizedTest
  @MethodSource("refused")
  void a_server_that_is_not_what_it_must_be_is_refused(Cause cause, Leaf leaf) throws Exception {
    Ends ends =
        meet(
            server(mesh.issue(leaf), "TLSv1.3", "h2"),
            ours(CART).client(ByteBufAllocator.DEFAULT, Set.of(FRONT)));
    assertThat(PeerRefused.label(ends.clientFailure())).isEqualTo(cause.label());
  }

  @Test
  void a_NUL_in_a_SAN_is_refused() throws Exception {
    Ends ends =
        meet(
            ours(CART).server(ByteBufAllocator.DEFAULT),
            client(mesh.issue(Leaf.of(FRONT + "\0.evil.example")), "TLSv1.3", "h2"));
    assertThat(PeerRefused.label(ends.serverFailure()))
        .isIn("malformed", "malformed-san", "no-spiffe-id");
  }

  @Test
  void a_client_of_another_trust_domain_is_refused() throws Exception {
    Ends ends =
        meet(
            ours(CART).server(ByteBufAllocator.DEFAULT),
            client(mesh.issue(Leaf.of("spiffe://other.org/ns/shop/sa/front")), "TLSv1.3", "h2"));
    assertThat(PeerRefused.label(ends.serverFailure())).isEqualTo("wrong-trust-domain");
  }

  @Test
  void a_chain_to_another_root_is_refused() throws Exception {
    for (Held held :
        List.of(
            new TestAuthority("other").issue(Leaf.of(FRONT)),
            TestAuthority.selfSigned(Leaf.of(FRONT)))) {
      Ends asClient =
          meet(ours(CART).server(ByteBufAllocator.DEFAULT), client(held, "TLSv1.3", "h2"));
      assertThat(PeerRefused.label(asClient.serverFailure())).isEqualTo("untrusted");
      Ends asServer =
          meet(
              server(held, "TLSv1.3", "h2"),
              ours(CART).client(ByteBufAllocator.DEFAULT, Set.of(FRONT)));
      assertThat(PeerRefused.label(asServer.clientFailure())).isEqualTo("untrusted");
    }
  }

  @Test
  void a_client_without_certificate_is_refused() throws Exception {
    Ends ends = meet(ours(CART).server(ByteBufAllocator.DEFAULT), client(null, "TLSv1.3", "h2"));
    assertThat(PeerRefused.label(ends.serverFailure())).isEqualTo("no-certificate");
  }

  @Test
  void tls_1_2_is_refused_on_both_sides() throws Exception {
    Held held = mesh.issue(Leaf.of(FRONT));
    Ends asClient =
        meet(ours(CART).server(ByteBufAllocator.DEFAULT), client(held, "TLSv1.2", "h2"));
    assertThat(PeerRefused.label(asClient.serverFailure())).isEqualTo("tls-version");
    Ends asServer =
        meet(
            server(held, "TLSv1.2", "h2"),
            ours(CART).client(ByteBufAllocator.DEFAULT, Set.of(FRONT)));
    assertThat(asServer.clientFailure()).isNotNull();
  }

  @Test
  void a_peer_that_does_not_agree_to_h2_is_cut_off() throws Exception {
    for (String[] protocols : new String[][] {{}, {"http/1.1"}}) {
      Ends ends =
          meet(
              ours(CART).server(ByteBufAllocator.DEFAULT),
              client(mesh.issue(Leaf.of(FRONT)), "TLSv1.3", protocols));
      assertThatThrownBy(() -> Peer.of(ends.server()))
          .isInstanceOfSatisfying(
              PeerRefused.class, refused -> assertThat(refused.why()).isEqualTo(Cause.NO_ALPN));
      Channel server = ends.server().handshakeFuture().getNow();
      assertThat(server.closeFuture().await(10, TimeUnit.SECONDS)).isTrue();
    }
  }

  @Test
  void half_a_client_hello_ends_at_the_handshake_timeout() throws Exception {
    within = Duration.ofMillis(300);
    SslHandler tls = ours(CART).server(ByteBufAllocator.DEFAULT);
    CompletableFuture<Channel> accepted = new CompletableFuture<>();
    Channel listener = listen(tls, accepted);
    Channel near =
        new Bootstrap()
            .group(LOOPS)
            .channel(NioSocketChannel.class)
            .handler(new Quiet())
            .connect(listener.localAddress())
            .syncUninterruptibly()
            .channel();
    open.add(near);
    // A record of 512 bytes with a ClientHello of 508 is announced, and 7 bytes of it come.
    near.writeAndFlush(
        Unpooled.wrappedBuffer(
            new byte[] {0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, (byte) 0xfc, 3, 3, 0}));
    assertThat(tls.handshakeFuture().await(10, TimeUnit.SECONDS)).isTrue();
    assertThat(PeerRefused.label(tls.handshakeFuture().cause())).isEqualTo("handshake-timeout");
    assertThat(near.closeFuture().await(10, TimeUnit.SECONDS)).isTrue();
  }

  @Test
  void a_minute_between_two_clocks_does_no_harm() throws Exception {
    // The certificate was issued this moment, and one side lives a minute ago.
    clock = () -> Instant.now().minusSeconds(59);
    Credentials behind = ours(CART);
    clock = InstantSource.system();
    Ends ends =
        meet(
            behind.server(ByteBufAllocator.DEFAULT),
            ours(FRONT).client(ByteBufAllocator.DEFAULT, Set.of(CART)));
    assertThat(ends.serverFailure()).isNull();
    assertThat(ends.clientFailure()).isNull();
  }

  @Test
  void a_handler_outlives_the_context_it_was_made_of() throws Exception {
    Credentials cart = ours(CART);
    Credentials front = ours(FRONT);
    SslHandler server = cart.server(ByteBufAllocator.DEFAULT);
    SslHandler client = front.client(ByteBufAllocator.DEFAULT, Set.of(CART));
    // As a rotation does it a minute later.
    made.forEach(Tls::release);
    made.clear();
    Ends ends = meet(server, client);
    assertThat(ends.serverFailure()).isNull();
    assertThat(ends.clientFailure()).isNull();
    // The last connection takes the context along.
    open.forEach(channel -> channel.close().awaitUninterruptibly());
    await()
        .atMost(Duration.ofSeconds(10))
        .untilAsserted(() ->
            assertThatThrownBy(() -> freed(cart))
                .isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("replaced"));
  }

  /** Makes a handler and gives it back, where that can still be done. */
  private static void freed(Credentials credentials) {
    SslHandler handler = credentials.server(ByteBufAllocator.DEFAULT);
    new EmbeddedChannel(handler).finishAndReleaseAll();
  }

  @Test
  void no_session_is_resumed() throws Exception {
    Credentials cart = ours(CART);
    Credentials front = ours(FRONT);
    for (int i = 0; i < 3; i++) {
      Ends ends =
          meet(
              cart.server(ByteBufAllocator.DEFAULT),
              front.client(ByteBufAllocator.DEFAULT, Set.of(CART)));
      assertThat(ends.clientFailure()).isNull();
      // A resumed handshake would show no certificate to verify.
      assertThat(Peer.of(ends.client())).hasToString(CART);
    }
  }
}
