package dev.weir.agent.tunnel;

import static org.assertj.core.api.Assertions.assertThat;

import dev.weir.agent.identity.Credentials;
import dev.weir.agent.identity.Peer;
import dev.weir.agent.identity.PeerRefused;
import dev.weir.agent.identity.TestIdentities;
import dev.weir.agent.identity.TlsEnd;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.PooledByteBufAllocator;
import io.netty.buffer.Unpooled;
import io.netty.channel.EventLoop;
import io.netty.channel.embedded.EmbeddedChannel;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** Lines over a wire by hand, on a loop whose clock is turned by hand. */
final class SecureLineTest {
  private static final String FRONT = "spiffe://cluster.local/ns/shop/sa/front";
  private static final String CART = "spiffe://cluster.local/ns/shop/sa/cart";

  private final TestIdentities identities = new TestIdentities();
  private final PooledByteBufAllocator allocator =
      new PooledByteBufAllocator(true, 0, 1, 8192, 6, 0, 0, false);
  private final EmbeddedChannel clock = new EmbeddedChannel();
  private final List<End> ends = new ArrayList<>();

  SecureLineTest() {
    clock.freezeTime();
  }

  /** One end: what carries it, whoever wants the handshake, and the session after it. */
  private final class End implements Carrier, SecureLine.Owner, AnyOwner {
    final ArrayDeque<ByteBuf> sent = new ArrayDeque<>();
    final TunnelSession session;
    final List<String> told = new ArrayList<>();
    final List<Recording> streams = new ArrayList<>();
    @Nullable SecureLine line;
    boolean stuck;
    private int waiting;
    private boolean open = true;
    private boolean closing;

    End(boolean serves) {
      GrowthRoom growth = new GrowthRoom(8 << 20);
      session =
          serves
              ? TunnelSession.server(TunnelLimits.server(), growth, this)
              : TunnelSession.client(TunnelLimits.client(), growth, this);
      ends.add(this);
    }

    SecureLine begin(TlsEnd tls) {
      SecureLine begun = SecureLine.begin(tls, this, allocator, this);
      line = begun;
      return begun;
    }

    SecureLine line() {
      return Objects.requireNonNull(line);
    }

    /** Lets leave what was sent, in pieces; whether there was anything. */
    boolean pass(End to) {
      boolean any = false;
      ByteBuf next;
      while (!stuck && (next = sent.poll()) != null) {
        any = true;
        waiting -= next.readableBytes();
        while (next.isReadable() && to.open) {
          ByteBuf piece = next.readSlice(Math.min(next.readableBytes(), 1_000));
          ByteBuf copy = allocator.directBuffer(piece.readableBytes()).writeBytes(piece);
          to.line().received(copy);
          copy.release();
        }
        next.release();
      }
      if (any) {
        if (to.open) {
          to.line().receivedAll();
        }
        if (closing && sent.isEmpty() && open) {
          line().ended(new IOException("closed"));
        } else if (open) {
          line().drained();
        }
      }
      return any;
    }

    // ---- the carrier

    @Override
    public EventLoop loop() {
      return clock.eventLoop();
    }

    @Override
    public void begin(SecureLine to) {
      line = to;
    }

    @Override
    public void write(ByteBuf bytes) {
      if (!open) {
        bytes.release();
        return;
      }
      waiting += bytes.readableBytes();
      sent.add(bytes);
    }

    @Override
    public void flush() {}

    @Override
    public int waiting() {
      return waiting;
    }

    @Override
    public boolean isOpen() {
      return open;
    }

    @Override
    public @Nullable InetSocketAddress remoteAddress() {
      return null;
    }

    @Override
    public @Nullable InetSocketAddress localAddress() {
      return null;
    }

    @Override
    public void closeWhenSent() {
      closing = true;
    }

    @Override
    public void close() {
      open = false;
    }

    // ---- who wants the handshake

    @Override
    public void shaken(Peer peer) {
      told.add("shaken " + peer.id());
      line().carry(session);
    }

    @Override
    public void failed(IOException why) {
      told.add("failed " + PeerRefused.label(why));
    }

    // ---- who owns the session

    @Override
    public void ready(TunnelSession ready) {
      told.add("ready");
    }

    @Override
    public TunnelStream.Events opened(TunnelStream stream, HboneRequest request) {
      Recording events = new Recording();
      events.stream = stream;
      streams.add(events);
      stream.respond(200, Baggage.NONE);
      return events;
    }

    @Override
    public void refused(int status, String cause) {}

    @Override
    public void draining(String cause) {
      told.add(cause);
    }

    @Override
    public void abused(Abuse abuse) {
      told.add("abused " + abuse);
    }

    @Override
    public void closed(ErrorCode code, String cause) {
      told.add("closed " + code + ": " + cause);
    }
  }

  @AfterEach
  void nothingIsHeld() {
    for (End end : ends) {
      if (end.line != null && end.open) {
        end.line().abort(new IOException("the test is over"));
      }
      end.sent.forEach(ByteBuf::release);
      end.streams.forEach(events -> events.received.release());
    }
    assertThat(allocator.pinnedDirectMemory()).as("bytes that nobody gave back").isZero();
  }

  private Credentials credentials(String identity) {
    return Objects.requireNonNull(identities.current(identity));
  }

  private void pass(End client, End server) {
    boolean any;
    do {
      clock.runPendingTasks();
      any = client.pass(server);
      any |= server.pass(client);
    } while (any);
  }

  private void advance(long millis) {
    clock.advanceTimeBy(millis, TimeUnit.MILLISECONDS);
    clock.runScheduledPendingTasks();
    clock.runPendingTasks();
  }

  /** Two that have shaken hands and greeted. */
  private List<End> pair() {
    End server = new End(true);
    server.begin(credentials(CART).server());
    End client = new End(false);
    client.begin(credentials(FRONT).client(Set.of(CART)));
    pass(client, server);
    return List.of(client, server);
  }

  private Recording open(End client) {
    Recording events = new Recording();
    events.stream = client.session.open(Wire.REQUEST, events);
    client.streams.add(events);
    return events;
  }

  private ByteBuf bytes(int count) {
    return allocator.directBuffer(count).writeZero(count);
  }

  @Test
  void bothSidesKnowEachOtherAndSpeak() {
    List<End> pair = pair();
    End client = pair.getFirst();
    End server = pair.getLast();
    assertThat(client.told).containsExactly("shaken " + CART, "ready");
    assertThat(server.told).containsExactly("shaken " + FRONT, "ready");
    Recording there = open(client);
    pass(client, server);
    there.stream().write(bytes(1_000_000));
    there.stream().end();
    pass(client, server);
    assertThat(server.streams.getFirst().received.readableBytes()).isEqualTo(1_000_000);
    assertThat(server.streams.getFirst().events).contains("end");
  }

  @Test
  void whoStopsInTheMiddleOfAHandshakeIsLeftInTime() {
    End server = new End(true);
    TlsEnd tls = credentials(CART).server();
    long within = tls.handshakeMillis();
    SecureLine line = server.begin(tls);
    // A record of 512 bytes with a ClientHello of 508 is announced, and 7 bytes of it come.
    ByteBuf half =
        allocator
            .directBuffer()
            .writeBytes(
                new byte[] {0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, (byte) 0xfc, 3, 3, 0});
    line.received(half);
    half.release();
    advance(within - 1);
    assertThat(server.told).isEmpty();
    advance(1);
    assertThat(server.told).containsExactly("failed handshake-timeout");
    assertThat(server.open).isFalse();
  }

  @Test
  void whoIsShakenIsNotLeftLater() {
    List<End> pair = pair();
    advance(60_000);
    assertThat(pair.getFirst().open).isTrue();
  }

  @Test
  void aWireThatEndsDuringTheHandshakeIsAFailureOfIt() {
    End client = new End(false);
    client.begin(credentials(FRONT).client(Set.of(CART)));
    client.line().ended(new IOException("reset"));
    assertThat(client.told).containsExactly("failed closed");
  }

  @Test
  void theSideThatRefusesSaysWhyAndTheOtherHearsThatItDid() {
    End server = new End(true);
    server.begin(credentials(CART).server());
    End client = new End(false);
    client.begin(credentials(FRONT).client(Set.of(FRONT)));
    pass(client, server);
    assertThat(client.told).containsExactly("failed wrong-identity");
    assertThat(server.told).containsExactly("failed refused-by-peer");
  }

  @Test
  void whatIsNotTakenHoldsTheSenderAndNothingIsLost() {
    List<End> pair = pair();
    End client = pair.getFirst();
    End server = pair.getLast();
    List<Recording> opened = new ArrayList<>();
    for (int i = 0; i < 40; i++) {
      opened.add(open(client));
    }
    pass(client, server);
    client.stuck = true;
    for (Recording each : opened) {
      each.stream().write(bytes(60_000));
    }
    pass(client, server);
    assertThat(client.waiting).isBetween(SecureLine.LOW, 2 * SecureLine.HIGH);
    assertThat(client.line().isWritable()).isFalse();
    client.stuck = false;
    pass(client, server);
    assertThat(client.line().isWritable()).isTrue();
    for (Recording each : server.streams) {
      assertThat(each.received.readableBytes()).isEqualTo(60_000);
    }
  }

  @Test
  void theLastWordsLeaveBeforeTheLineEnds() {
    List<End> pair = pair();
    End client = pair.getFirst();
    End server = pair.getLast();
    Recording there = open(client);
    pass(client, server);
    client.session.close(ErrorCode.CANCEL, "enough");
    assertThat(client.open).isTrue();
    pass(client, server);
    assertThat(client.open).isFalse();
    assertThat(there.reset).isNotNull();
    assertThat(server.told).contains("GOAWAY CANCEL: enough");
    assertThat(server.open).isFalse();
  }

  @Test
  void aPeerThatReadsNothingDoesNotKeepAClosedLine() {
    List<End> pair = pair();
    End client = pair.getFirst();
    client.stuck = true;
    client.session.close(ErrorCode.NO_ERROR, "drained");
    pass(client, pair.getLast());
    assertThat(client.open).isTrue();
    advance(1_000);
    assertThat(client.open).isFalse();
  }

  @Test
  void aRecordThatIsForgedEndsTheSession() {
    List<End> pair = pair();
    End server = pair.getLast();
    ByteBuf forged = allocator.directBuffer().writeBytes(new byte[] {0x17, 3, 3, 0, 20});
    forged.writeZero(20);
    server.line().received(forged);
    forged.release();
    assertThat(server.told.getLast()).startsWith("closed CONNECT_ERROR: TLS: ");
    assertThat(server.open).isFalse();
  }

  @Test
  void aLineThatIsOverTakesWhatIsStillSaidAndKeepsNothing() {
    List<End> pair = pair();
    End client = pair.getFirst();
    client.line().abort(new IOException("cut"));
    client.line().room(100).writeZero(100);
    client.line().flush();
    client.line().close();
    client.line().received(Unpooled.EMPTY_BUFFER);
    assertThat(client.told.getLast()).isEqualTo("closed CONNECT_ERROR: cut");
  }
}
