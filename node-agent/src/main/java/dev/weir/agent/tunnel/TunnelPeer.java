package dev.weir.agent.tunnel;

import dev.weir.agent.fairness.Turnstile;
import dev.weir.agent.identity.Credentials;
import dev.weir.agent.identity.Obtained;
import dev.weir.agent.identity.Peer;
import dev.weir.agent.identity.PeerRefused;
import dev.weir.agent.telemetry.Refusal;
import dev.weir.agent.transport.PodSupply;
import io.netty.channel.ChannelPromise;
import io.netty.channel.ConnectTimeoutException;
import io.netty.channel.EventLoop;
import io.netty.channel.socket.SocketChannel;
import io.netty.handler.ssl.SslHandler;
import io.netty.util.concurrent.Future;
import java.net.ConnectException;
import java.net.InetSocketAddress;
import java.security.cert.X509Certificate;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/**
 * The tunnels from one pod to another on one event loop: as many as their streams need, made when a
 * stream asks. Those who wait for a handshake fail together with it, at once and with its cause;
 * the next one who asks tries anew. Owned by the loop.
 */
final class TunnelPeer implements StreamOpening.Way {
  private static final int HANDSHAKES = 4;

  /** Whom, and who that must be: an address that another pod got is another peer. */
  record Key(InetSocketAddress address, Set<String> identities) {}

  private final PodTunnels pod;
  private final EventLoop loop;
  private final Key key;
  private final List<CallingTunnel> tunnels = new ArrayList<>(1);
  private final ArrayDeque<StreamOpening> waiting = new ArrayDeque<>();
  private int connecting;
  private long lastOpenedNanos;

  TunnelPeer(PodTunnels pod, EventLoop loop, Key key) {
    this.pod = pod;
    this.loop = loop;
    this.key = key;
  }

  @Override
  public EventLoop loop() {
    return loop;
  }

  @Override
  public InetSocketAddress address() {
    return key.address;
  }

  Key key() {
    return key;
  }

  boolean isUnused() {
    return tunnels.isEmpty() && waiting.isEmpty() && connecting == 0;
  }

  /**
   * @param whose who is asked, as the log calls it
   */
  void open(HboneRequest request, String whose, PodTunnels.Opening owner) {
    open(new StreamOpening(this, request, whose, owner));
  }

  @Override
  public boolean openAgain(StreamOpening opening) {
    open(opening);
    return true;
  }

  private void open(StreamOpening opening) {
    lastOpenedNanos = System.nanoTime();
    TunnelSession free = freest();
    if (free != null) {
      opening.begin(free);
      return;
    }
    if (waiting.size() >= TunnelTuning.WAITING) {
      opening.fail(
          Refusal.OVERLOAD,
          "%d connections wait for a tunnel to %s already".formatted(waiting.size(), key.address));
      return;
    }
    waiting.add(opening);
    connectIfNeeded();
  }

  private @Nullable TunnelSession freest() {
    TunnelSession freest = null;
    for (CallingTunnel tunnel : tunnels) {
      TunnelSession session = tunnel.session();
      if (tunnel.isCurrent()
          && session.capacity() > 0
          && session.open() < TunnelTuning.STREAMS
          && (freest == null || session.open() < freest.open())) {
        freest = session;
      }
    }
    return freest;
  }

  private void connectIfNeeded() {
    while (connecting < HANDSHAKES && connecting * TunnelTuning.STREAMS < waiting.size()) {
      connecting++;
      Refusal shed = pod.account().handshake(false, false);
      if (shed != null) {
        failed(Tunnels.Handshake.OVERLOAD, shed, "no handshake for the pod now: " + shed.label());
        return;
      }
      pod.tunnels()
          .identities()
          .obtain(pod.pod().identity(), loop, obtained -> new Connecting().with(obtained));
    }
  }

  private void ready(CallingTunnel tunnel) {
    connecting--;
    tunnels.add(tunnel);
    tunnel.begin();
    watch(tunnel);
    serveWaiting();
    if (pod.isAborted()) {
      tunnel.abort("the pod is gone");
    } else if (pod.isDraining()) {
      tunnel.session().drain();
    }
  }

  private void serveWaiting() {
    TunnelSession free;
    while (!waiting.isEmpty() && (free = freest()) != null) {
      waiting.remove().begin(free);
    }
    connectIfNeeded();
  }

  private void failed(Tunnels.Handshake result, Refusal reason, String detail) {
    connecting--;
    pod.tunnels().count(Tunnels.Side.CLIENT, result);
    // Those who came while others were connecting share their fate: asking again is the client's.
    if (connecting == 0 && freest() == null) {
      StreamOpening next;
      while ((next = waiting.poll()) != null) {
        next.fail(reason, detail);
      }
    }
    pod.forgetIfUnused(this);
  }

  /** A tunnel that this pod opened. */
  private final class CallingTunnel extends OpenTunnel {
    CallingTunnel(SocketChannel channel, Credentials own, X509Certificate certificate) {
      super(pod, channel, own, certificate, false);
    }

    @Override
    Tunnels.Side side() {
      return Tunnels.Side.CLIENT;
    }

    /** Whether it was made with the certificate that is in force; one that was not only ends. */
    boolean isCurrent() {
      return pod.tunnels().identities().current(own().identity()) == own();
    }

    @Override
    public TunnelStream.Events opened(TunnelStream stream, HboneRequest request) {
      throw new IllegalStateException("nobody opens a stream towards the side that calls");
    }

    @Override
    public void freed(TunnelSession session) {
      serveWaiting();
    }

    @Override
    public void closed(ErrorCode code, String cause) {
      super.closed(code, cause);
      tunnels.remove(this);
      pod.forgetIfUnused(TunnelPeer.this);
    }
  }

  /** One connection being made: a socket in the pod, TCP, TLS, HTTP/2. */
  private final class Connecting implements PodSupply.Taker {
    private @Nullable Credentials credentials;

    void with(Obtained obtained) {
      switch (obtained) {
        case Obtained.Failed(String reason) ->
            failed(
                Tunnels.Handshake.NO_IDENTITY,
                Refusal.NO_IDENTITY,
                "no certificate for " + pod.pod().identity() + ": " + reason);
        case Obtained.Have(Credentials given) -> {
          credentials = given;
          pod.supply().dialling(loop, this);
        }
      }
    }

    @Override
    public void none(Throwable why) {
      failed(Tunnels.Handshake.UNREACHABLE, Refusal.OVERLOAD, text(why));
    }

    @Override
    public void socket(SocketChannel channel) {
      pod.tunnels().configure(channel);
      channel.config().setConnectTimeoutMillis((int) TunnelTuning.CONNECT.toMillis());
      loop.register(channel).addListener(registered -> connect(registered, channel));
    }

    private void connect(Future<? super Void> registered, SocketChannel channel) {
      if (!registered.isSuccess()) {
        none(cause(registered));
        return;
      }
      ChannelPromise connected = channel.newPromise();
      connected.addListener(future -> connected(future, channel));
      channel.connect(key.address, connected);
    }

    private void connected(Future<? super Void> connect, SocketChannel channel) {
      if (!connect.isSuccess()) {
        channel.close();
        Throwable why = cause(connect);
        failed(
            Tunnels.Handshake.UNREACHABLE,
            why instanceof ConnectTimeoutException
                ? Refusal.CONNECT_TIMEOUT
                : why instanceof ConnectException
                    ? Refusal.CONNECT_REFUSED
                    : Refusal.CONNECT_FAILED,
            text(why));
        return;
      }
      SslHandler tls;
      try {
        tls = Objects.requireNonNull(credentials).client(channel.alloc(), key.identities);
      } catch (IllegalStateException e) {
        channel.close();
        failed(Tunnels.Handshake.NO_IDENTITY, Refusal.NO_IDENTITY, text(e));
        return;
      }
      Turnstile turnstile = new Turnstile(pod.account().on(loop), channel);
      channel.pipeline().addLast(turnstile, tls, Greeting.INSTANCE);
      tls.handshakeFuture().addListener(future -> shaken(future, channel, tls));
    }

    private void shaken(Future<?> handshake, SocketChannel channel, SslHandler tls) {
      if (!handshake.isSuccess()) {
        refused(channel, cause(handshake));
        return;
      }
      CallingTunnel tunnel;
      try {
        Peer.of(tls);
        tunnel =
            new CallingTunnel(channel, Objects.requireNonNull(credentials), Peer.certificate(tls));
      } catch (PeerRefused e) {
        refused(channel, e);
        return;
      }
      pod.tunnels().count(Tunnels.Side.CLIENT, Tunnels.Handshake.DONE);
      ready(tunnel);
    }

    private void refused(SocketChannel channel, Throwable why) {
      channel.close();
      HandshakeFailure failure =
          HandshakeFailure.of(why, String.valueOf(key.address), key.identities);
      failed(failure.result(), failure.reason(), failure.detail());
    }
  }

  private static Throwable cause(Future<?> failed) {
    Throwable cause = failed.cause();
    return cause == null ? new IllegalStateException("cancelled") : cause;
  }

  static String text(Throwable why) {
    return String.valueOf(why.getMessage());
  }

  /** Ends a tunnel that nobody has used for long, or that a new certificate has replaced. */
  private void watch(CallingTunnel tunnel) {
    loop.schedule(
        () -> {
          if (!tunnels.contains(tunnel)) {
            return;
          }
          boolean idle = System.nanoTime() - lastOpenedNanos >= TunnelTuning.IDLE.toNanos();
          if (tunnel.session().open() == 0 && (idle || !tunnel.isCurrent())) {
            tunnel.session().drain();
          } else {
            watch(tunnel);
          }
        },
        TunnelTuning.IDLE.toMillis() / 2,
        TimeUnit.MILLISECONDS);
  }
}
