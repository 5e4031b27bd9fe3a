package dev.weir.agent.tunnel;

import dev.weir.agent.capture.Pod;
import dev.weir.agent.fairness.PodAccount;
import dev.weir.agent.fairness.Turnstile;
import dev.weir.agent.identity.Credentials;
import dev.weir.agent.identity.Obtained;
import dev.weir.agent.identity.Peer;
import dev.weir.agent.identity.PeerRefused;
import dev.weir.agent.telemetry.Refusal;
import dev.weir.agent.transport.PodSupply;
import dev.weir.api.model.SpiffeId;
import dev.weir.api.model.Workload;
import io.netty.channel.EventLoop;
import io.netty.channel.socket.SocketChannel;
import io.netty.handler.ssl.SslHandler;
import java.net.InetSocketAddress;
import java.security.cert.X509Certificate;
import java.util.HashMap;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.jspecify.annotations.Nullable;

/**
 * The tunnels of one enrolled pod: those that it opened, and those that others opened to it. A
 * tunnel that it opened belongs to one event loop and carries streams of that loop alone, so that a
 * stream and the socket that it is relayed to need no lock.
 */
public final class PodTunnels {
  private static final int HBONE = 15008;

  // On each loop. Each holds a TLS engine and what half a ClientHello may bring, for 10 s at most.
  private static final int MOST_GREETING = 512;

  // Part of what the pod may have in buffers; the rest is for the windows that streams begin with.
  private static final int GROWTH_PART = 4;

  /** Whoever asked for a stream hears once, on the loop that asked. */
  public interface Opening {
    /**
     * The far side has connected: give the stream its events before returning.
     *
     * @param from what it says of itself
     */
    void opened(TunnelStream stream, Baggage from);

    void failed(Refusal reason, String detail);
  }

  /** The same of a stream into another network, where a gateway picks who answers. */
  public interface FarOpening {
    /**
     * As of {@link Opening}.
     *
     * @param server who has proven to be there
     */
    void opened(TunnelStream stream, SpiffeId server, Baggage from);

    void failed(Refusal reason, String detail);
  }

  /** Whoever serves the pod's streams; called on the tunnel's loop. */
  public interface Requests {
    void arrived(TunnelRequest request);
  }

  private final Tunnels tunnels;
  private final PodAccount account;
  private final PodSupply supply;
  private final GrowthRoom growth;

  /** By loop; the inner map is the loop's alone. */
  private final Map<EventLoop, Map<TunnelPeer.Key, TunnelPeer>> peers = new ConcurrentHashMap<>();

  /** By loop; what is in it is the loop's alone. */
  private final Map<EventLoop, Greetings> greetings = new ConcurrentHashMap<>();

  private volatile boolean draining;
  private volatile boolean aborted;

  PodTunnels(Tunnels tunnels, PodAccount account, PodSupply supply) {
    this.tunnels = tunnels;
    this.account = account;
    this.supply = supply;
    this.growth = new GrowthRoom(account.bufferLimitBytes() / GROWTH_PART);
  }

  Tunnels tunnels() {
    return tunnels;
  }

  Pod pod() {
    return account.pod();
  }

  PodAccount account() {
    return account;
  }

  /** Whether a tunnel that is only now being made is to carry what waits for it, and then end. */
  boolean isDraining() {
    return draining;
  }

  boolean isAborted() {
    return aborted;
  }

  PodSupply supply() {
    return supply;
  }

  GrowthRoom growth() {
    return growth;
  }

  /**
   * Asks for a stream to a port of another pod; on a loop, which will own it.
   *
   * @param client whose connection it carries
   * @param host the name that the client asked for, for the other side's telemetry
   */
  public void open(
      EventLoop loop,
      Workload to,
      InetSocketAddress target,
      InetSocketAddress client,
      @Nullable String host,
      Opening opening) {
    TunnelPeer.Key key =
        new TunnelPeer.Key(
            new InetSocketAddress(target.getAddress(), HBONE), Set.of(to.identity()));
    peer(loop, key)
        .open(
            new HboneRequest(
                Authority.of(target.getAddress(), target.getPort()),
                tunnels.baggage(pod()),
                new Forwarded(client, host),
                TraceParent.fresh(),
                null),
            "the other node",
            opening);
  }

  /**
   * Asks for a stream into another network; on a loop, which will own it.
   *
   * @param client whose connection it carries
   */
  public void cross(EventLoop loop, Passage passage, InetSocketAddress client, FarOpening opening) {
    // First, so that nothing is waited for between the gateway's answer and the inner handshake.
    tunnels
        .identities()
        .obtain(
            pod().identity(),
            loop,
            obtained -> {
              switch (obtained) {
                case Obtained.Failed(String reason) ->
                    opening.failed(
                        Refusal.NO_IDENTITY,
                        "no certificate for " + pod().identity() + ": " + reason);
                case Obtained.Have(Credentials own) ->
                    new Crossing(this, loop, own, passage, client, opening).begin();
              }
            });
  }

  TunnelPeer peer(EventLoop loop, TunnelPeer.Key key) {
    return peers
        .computeIfAbsent(loop, _ -> new HashMap<>())
        .computeIfAbsent(key, each -> new TunnelPeer(this, loop, each));
  }

  void forgetIfUnused(TunnelPeer peer) {
    if (peer.isUnused()) {
      Map<TunnelPeer.Key, TunnelPeer> here = peers.get(peer.loop());
      if (here != null) {
        here.remove(peer.key(), peer);
      }
    }
  }

  /** Takes a connection to the pod's tunnel port; on its loop, not registered yet. */
  public void serve(SocketChannel channel, EventLoop loop, Requests requests) {
    InetSocketAddress remote = channel.remoteAddress();
    if (aborted || remote == null) {
      // The pod is gone, or the connection was reset while it waited to be accepted.
      channel.unsafe().closeForcibly();
      return;
    }
    Greetings here = greetings.computeIfAbsent(loop, _ -> new Greetings(MOST_GREETING));
    Refusal shed = account.handshake(true, !here.isGreeting(remote.getAddress()));
    if (shed != null) {
      channel.unsafe().closeForcibly();
      tunnels.count(Tunnels.Side.SERVER, Tunnels.Handshake.OVERLOAD);
      tunnels.refused(pod(), Tunnels.Handshake.OVERLOAD, shed, remote.toString(), shed.label());
      return;
    }
    Greetings.Entry entry = here.begun(remote.getAddress(), channel);
    tunnels
        .identities()
        .obtain(
            pod().identity(),
            loop,
            obtained -> {
              switch (obtained) {
                case Obtained.Failed(String reason) -> {
                  channel.unsafe().closeForcibly();
                  failed(entry, Tunnels.Handshake.NO_IDENTITY, remote, reason);
                }
                case Obtained.Have(Credentials own) ->
                    register(new Served(channel, remote, entry, requests), loop, own);
              }
            });
  }

  /** A connection on its way to being a tunnel. */
  private record Served(
      SocketChannel channel, InetSocketAddress remote, Greetings.Entry entry, Requests requests) {}

  private void register(Served served, EventLoop loop, Credentials own) {
    SocketChannel channel = served.channel();
    if (served.entry().isPushedOut()) {
      failed(served.entry(), Tunnels.Handshake.OVERLOAD, served.remote(), "");
      return;
    }
    tunnels.configure(channel);
    // TLS comes after it: what never was on a loop would not give back its engine.
    loop.register(channel)
        .addListener(registered -> {
          if (registered.isSuccess()) {
            greet(served, own);
          } else {
            channel.unsafe().closeForcibly();
            failed(
                served.entry(),
                Tunnels.Handshake.TLS_FAILED,
                served.remote(),
                String.valueOf(registered.cause()));
          }
        });
  }

  private void greet(Served served, Credentials own) {
    SocketChannel channel = served.channel();
    SslHandler tls;
    try {
      tls = own.server(channel.alloc());
    } catch (IllegalStateException e) {
      channel.close();
      failed(served.entry(), Tunnels.Handshake.NO_IDENTITY, served.remote(), TunnelPeer.text(e));
      return;
    }
    Turnstile turnstile = new Turnstile(account.on(channel.eventLoop()), channel);
    channel.pipeline().addLast(turnstile, tls, Greeting.INSTANCE);
    tls.handshakeFuture().addListener(handshake -> shaken(served, own, tls, handshake.cause()));
  }

  private void shaken(Served served, Credentials own, SslHandler tls, @Nullable Throwable failure) {
    SocketChannel channel = served.channel();
    Throwable why = failure;
    if (why == null) {
      try {
        SpiffeId peer = Peer.of(tls);
        OpenTunnel tunnel =
            new ServedTunnel(
                this, channel, own, Peer.certificate(tls), peer.toString(), served.requests());
        served.entry().ended();
        tunnels.count(Tunnels.Side.SERVER, Tunnels.Handshake.DONE);
        tunnel.begin();
        if (aborted) {
          // The pod went while hands were shaken, after the look at what is open.
          tunnel.abort("the pod is gone");
        } else if (draining) {
          tunnel.drain();
        }
        return;
      } catch (PeerRefused e) {
        why = e;
      }
    }
    channel.close();
    PeerRefused refused = PeerRefused.of(why);
    failed(
        served.entry(),
        served.entry().isPushedOut()
            ? Tunnels.Handshake.OVERLOAD
            : refused == null ? Tunnels.Handshake.TLS_FAILED : Tunnels.Handshake.of(refused),
        served.remote(),
        PeerRefused.label(why) + ": " + TunnelPeer.text(why));
  }

  private void failed(
      Greetings.Entry entry, Tunnels.Handshake result, InetSocketAddress from, String why) {
    entry.ended();
    tunnels.count(Tunnels.Side.SERVER, result);
    tunnels.refused(
        pod(),
        result,
        null,
        from.toString(),
        result == Tunnels.Handshake.OVERLOAD ? "too many handshakes at once" : why);
  }

  /** Bytes that wait in the tunnels themselves, about. Any thread. */
  public long buffered() {
    long sum = 0;
    for (OpenTunnel tunnel : tunnels.open()) {
      if (tunnel.pod() == this) {
        sum += tunnel.buffered();
      }
    }
    return sum;
  }

  /** Tunnels end after the streams that they have, or that are on their way. Any thread. */
  public void drain() {
    draining = true;
    for (OpenTunnel tunnel : tunnels.open()) {
      if (tunnel.pod() == this) {
        tunnel.drain();
      }
    }
  }

  /** Ends every tunnel with all that is in it. Any thread. */
  public void abort() {
    aborted = true;
    for (OpenTunnel tunnel : tunnels.open()) {
      if (tunnel.pod() == this) {
        tunnel.abort("the pod is gone");
      }
    }
  }

  /** A tunnel that came to the pod. */
  private static final class ServedTunnel extends OpenTunnel {
    private final String principal;
    private final InetSocketAddress remote;
    private final InetSocketAddress local;
    private final Requests requests;

    ServedTunnel(
        PodTunnels pod,
        SocketChannel channel,
        Credentials own,
        X509Certificate certificate,
        String principal,
        Requests requests) {
      super(pod, channel, own, certificate, true);
      this.principal = principal;
      this.remote = channel.remoteAddress();
      this.local = channel.localAddress();
      this.requests = requests;
    }

    @Override
    Tunnels.Side side() {
      return Tunnels.Side.SERVER;
    }

    @Override
    public TunnelStream.Events opened(TunnelStream stream, HboneRequest request) {
      TunnelRequest made =
          new TunnelRequest(
              stream, request, principal, remote, local, pod().tunnels().baggage(pod().pod()));
      // After the session has noted whose the stream is.
      channel()
          .eventLoop()
          .execute(() -> {
            // Else the peer has taken it back in the same breath: it costs nothing more.
            if (made.isOpen()) {
              requests.arrived(made);
            }
          });
      return made;
    }

    @Override
    public void freed(TunnelSession session) {
      // Its peer opens streams, not we.
    }
  }
}
