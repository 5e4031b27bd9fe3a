package dev.weir.agent.tunnel;

import dev.weir.agent.identity.Credentials;
import dev.weir.agent.identity.Obtained;
import dev.weir.agent.identity.Peer;
import dev.weir.agent.identity.TlsEnd;
import dev.weir.agent.telemetry.Refusal;
import dev.weir.agent.transport.PodSocket;
import dev.weir.agent.transport.PodSupply;
import io.netty.channel.ConnectTimeoutException;
import io.netty.channel.EventLoop;
import java.io.IOException;
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
    CallingTunnel(SecureLine line, Credentials own, X509Certificate certificate) {
      super(pod, line, own, certificate, false);
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
  private final class Connecting implements PodSupply.Taker, SecureLine.Owner {
    private @Nullable Credentials credentials;
    private @Nullable SecureLine line;

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
    public void socket(PodSocket socket) {
      socket.connect(
          loop,
          key.address,
          null,
          TunnelTuning.CONNECT.toMillis(),
          failure -> connected(failure, socket));
    }

    private void connected(@Nullable IOException failure, PodSocket socket) {
      if (failure != null) {
        failed(
            Tunnels.Handshake.UNREACHABLE,
            failure instanceof ConnectTimeoutException
                ? Refusal.CONNECT_TIMEOUT
                : failure instanceof ConnectException
                    ? Refusal.CONNECT_REFUSED
                    : Refusal.CONNECT_FAILED,
            text(failure));
        return;
      }
      TlsEnd tls;
      try {
        tls = Objects.requireNonNull(credentials).client(key.identities);
      } catch (IllegalStateException e) {
        socket.close();
        failed(Tunnels.Handshake.NO_IDENTITY, Refusal.NO_IDENTITY, text(e));
        return;
      }
      line =
          SecureLine.begin(
              tls,
              pod.tunnels().carrier(loop, socket, pod.account().on(loop)),
              pod.tunnels().allocator(),
              this);
    }

    @Override
    public void shaken(Peer peer) {
      pod.tunnels().count(Tunnels.Side.CLIENT, Tunnels.Handshake.DONE);
      ready(
          new CallingTunnel(
              Objects.requireNonNull(line),
              Objects.requireNonNull(credentials),
              peer.certificate()));
    }

    @Override
    public void failed(IOException why) {
      HandshakeFailure failure =
          HandshakeFailure.of(why, String.valueOf(key.address), key.identities);
      TunnelPeer.this.failed(failure.result(), failure.reason(), failure.detail());
    }

    private void failed(Tunnels.Handshake result, Refusal reason, String detail) {
      TunnelPeer.this.failed(result, reason, detail);
    }
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
