package dev.weir.agent.identity;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.weir.agent.identity.PeerRefused.Cause;
import dev.weir.agent.identity.TestAuthority.Held;
import dev.weir.agent.identity.TestAuthority.Leaf;
import dev.weir.api.model.SpiffeId;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.ByteBufUtil;
import io.netty.buffer.PooledByteBufAllocator;
import io.netty.buffer.Unpooled;
import io.netty.channel.embedded.EmbeddedChannel;
import io.netty.handler.ssl.SslHandler;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.stream.Stream;
import javax.net.ssl.SSLException;
import org.bouncycastle.asn1.x509.GeneralName;
import org.bouncycastle.asn1.x509.KeyPurposeId;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Handshakes, most of them with a peer that must be refused, and what is said after them. */
final class HandshakesTest {
  private static final String FRONT = "spiffe://cluster.local/ns/shop/sa/front";
  private static final String CART = "spiffe://cluster.local/ns/shop/sa/cart";
  private static final int MOST_FLIGHTS = 20;

  private final PooledByteBufAllocator allocator =
      new PooledByteBufAllocator(true, 0, 1, 8192, 6, 0, 0, false);
  private final TestAuthority mesh = new TestAuthority("mesh");
  private final List<Tls> made = new ArrayList<>();
  private final List<End> met = new ArrayList<>();
  private InstantSource clock = InstantSource.system();

  @AfterEach
  void close() {
    met.forEach(End::close);
    made.forEach(Tls::release);
    assertThat(allocator.pinnedDirectMemory()).as("bytes that nobody gave back").isZero();
  }

  /** One of two that shake hands in memory. */
  private interface End {
    /** Takes what came; what it answers. */
    ByteBuf step(ByteBuf came);

    @Nullable Throwable failure();

    void close();
  }

  private final class Ours implements End {
    final TlsEnd tls;
    final ByteBuf heard = Unpooled.buffer();
    private @Nullable TlsFailure failure;

    Ours(TlsEnd tls) {
      this.tls = tls;
    }

    @Override
    public ByteBuf step(ByteBuf came) {
      ByteBuf in = allocator.directBuffer(Math.max(1, came.readableBytes())).writeBytes(came);
      ByteBuf said = allocator.directBuffer(64);
      ByteBuf plain = allocator.directBuffer(64);
      try {
        if (failure == null && !tls.isShaken()) {
          tls.shake(in);
        }
        if (failure == null && tls.isShaken() && in.isReadable()) {
          tls.decrypt(in, plain);
        }
      } catch (TlsFailure e) {
        failure = e;
      }
      tls.say(said);
      heard.writeBytes(plain);
      ByteBuf copy = Unpooled.copiedBuffer(said);
      in.release();
      said.release();
      plain.release();
      return copy;
    }

    ByteBuf say(byte[] bytes) throws TlsFailure {
      ByteBuf plain = allocator.directBuffer(bytes.length).writeBytes(bytes);
      ByteBuf records = allocator.directBuffer(TlsEnd.encrypted(bytes.length));
      try {
        tls.encrypt(plain, plain.readableBytes(), records);
        return Unpooled.copiedBuffer(records);
      } finally {
        plain.release();
        records.release();
      }
    }

    @Override
    public @Nullable Throwable failure() {
      return failure;
    }

    @Override
    public void close() {
      tls.close();
    }
  }

  private static final class Theirs implements End {
    final SslHandler tls;
    final EmbeddedChannel channel;
    final ByteBuf heard = Unpooled.buffer();
    private @Nullable Throwable failure;

    Theirs(SslHandler tls) {
      this.tls = tls;
      this.channel = new EmbeddedChannel(tls);
    }

    @Override
    public ByteBuf step(ByteBuf came) {
      if (came.isReadable()) {
        try {
          channel.writeInbound(Unpooled.copiedBuffer(came));
        } catch (Exception e) {
          failure = e;
        }
      }
      channel.runPendingTasks();
      for (ByteBuf part = channel.readInbound(); part != null; part = channel.readInbound()) {
        heard.writeBytes(part);
        part.release();
      }
      ByteBuf all = Unpooled.buffer();
      for (ByteBuf part = channel.readOutbound(); part != null; part = channel.readOutbound()) {
        all.writeBytes(part);
        part.release();
      }
      return all;
    }

    @Override
    public @Nullable Throwable failure() {
      return tls.handshakeFuture().isDone() ? tls.handshakeFuture().cause() : failure;
    }

    @Override
    public void close() {
      try {
        channel.finishAndReleaseAll();
      } catch (Exception e) {
        // What it thought of the handshake was asked before.
        failure = e;
      }
    }
  }

  /** How both ends came out; null where the handshake succeeded. */
  private record Ends(
      End server,
      End client,
      @Nullable Throwable serverFailure,
      @Nullable Throwable clientFailure) {}

  private Ends meet(End server, End client) {
    met.add(server);
    met.add(client);
    ByteBuf there = client.step(Unpooled.EMPTY_BUFFER);
    for (int i = 0; i < MOST_FLIGHTS; i++) {
      ByteBuf back = server.step(there);
      there = client.step(back);
    }
    return new Ends(server, client, server.failure(), client.failure());
  }

  private static SpiffeId peer(End end) {
    return ((Ours) end).tls.peer().id();
  }

  private Ours calling(Credentials own, String... expected) {
    return new Ours(own.client(Set.of(expected)));
  }

  private Ours called(Credentials own) {
    return new Ours(own.server());
  }

  private static Theirs client(@Nullable Held held, String version, String... protocols) {
    return new Theirs(TlsPeers.client(held, version, protocols));
  }

  private static Theirs server(Held held, String version, String... protocols) {
    return new Theirs(TlsPeers.server(held, version, protocols));
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
              Duration.ofSeconds(10));
      made.add(tls);
      return new Credentials(identity, 1, List.of(held.certificate()), tls);
    } catch (SSLException e) {
      throw new AssertionError(e);
    }
  }

  @Test
  void two_pods_of_the_mesh_know_each_other() {
    Ends ends = meet(called(ours(CART)), calling(ours(FRONT), CART));
    assertThat(ends.serverFailure()).isNull();
    assertThat(ends.clientFailure()).isNull();
    assertThat(peer(ends.server())).hasToString(FRONT);
    assertThat(peer(ends.client())).hasToString(CART);
  }

  @Test
  void it_is_tls_1_3_and_h2() {
    Theirs client = client(mesh.issue(Leaf.of(FRONT)), "TLSv1.3", "h2");
    Ends ends = meet(called(ours(CART)), client);
    assertThat(ends.serverFailure()).isNull();
    assertThat(client.tls.engine().getSession().getProtocol()).isEqualTo("TLSv1.3");
    assertThat(client.tls.applicationProtocol()).isEqualTo("h2");
  }

  @Test
  void a_client_does_not_take_another_server_than_it_called() {
    Ends ends = meet(called(ours(CART)), calling(ours(FRONT), FRONT));
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
  void a_client_that_is_not_what_it_must_be_is_refused(Cause cause, Leaf leaf) {
    Ends ends = meet(called(ours(CART)), client(mesh.issue(leaf), "TLSv1.3", "h2"));
    assertThat(PeerRefused.label(ends.serverFailure())).isEqualTo(cause.label());
  }

  @ParameterizedTest
  @MethodSource("refused")
  void a_server_that_is_not_what_it_must_be_is_refused(Cause cause, Leaf leaf) {
    Ends ends = meet(server(mesh.issue(leaf), "TLSv1.3", "h2"), calling(ours(CART), FRONT));
    assertThat(PeerRefused.label(ends.clientFailure())).isEqualTo(cause.label());
  }

  @Test
  void a_NUL_in_a_SAN_is_refused() {
    Ends ends =
        meet(
            called(ours(CART)),
            client(mesh.issue(Leaf.of(FRONT + "\0.evil.example")), "TLSv1.3", "h2"));
    assertThat(PeerRefused.label(ends.serverFailure()))
        .isIn("malformed", "malformed-san", "no-spiffe-id");
  }

  @Test
  void a_client_of_another_trust_domain_is_refused() {
    Ends ends =
        meet(
            called(ours(CART)),
            client(mesh.issue(Leaf.of("spiffe://other.org/ns/shop/sa/front")), "TLSv1.3", "h2"));
    assertThat(PeerRefused.label(ends.serverFailure())).isEqualTo("wrong-trust-domain");
  }

  @Test
  void a_chain_to_another_root_is_refused() {
    for (Held held :
        List.of(
            new TestAuthority("other").issue(Leaf.of(FRONT)),
            TestAuthority.selfSigned(Leaf.of(FRONT)))) {
      Ends asClient = meet(called(ours(CART)), client(held, "TLSv1.3", "h2"));
      assertThat(PeerRefused.label(asClient.serverFailure())).isEqualTo("untrusted");
      Ends asServer = meet(server(held, "TLSv1.3", "h2"), calling(ours(CART), FRONT));
      assertThat(PeerRefused.label(asServer.clientFailure())).isEqualTo("untrusted");
    }
  }

  @Test
  void a_client_without_certificate_is_refused() {
    Ends ends = meet(called(ours(CART)), client(null, "TLSv1.3", "h2"));
    assertThat(PeerRefused.label(ends.serverFailure())).isEqualTo("no-certificate");
  }

  @Test
  void tls_1_2_is_refused_on_both_sides() {
    Held held = mesh.issue(Leaf.of(FRONT));
    Ends asClient = meet(called(ours(CART)), client(held, "TLSv1.2", "h2"));
    assertThat(PeerRefused.label(asClient.serverFailure())).isEqualTo("tls-version");
    Ends asServer = meet(server(held, "TLSv1.2", "h2"), calling(ours(CART), FRONT));
    assertThat(asServer.clientFailure()).isNotNull();
  }

  @Test
  void a_peer_that_does_not_agree_to_h2_is_refused() {
    for (String[] protocols : new String[][] {{}, {"http/1.1"}}) {
      Ends ends =
          meet(called(ours(CART)), client(mesh.issue(Leaf.of(FRONT)), "TLSv1.3", protocols));
      assertThat(PeerRefused.label(ends.serverFailure())).isEqualTo("no-alpn");
    }
  }

  @Test
  void who_does_not_speak_tls_is_told_from_who_speaks_it_badly() {
    Ours http = called(ours(CART));
    met.add(http);
    http.step(Unpooled.copiedBuffer("GET / HTTP/1.1\r\n\r\n", StandardCharsets.US_ASCII));
    assertThat(PeerRefused.label(http.failure())).isEqualTo("not-tls");
    Ours garbage = called(ours(CART));
    met.add(garbage);
    garbage.step(Unpooled.wrappedBuffer(new byte[] {0x16, 3, 1, 0, 4, 9, 9, 9, 9}));
    assertThat(PeerRefused.label(garbage.failure())).isEqualTo("tls");
  }

  @Test
  void a_refused_peer_hears_why() {
    Instant now = Instant.now();
    Theirs late =
        client(
            mesh.issue(Leaf.of(FRONT).valid(now.minusSeconds(600), now.minusSeconds(2))),
            "TLSv1.3",
            "h2");
    meet(called(ours(CART)), late);
    assertThat(late.failure).hasStackTraceContaining("certificate_expired");
  }

  @Test
  void a_minute_between_two_clocks_does_no_harm() {
    // The certificate was issued this moment, and one side lives a minute ago.
    clock = () -> Instant.now().minusSeconds(59);
    Credentials behind = ours(CART);
    clock = InstantSource.system();
    Ends ends = meet(called(behind), calling(ours(FRONT), CART));
    assertThat(ends.serverFailure()).isNull();
    assertThat(ends.clientFailure()).isNull();
  }

  @Test
  void an_end_outlives_the_context_it_was_made_of() {
    Credentials cart = ours(CART);
    Credentials front = ours(FRONT);
    Ours server = called(cart);
    Ours client = calling(front, CART);
    // As a rotation does it a minute later.
    made.forEach(Tls::release);
    made.clear();
    Ends ends = meet(server, client);
    assertThat(ends.serverFailure()).isNull();
    assertThat(ends.clientFailure()).isNull();
    // The last connection takes the context along.
    server.close();
    assertThatThrownBy(cart::server)
        .isInstanceOf(IllegalStateException.class)
        .hasMessageContaining("replaced");
  }

  @Test
  void no_session_is_resumed() {
    Credentials cart = ours(CART);
    Credentials front = ours(FRONT);
    for (int i = 0; i < 3; i++) {
      Ends ends = meet(called(cart), calling(front, CART));
      assertThat(ends.clientFailure()).isNull();
      // A resumed handshake would show no certificate to verify.
      assertThat(peer(ends.client())).hasToString(CART);
    }
  }

  @Test
  void what_is_said_arrives_in_pieces_of_any_size() throws TlsFailure {
    Random random = new Random(7);
    byte[] all = new byte[300_000];
    random.nextBytes(all);
    Ours ours = called(ours(CART));
    Theirs theirs = client(mesh.issue(Leaf.of(FRONT)), "TLSv1.3", "h2");
    meet(ours, theirs);
    theirs.channel.writeOutbound(Unpooled.copiedBuffer(all));
    inPieces(random, theirs.step(Unpooled.EMPTY_BUFFER), ours);
    assertThat(ByteBufUtil.getBytes(ours.heard)).isEqualTo(all);
    for (int at = 0; at < all.length; ) {
      int length = Math.min(all.length - at, 1 + random.nextInt(40_000));
      byte[] piece = new byte[length];
      System.arraycopy(all, at, piece, 0, length);
      inPieces(random, ours.say(piece), theirs);
      at += length;
    }
    assertThat(ByteBufUtil.getBytes(theirs.heard)).isEqualTo(all);
  }

  private static void inPieces(Random random, ByteBuf records, End to) {
    while (records.isReadable()) {
      to.step(records.readSlice(Math.min(records.readableBytes(), 1 + random.nextInt(20_000))));
    }
  }

  @Test
  void the_end_that_is_said_is_heard() throws TlsFailure {
    Ours near = called(ours(CART));
    Ours far = calling(ours(FRONT), CART);
    meet(near, far);
    ByteBuf last = near.say("last words".getBytes(StandardCharsets.US_ASCII));
    near.tls.sayEnd();
    far.step(Unpooled.wrappedBuffer(last, near.step(Unpooled.EMPTY_BUFFER)));
    assertThat(far.failure()).isNull();
    assertThat(far.tls.isEnded()).isTrue();
    assertThat(far.heard.toString(StandardCharsets.US_ASCII)).isEqualTo("last words");
  }

  @Test
  void a_record_that_was_changed_on_the_way_ends_it() throws TlsFailure {
    Ours near = called(ours(CART));
    Ours far = calling(ours(FRONT), CART);
    meet(near, far);
    ByteBuf record = near.say(new byte[100]);
    record.setByte(50, record.getByte(50) ^ 1);
    far.step(record);
    assertThat(PeerRefused.label(far.failure())).isEqualTo("tls");
    assertThat(far.heard.isReadable()).isFalse();
  }
}
