package dev.weir.agent.tunnel;

import dev.weir.agent.capture.Pod;
import dev.weir.agent.fairness.PodAccount;
import dev.weir.agent.identity.Credentials;
import dev.weir.agent.identity.Obtained;
import dev.weir.agent.identity.Peer;
import dev.weir.agent.identity.PeerRefused;
import dev.weir.agent.identity.TlsEnd;
import dev.weir.agent.identity.TlsFailure;
import dev.weir.agent.telemetry.Refusal;
import dev.weir.agent.transport.PodSocket;
import dev.weir.agent.transport.PodSupply;
import dev.weir.api.model.SpiffeId;
import dev.weir.api.model.Workload;
import io.netty.channel.ChannelException;
import io.netty.channel.EventLoop;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.security.cert.X509Certificate;
import java.util.HashMap;
import java.util.Map;
import java.util.Objects;
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

  /** Of a connection that was closed before it was asked. */
  private static final InetSocketAddress NOWHERE = new InetSocketAddress(0);

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

  /** Made once for what the control plane says of the pod, not for each connection. */
  private record Told(@Nullable Workload workload, Baggage baggage) {}

  private volatile Told told = new Told(null, Baggage.NONE);
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

  /** What the pod says of itself to other sides. */
  @SuppressWarnings("ReferenceEquality") // what did not change is the same object in the next view
  Baggage baggage() {
    Workload now = tunnels.workload(pod());
    Told known = told;
    if (known.workload != now) {
      known = new Told(now, Baggage.of(now));
      told = known;
    }
    return known.baggage;
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
                baggage(),
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

  /** Takes a connection to the pod's tunnel port, on the loop that is to own it. */
  public void serve(PodSocket socket, EventLoop loop, Requests requests) {
    InetSocketAddress remote = socket.remoteAddress();
    if (aborted || remote == null) {
      // The pod is gone, or the connection was reset while it waited to be accepted.
      socket.close();
      return;
    }
    Greetings here = greetings.computeIfAbsent(loop, _ -> new Greetings(MOST_GREETING));
    Refusal shed = account.handshake(true, !here.isGreeting(remote.getAddress()));
    if (shed != null) {
      socket.close();
      tunnels.count(Tunnels.Side.SERVER, Tunnels.Handshake.OVERLOAD);
      tunnels.refused(pod(), Tunnels.Handshake.OVERLOAD, shed, remote.toString(), shed.label());
      return;
    }
    Greetings.Entry entry = here.begun(remote.getAddress(), socket::close);
    tunnels
        .identities()
        .obtain(
            pod().identity(),
            loop,
            obtained -> {
              switch (obtained) {
                case Obtained.Failed(String reason) -> {
                  socket.close();
                  failed(entry, Tunnels.Handshake.NO_IDENTITY, remote, reason);
                }
                case Obtained.Have(Credentials own) ->
                    new Greeted(remote, entry, requests, own).greet(socket, loop);
              }
            });
  }

  /** A connection on its way to being a tunnel. */
  private final class Greeted implements SecureLine.Owner {
    private final InetSocketAddress remote;
    private final Greetings.Entry entry;
    private final Requests requests;
    private final Credentials own;
    private @Nullable SecureLine line;

    Greeted(InetSocketAddress remote, Greetings.Entry entry, Requests requests, Credentials own) {
      this.remote = remote;
      this.entry = entry;
      this.requests = requests;
      this.own = own;
    }

    void greet(PodSocket socket, EventLoop loop) {
      if (entry.isPushedOut()) {
        PodTunnels.this.failed(entry, Tunnels.Handshake.OVERLOAD, remote, "");
        return;
      }
      TlsEnd tls;
      try {
        tls = own.server();
      } catch (IllegalStateException e) {
        socket.close();
        PodTunnels.this.failed(entry, Tunnels.Handshake.NO_IDENTITY, remote, TunnelPeer.text(e));
        return;
      }
      SecureLine begun;
      try {
        begun =
            SecureLine.begin(
                tls, tunnels.carrier(loop, socket, account.on(loop)), tunnels.allocator(), this);
      } catch (ChannelException e) {
        tls.close();
        socket.close();
        PodTunnels.this.failed(
            entry, Tunnels.Handshake.TLS_FAILED, remote, String.valueOf(e.getMessage()));
        return;
      }
      line = begun;
      entry.closedBy(() -> begun.abort(TlsFailure.closed("too many handshakes at once")));
    }

    @Override
    public void shaken(Peer peer) {
      OpenTunnel tunnel =
          new ServedTunnel(
              PodTunnels.this,
              Objects.requireNonNull(line),
              own,
              peer.certificate(),
              peer.id().toString(),
              requests);
      entry.ended();
      tunnels.count(Tunnels.Side.SERVER, Tunnels.Handshake.DONE);
      tunnel.begin();
      if (aborted) {
        // The pod went while hands were shaken, after the look at what is open.
        tunnel.abort("the pod is gone");
      } else if (draining) {
        tunnel.drain();
      }
    }

    @Override
    public void failed(IOException why) {
      PeerRefused refused = PeerRefused.of(why);
      PodTunnels.this.failed(
          entry,
          entry.isPushedOut()
              ? Tunnels.Handshake.OVERLOAD
              : refused == null ? Tunnels.Handshake.TLS_FAILED : Tunnels.Handshake.of(refused),
          remote,
          PeerRefused.label(why) + ": " + TunnelPeer.text(why));
    }
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
        SecureLine line,
        Credentials own,
        X509Certificate certificate,
        String principal,
        Requests requests) {
      super(pod, line, own, certificate, true);
      this.principal = principal;
      this.remote = Objects.requireNonNull(line.remoteAddress(), "it was connected");
      this.local = Objects.requireNonNullElse(line.localAddress(), NOWHERE);
      this.requests = requests;
    }

    @Override
    Tunnels.Side side() {
      return Tunnels.Side.SERVER;
    }

    @Override
    public TunnelStream.Events opened(TunnelStream stream, HboneRequest request) {
      TunnelRequest made =
          new TunnelRequest(stream, request, principal, remote, local, pod().baggage());
      // After the session has noted whose the stream is.
      line()
          .loop()
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
