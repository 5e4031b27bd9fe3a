package dev.weir.agent.relay;

import dev.weir.agent.authz.Call;
import dev.weir.agent.authz.Verdict;
import dev.weir.agent.capture.Pod;
import dev.weir.agent.config.MeshView;
import dev.weir.agent.fairness.Share;
import dev.weir.agent.route.Decision;
import dev.weir.agent.route.Route;
import dev.weir.agent.telemetry.ConnectionFacts;
import dev.weir.agent.telemetry.Outcome;
import dev.weir.agent.telemetry.Party;
import dev.weir.agent.telemetry.Path;
import dev.weir.agent.telemetry.Refusal;
import dev.weir.agent.telemetry.Reporter;
import dev.weir.agent.transport.PodSocket;
import dev.weir.agent.transport.PodSupply;
import dev.weir.agent.tunnel.Baggage;
import dev.weir.agent.tunnel.ErrorCode;
import dev.weir.agent.tunnel.Passage;
import dev.weir.agent.tunnel.PodTunnels;
import dev.weir.agent.tunnel.TunnelStream;
import dev.weir.api.model.Locality;
import dev.weir.api.model.OnAgentLoss;
import dev.weir.api.model.PodSettings;
import dev.weir.api.model.Service;
import dev.weir.api.model.SpiffeId;
import dev.weir.api.model.Tunnel;
import dev.weir.api.model.Workload;
import dev.weir.api.model.WorkloadKind;
import io.netty.channel.ConnectTimeoutException;
import io.netty.channel.EventLoop;
import java.io.IOException;
import java.net.ConnectException;
import java.net.Inet4Address;
import java.net.Inet6Address;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * Finds the server side of one connection: tries what its route names until something answers.
 * Owned by the connection's event loop.
 */
final class Dial implements PodSupply.Taker, PodTunnels.Opening, PodTunnels.FarOpening {
  private static final InetAddress LOOPBACK_4 = InetAddress.ofLiteral("127.0.0.1");
  private static final InetAddress LOOPBACK_6 = InetAddress.ofLiteral("::1");
  private static final long LOOK_AGAIN_MILLIS = 300;

  // A run of ports that are taken is a client with as many connections open to this very server.
  private static final int MOST_PORTS = 64;

  // Beyond these, what rests at a port is no hindrance (delivery_meets in connect.bpf.c).
  private static final int MOST_ODD_PORTS = 3;

  private final Relays relays;
  private final PodRelays pod;
  private final EventLoop loop;
  private final Share share;
  private final Arrival arrival;
  private final Route route;
  private final MeshView view;
  private final boolean inbound;
  private InetSocketAddress target;
  private @Nullable PodRelays into;
  private @Nullable Workload through;

  /** Whether that is in another network, where its own address means nothing. */
  private boolean crossing;

  /** What the header names, where the server is to hear of its caller. */
  private @Nullable InetSocketAddress introducedTo;

  private boolean otherFamilyTried;
  private @Nullable Call call;
  private boolean lookedAgain;
  private int portsTried;

  /**
   * @param pod whose listener accepted
   * @param inbound it came to the pod, not from it
   */
  Dial(
      Relays relays,
      PodRelays pod,
      EventLoop loop,
      Arrival arrival,
      Route route,
      MeshView view,
      boolean inbound) {
    this.relays = relays;
    this.pod = pod;
    this.loop = loop;
    this.share = pod.account().on(loop);
    this.arrival = arrival;
    this.route = route;
    this.view = view;
    this.inbound = inbound;
    this.target = route.asked();
  }

  void start() {
    Refusal tooMuch = pod.dialBegan();
    if (tooMuch != null) {
      refuse(tooMuch, tooMuch.label());
      return;
    }
    Decision decision = route.next();
    if (decision == null) {
      refuse(Refusal.NO_ENDPOINT, "no endpoint");
      return;
    }
    follow(decision);
  }

  private void follow(Decision decision) {
    switch (decision) {
      case Decision.Deliver(Pod to, InetSocketAddress address) -> {
        target = address;
        through = null;
        PodRelays there = relays.of(to);
        InetAddress source = sourceFor(address.getAddress());
        if (there != null && source != null) {
          into = there;
          if (admitted(there, source)) {
            there.supply().delivering(loop, this);
          }
        } else {
          // Opted out this moment, or the control plane has not yet told the client's address:
          // the long way round is open to everybody.
          dial(address);
        }
      }
      case Decision.Introduce(Pod _, InetSocketAddress address, InetSocketAddress called) ->
          introduce(address, called);
      case Decision.Tunnel(Workload workload, InetSocketAddress address) ->
          tunnel(workload, address);
      case Decision.Cross(Workload workload, Passage passage) -> cross(workload, passage);
      case Decision.Dial(InetSocketAddress address) -> dial(address);
      case Decision.Refuse(Refusal reason, String detail) -> fail(reason, detail);
    }
  }

  /** Over loopback, where nobody but an agent can have come from: the source is told, not shown. */
  private void introduce(InetSocketAddress address, InetSocketAddress called) {
    target = address;
    through = null;
    into = pod;
    introducedTo = called;
    if (admitted(pod, arrival.client().getAddress())) {
      pod.supply().dialling(loop, this);
    }
  }

  /** Asks policy, and refuses if it says no. A pod may always call itself. */
  private boolean admitted(PodRelays there, InetAddress source) {
    if (!inbound && there == pod) {
      return true;
    }
    Pod to = there.pod();
    Call asked =
        Call.of(
            // Capture knows this node's pods by their namespaces, which nobody can forge; a
            // tunnel's
            // peer has shown a certificate; plaintext from elsewhere proves nothing.
            inbound ? arrival.principal() : pod.pod().identity(),
            source,
            target.getAddress(),
            target.getPort(),
            view.synced() ? view.pod(to.namespace(), to.name()).orElse(null) : null);
    call = asked;
    Verdict verdict = relays.decide(view, asked);
    if (!verdict.allowed()) {
      refuse(Relays.refusalOf(verdict), verdict.detail());
      return false;
    }
    if (!verdict.wouldDeny().isEmpty()) {
      relays.connections().wouldDeny(facts(), verdict.wouldDeny());
    }
    return true;
  }

  private void dial(InetSocketAddress address) {
    target = address;
    into = null;
    call = null;
    through = null;
    pod.supply().dialling(loop, this);
  }

  private void tunnel(Workload workload, InetSocketAddress address) {
    if (!mayTunnel(workload, address, false)) {
      return;
    }
    Service service = route.service();
    pod.tunnels()
        .open(
            loop,
            workload,
            address,
            clientTowards(address),
            service == null ? null : service.hostname(),
            this);
  }

  private void cross(Workload workload, Passage passage) {
    if (mayTunnel(workload, passage.gateway(), true)) {
      pod.tunnels().cross(loop, passage, clientTowards(passage.gateway()), this);
    }
  }

  /** Notes where it goes, and refuses if the pod has too many streams. */
  private boolean mayTunnel(Workload workload, InetSocketAddress address, boolean elsewhere) {
    target = address;
    into = null;
    call = null;
    through = workload;
    crossing = elsewhere;
    Refusal tooMany = pod.account().stream();
    if (tooMany != null) {
      refuse(tooMany, tooMany.label());
    }
    return tooMany == null;
  }

  /**
   * Captured clients call from loopback; the other side believes a port only with the address that
   * the tunnel comes from.
   */
  private InetSocketAddress clientTowards(InetSocketAddress server) {
    InetAddress source = sourceFor(server.getAddress());
    return source == null
        ? arrival.client()
        : new InetSocketAddress(source, arrival.client().getPort());
  }

  /** The client's address of the server's family; null where it has none that is known. */
  private @Nullable InetAddress sourceFor(InetAddress server) {
    if (!inbound) {
      return ofFamily(pod.pod().addresses(), server.getClass());
    }
    InetAddress client = arrival.client().getAddress();
    if (client.getClass() == server.getClass()) {
      return client;
    }
    Workload caller = view.workload(client);
    return caller == null ? null : ofFamily(caller.addresses(), server.getClass());
  }

  /**
   * All addresses of whoever answers for the Service that was asked; none where an address was
   * asked.
   */
  private List<InetAddress> namedServer(InetAddress picked) {
    Workload workload = route.service() == null ? null : view.workload(picked);
    return workload == null ? List.of() : workload.addresses();
  }

  private static @Nullable InetAddress ofFamily(
      List<InetAddress> addresses, Class<? extends InetAddress> family) {
    for (InetAddress address : addresses) {
      if (address.getClass() == family) {
        return address;
      }
    }
    return null;
  }

  /**
   * Programs that listen in one family only are common, and clients try the other one when a
   * connect is refused. A captured client has been connected to us already and cannot, so it is
   * done for it: once, to the same server's other address.
   */
  private boolean tryOtherFamily() {
    if (otherFamilyTried || introducedTo != null) {
      return false;
    }
    otherFamilyTried = true;
    InetAddress refused = target.getAddress();
    PodRelays there = into;
    List<InetAddress> addresses = there == null ? namedServer(refused) : there.pod().addresses();
    InetAddress other =
        ofFamily(
            addresses, refused instanceof Inet4Address ? Inet6Address.class : Inet4Address.class);
    InetAddress source = other == null || there == null ? null : sourceFor(other);
    if (other == null || (there != null && source == null)) {
      return false;
    }
    target = new InetSocketAddress(other, target.getPort());
    if (there != null && source != null) {
      if (admitted(there, source)) {
        there.supply().delivering(loop, this);
      }
    } else {
      pod.supply().dialling(loop, this);
    }
    return true;
  }

  @Override
  public void socket(PodSocket server) {
    if (!arrival.isWaiting()) {
      pod.dialEnded();
      server.close();
      return;
    }
    // Sockets come in batches: without turns, a pod that asked for many would go on for long.
    if (!share.inTurn(() -> connect(server))) {
      server.close();
      refuse(Refusal.OVERLOAD, "too much waits for the pod's turn already");
    }
  }

  private void connect(PodSocket server) {
    if (!arrival.isWaiting()) {
      pod.dialEnded();
      server.close();
      return;
    }
    PodRelays there = into;
    if (there == null && relays.isOnThisNode(target.getAddress())) {
      // No wire is between them.
      server.unpace();
    }
    InetSocketAddress to = target;
    InetSocketAddress from = null;
    if (introducedTo != null) {
      to =
          new InetSocketAddress(
              target.getAddress() instanceof Inet4Address ? LOOPBACK_4 : LOOPBACK_6,
              target.getPort());
    } else if (there != null) {
      from =
          new InetSocketAddress(
              sourceFor(target.getAddress()), there.nextPort(portsTried >= MOST_ODD_PORTS));
    }
    server.connect(
        loop,
        to,
        from,
        relays.tuning().connectMillis(route.hasNext()),
        failure -> share.atOnce(() -> connected(failure, server)));
  }

  private void connected(@Nullable IOException cause, PodSocket server) {
    if (cause != null) {
      PodRelays there = into;
      if (there != null
          && introducedTo == null
          && isPortTaken(cause)
          && portsTried++ < MOST_PORTS) {
        there.supply().delivering(loop, this);
        return;
      }
      if (refusalOf(cause) == Refusal.CONNECT_REFUSED && tryOtherFamily()) {
        return;
      }
      Decision next = route.next();
      if (next == null) {
        refuse(refusalOf(cause), String.valueOf(cause.getMessage()));
      } else {
        follow(next);
      }
      return;
    }
    if (!arrival.isWaiting()) {
      pod.dialEnded();
      server.reset();
      return;
    }
    InetSocketAddress called = introducedTo;
    boolean borrowed = into != null && called == null;
    if (called != null) {
      // Before anything that the client says.
      boolean _ =
          server.write(
              ProxyHeader.of(
                  relays.tuning().allocator(), arrival.client(), called, arrival.principal()));
      server.flush();
    }
    join(relay -> SocketEnd.ofServer(relay, server, borrowed, relays.tuning()));
  }

  /** Which of the pods there it is, its gateway alone decides: nothing else tells of it. */
  @Override
  public void opened(TunnelStream stream, SpiffeId server, Baggage from) {
    Workload told = through;
    if (told != null) {
      through = answerer(told, server, from);
    }
    opened(stream, from);
  }

  private static Workload answerer(Workload told, SpiffeId server, Baggage from) {
    return new Workload(
        told.uid(),
        server.namespace(),
        from.kind() == WorkloadKind.POD ? from.workload() : "",
        told.addresses(),
        told.network(),
        "",
        "",
        server.serviceAccount(),
        server.trustDomain(),
        from.cluster().isEmpty() ? told.cluster() : from.cluster(),
        new Locality(from.region(), from.zone(), ""),
        from.kind(),
        from.workload(),
        from.service(),
        from.version(),
        told.tunnel(),
        true,
        false,
        1,
        Map.of(),
        PodSettings.DEFAULT);
  }

  @Override
  public void opened(TunnelStream stream, Baggage from) {
    if (!arrival.isWaiting()) {
      pod.dialEnded();
      stream.reset(ErrorCode.CANCEL);
      return;
    }
    join(relay -> {
      StreamEnd end = new StreamEnd(relay, stream, false);
      stream.events(end);
      return end;
    });
  }

  @Override
  public void failed(Refusal reason, String detail) {
    Workload far = through;
    if (reason == Refusal.CONNECT_REFUSED && far != null && !crossing && !lookedAgain) {
      // Nobody listens for tunnels there: no agent, or the pod was opted out this moment and the
      // control plane's word of it is on its way.
      lookedAgain = true;
      loop.schedule(() -> lookAgain(far, detail), LOOK_AGAIN_MILLIS, TimeUnit.MILLISECONDS);
      return;
    }
    fail(reason, detail);
  }

  private void lookAgain(Workload far, String detail) {
    Workload now = relays.view().workload(target.getAddress());
    boolean left = now == null || now.tunnel() == Tunnel.NONE;
    if (left || far.settings().onAgentLoss() == OnAgentLoss.OPEN) {
      dial(target);
    } else {
      fail(Refusal.CONNECT_REFUSED, detail);
    }
  }

  private void fail(Refusal reason, String detail) {
    // Without a certificate of its own the pod is no better off with another endpoint.
    Decision next = reason == Refusal.NO_IDENTITY ? null : route.next();
    if (next == null) {
      refuse(reason, detail);
    } else {
      follow(next);
    }
  }

  private void join(Function<Relay, End> server) {
    PodRelays there = into;
    Relay relay =
        new Relay(
            loop,
            share,
            inbound,
            arrival::end,
            server,
            relays.connections().opened(facts()),
            pod,
            there == pod ? null : there);
    pod.dialEnded();
    Call admittedAs = call;
    if (admittedAs != null && there != null) {
      relay.call(admittedAs);
      MeshView now = relays.view();
      if (now != view) {
        // Policy may have changed since it was asked, before this connection was on the list.
        relays.judge(there, relay, now);
      }
    }
    if (relay.server() instanceof SocketEnd end) {
      end.begin();
    }
    arrival.begin(relay);
    if (!inbound && there != null) {
      relays.allowed(pod.pod(), there.pod(), target.getPort());
    }
  }

  @Override
  public void none(Throwable why) {
    refuse(Refusal.OVERLOAD, String.valueOf(why.getMessage()));
  }

  private void refuse(Refusal reason, String detail) {
    pod.dialEnded();
    relays.connections().failed(facts(), outcomeOf(reason), detail);
    relays.refused(pod, arrival, reason, route.asked(), target, detail);
  }

  /** By a connection that is still open or rests, or by a program that listens on that port. */
  private static boolean isPortTaken(Throwable cause) {
    String text = String.valueOf(cause.getMessage());
    return text.contains("Address already in use")
        || text.contains("Cannot assign requested address");
  }

  private static Refusal refusalOf(Throwable cause) {
    return switch (cause) {
      case ConnectTimeoutException e -> Refusal.CONNECT_TIMEOUT;
      case ConnectException e when String.valueOf(e.getMessage()).contains("refused") ->
          Refusal.CONNECT_REFUSED;
      default -> Refusal.CONNECT_FAILED;
    };
  }

  private static Outcome outcomeOf(Refusal reason) {
    return switch (reason) {
      case DENIED, MTLS_REQUIRED, POLICY_UNKNOWN -> Outcome.DENIED;
      case OVERLOAD,
          OVERLOAD_CONNECTIONS,
          OVERLOAD_STREAMS,
          OVERLOAD_HANDSHAKES,
          OVERLOAD_BUFFERS,
          OVERLOAD_MEMORY ->
          Outcome.OVERLOAD;
      case NO_IDENTITY, WRONG_PEER, REVOKED -> Outcome.TLS_FAILED;
      case TUNNEL_FAILED -> Outcome.TUNNEL_FAILED;
      case DENIED_THERE -> Outcome.DENIED;
      default -> Outcome.CONNECT_FAILED;
    };
  }

  private ConnectionFacts facts() {
    PodRelays there = into;
    Workload far = through;
    InetSocketAddress client = arrival.client();
    Party source = inbound ? arrival.party(view) : Party.of(pod.pod(), view, client);
    Party destination =
        there != null
            ? Party.of(there.pod(), view, target)
            : far != null ? Party.of(far, target) : Party.at(target, view);
    Reporter reporter =
        inbound ? Reporter.DESTINATION : there == null ? Reporter.SOURCE : Reporter.BOTH;
    return new ConnectionFacts(
        reporter,
        source,
        destination,
        route.asked(),
        route.service(),
        far != null || arrival.principal() != null ? Path.TUNNEL : Path.AGENT);
  }
}
