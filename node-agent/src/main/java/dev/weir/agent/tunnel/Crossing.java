package dev.weir.agent.tunnel;

import dev.weir.agent.identity.Credentials;
import dev.weir.agent.identity.Peer;
import dev.weir.agent.identity.TlsEnd;
import dev.weir.agent.telemetry.Refusal;
import dev.weir.api.model.SpiffeId;
import io.netty.channel.EventLoop;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.security.cert.X509Certificate;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * One connection on its way into another network: a stream in the tunnel to a gateway, in it a
 * second handshake with whichever pod the gateway picked, and in that the one stream that carries
 * the connection. The outer tunnel is pooled as any; the inner one ends with its stream, since the
 * gateway picks a pod for each. Owned by the event loop.
 */
final class Crossing implements PodTunnels.Opening, StreamOpening.Way {
  private final PodTunnels pod;
  private final EventLoop loop;
  private final Credentials own;
  private final Passage passage;
  private final HboneRequest outer;
  private final PodTunnels.FarOpening owner;
  private @Nullable StreamCarrier carrier;
  private @Nullable SecureLine line;

  Crossing(
      PodTunnels pod,
      EventLoop loop,
      Credentials own,
      Passage passage,
      InetSocketAddress client,
      PodTunnels.FarOpening owner) {
    this.pod = pod;
    this.loop = loop;
    this.own = own;
    this.passage = passage;
    this.owner = owner;
    this.outer =
        new HboneRequest(
            passage.authority(),
            pod.baggage(),
            new Forwarded(client, passage.hostname()),
            TraceParent.fresh(),
            null);
  }

  void begin() {
    pod.peer(loop, new TunnelPeer.Key(passage.gateway(), passage.keepers()))
        .open(outer, "the gateway", this);
  }

  @Override
  public void failed(Refusal reason, String detail) {
    owner.failed(reason, detail);
  }

  /** The gateway has somebody who answers. */
  @Override
  public void opened(TunnelStream stream, Baggage from) {
    Refusal shed = pod.account().handshake(false, false);
    if (shed != null) {
      stream.reset(ErrorCode.CANCEL);
      failed(Tunnels.Handshake.OVERLOAD, shed, "no handshake for the pod now: " + shed.label());
      return;
    }
    TlsEnd tls;
    try {
      tls = own.client(passage.servers());
    } catch (IllegalStateException e) {
      stream.reset(ErrorCode.CANCEL);
      failed(Tunnels.Handshake.NO_IDENTITY, Refusal.NO_IDENTITY, String.valueOf(e.getMessage()));
      return;
    }
    carrier = new StreamCarrier(stream, loop, passage.gateway(), pod.account().on(loop));
    line = SecureLine.begin(tls, carrier, pod.tunnels().allocator(), new Shaking());
  }

  /** Waits for the inner handshake. */
  private final class Shaking implements SecureLine.Owner {
    @Override
    public void shaken(Peer peer) {
      pod.tunnels().count(Tunnels.Side.INNER, Tunnels.Handshake.DONE);
      ask(
          new InnerTunnel(pod, Objects.requireNonNull(line), carrier(), own, peer.certificate()),
          peer.id());
    }

    @Override
    public void failed(IOException why) {
      String ended = carrier().ended();
      if (ended != null) {
        Crossing.this.failed(
            Tunnels.Handshake.TLS_FAILED,
            Refusal.TUNNEL_FAILED,
            "TLS with %s: its stream is over: %s".formatted(passage, ended));
        return;
      }
      HandshakeFailure failure = HandshakeFailure.of(why, passage.toString(), passage.servers());
      Crossing.this.failed(failure.result(), failure.reason(), failure.detail());
    }
  }

  private StreamCarrier carrier() {
    return Objects.requireNonNull(carrier, "it was made before the handshake");
  }

  private void failed(Tunnels.Handshake result, Refusal reason, String detail) {
    pod.tunnels().count(Tunnels.Side.INNER, result);
    owner.failed(reason, detail);
  }

  private void ask(InnerTunnel tunnel, SpiffeId server) {
    TunnelSession session = tunnel.session();
    tunnel.begin();
    if (session.capacity() == 0) {
      owner.failed(
          Refusal.TUNNEL_FAILED,
          "HTTP/2 with %s: %s".formatted(passage, "the connection was closed"));
      return;
    }
    HboneRequest inner =
        new HboneRequest(
            outer.authority(),
            outer.baggage(),
            outer.forwarded(),
            outer.trace(),
            passage.network());
    new StreamOpening(this, inner, "the other network", new Asked(server)).begin(session);
    session.drain();
  }

  /** Waits for the answer to the inner CONNECT. */
  private final class Asked implements PodTunnels.Opening {
    private final SpiffeId server;

    Asked(SpiffeId server) {
      this.server = server;
    }

    @Override
    public void opened(TunnelStream stream, Baggage from) {
      owner.opened(stream, server, from);
    }

    @Override
    public void failed(Refusal reason, String detail) {
      owner.failed(reason, detail);
    }
  }

  // ---- the way of the inner stream

  @Override
  public EventLoop loop() {
    return loop;
  }

  @Override
  public InetSocketAddress address() {
    return passage.gateway();
  }

  /** The tunnel was for this stream alone. */
  @Override
  public boolean openAgain(StreamOpening opening) {
    return false;
  }

  /** A tunnel in a tunnel, with its one stream. */
  private static final class InnerTunnel extends OpenTunnel {
    private final StreamCarrier carrier;

    InnerTunnel(
        PodTunnels pod,
        SecureLine line,
        StreamCarrier carrier,
        Credentials own,
        X509Certificate certificate) {
      super(pod, line, own, certificate, false);
      this.carrier = carrier;
    }

    @Override
    Tunnels.Side side() {
      return Tunnels.Side.INNER;
    }

    /** Its stream answers for all. */
    @Override
    long buffered() {
      return 0;
    }

    @Override
    public long waitingBelow() {
      return super.buffered() + carrier.below();
    }

    @Override
    public TunnelStream.Events opened(TunnelStream stream, HboneRequest request) {
      throw new IllegalStateException("nobody opens a stream towards the side that calls");
    }

    @Override
    public void freed(TunnelSession session) {
      // There is no second stream.
    }
  }
}
