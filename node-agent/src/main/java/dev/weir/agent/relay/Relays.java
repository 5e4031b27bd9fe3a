package dev.weir.agent.relay;

import dev.weir.agent.authz.Authz;
import dev.weir.agent.authz.Call;
import dev.weir.agent.authz.Verdict;
import dev.weir.agent.capture.Original;
import dev.weir.agent.capture.Originals;
import dev.weir.agent.capture.Pod;
import dev.weir.agent.capture.PodListener;
import dev.weir.agent.capture.Verdicts;
import dev.weir.agent.config.Mesh;
import dev.weir.agent.config.MeshView;
import dev.weir.agent.fairness.Fairness;
import dev.weir.agent.fairness.Lanes;
import dev.weir.agent.log.Log;
import dev.weir.agent.route.Ports;
import dev.weir.agent.route.Route;
import dev.weir.agent.route.Router;
import dev.weir.agent.telemetry.Connections;
import dev.weir.agent.telemetry.Refusal;
import dev.weir.agent.telemetry.Refusals;
import dev.weir.agent.transport.PodPort;
import dev.weir.agent.transport.PodSocket;
import dev.weir.agent.transport.PodSockets;
import dev.weir.agent.tunnel.Authority;
import dev.weir.agent.tunnel.TunnelRequest;
import dev.weir.agent.tunnel.Tunnels;
import dev.weir.api.model.FastPath;
import dev.weir.api.model.Service;
import dev.weir.api.model.Workload;
import io.netty.channel.EventLoop;
import io.netty.util.concurrent.Future;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/**
 * The door: relays for every pod that capture enrols. Listeners open before the pod's entry goes
 * into the kernel's map. An opted-out pod loses its listeners and keeps its connections; those of a
 * deleted pod are reset.
 */
public final class Relays implements PodListener {
  private static final InetAddress LOOPBACK_4 = InetAddress.ofLiteral("127.0.0.1");
  private static final InetAddress LOOPBACK_6 = InetAddress.ofLiteral("::1");
  private static final InetAddress ANY = InetAddress.ofLiteral("::");

  // What the kernel had already accepted for us when the pod was opted out is still served.
  private static final long CLOSE_LISTENERS_MILLIS = 250;

  private static final long STOP_LISTENING_MILLIS = 1_000;

  private final String node;
  private final Lanes lanes;
  private final PodSockets sockets;
  private final Tunnels tunnels;
  private final Fairness fairness;
  private final Router router;
  private final Mesh mesh;
  private final Originals originals;
  private final Verdicts verdicts;
  private final Authz authz;
  private final Connections connections;
  private final Refusals refusals;
  private final Tuning tuning;
  private final Log log;
  private final Map<Integer, PodRelays> pods = new ConcurrentHashMap<>();

  // Only who opens and closes listeners takes the lock, never an event loop.
  private boolean accepting = true;

  /** Pods without listeners whose connections go on, until they end or the pod is deleted. */
  private final Map<Integer, PodRelays> leaving = new ConcurrentHashMap<>();

  /**
   * @param node this one's name, as workloads have it
   */
  public Relays(
      String node,
      Lanes lanes,
      PodSockets sockets,
      Tunnels tunnels,
      Fairness fairness,
      Router router,
      Mesh mesh,
      Originals originals,
      Verdicts verdicts,
      Authz authz,
      Connections connections,
      Refusals refusals,
      Tuning tuning,
      Log log) {
    this.node = node;
    this.lanes = lanes;
    this.sockets = sockets;
    this.tunnels = tunnels;
    this.fairness = fairness;
    this.router = router;
    this.mesh = mesh;
    this.originals = originals;
    this.verdicts = verdicts;
    this.authz = authz;
    this.connections = connections;
    this.refusals = refusals;
    this.tuning = tuning;
    this.log = log;
  }

  /**
   * Until {@link #accept} pods that come are served without listeners of this agent's: another one
   * has its own there, and who were accepted here would wait for what this agent has not got yet.
   */
  public synchronized void acceptLater() {
    accepting = false;
  }

  /**
   * Opens the listeners of every pod that waits for them, and from now on of each that comes. Waits
   * for sockets: not for event loops.
   *
   * @throws PodSockets.SocketException where a pod's ports cannot be had; may be called again
   */
  public synchronized void accept() {
    for (PodRelays relays : pods.values()) {
      if (relays.listeners().isEmpty()) {
        open(relays);
      }
    }
    accepting = true;
  }

  @Override
  public synchronized void enrolled(Pod pod) {
    PodRelays relays =
        new PodRelays(pod, sockets.supply(pod.netns()), tunnels, fairness, lanes, refusals, log);
    if (accepting) {
      try {
        open(relays);
      } catch (RuntimeException e) {
        relays.supply().close();
        fairness.close(relays.account());
        throw e;
      }
    }
    pods.put(pod.number(), relays);
  }

  private void open(PodRelays relays) {
    Pod pod = relays.pod();
    List<PodPort> listeners = new ArrayList<>(4);
    try {
      Acceptor outbound =
          new Acceptor(
              relays.home()::next,
              (c, loop) -> inTurn(relays, c, loop, () -> outbound(relays, c, loop)),
              where(pod, Ports.OUTBOUND),
              log);
      Acceptor inbound =
          new Acceptor(
              relays.home()::next,
              (c, loop) -> inTurn(relays, c, loop, () -> inbound(relays, c, loop)),
              where(pod, Ports.INBOUND),
              log);
      listeners.add(listen(relays, LOOPBACK_4, Ports.OUTBOUND, false, outbound));
      try {
        listeners.add(listen(relays, LOOPBACK_6, Ports.OUTBOUND, false, outbound));
      } catch (PodSockets.SocketException e) {
        if (!e.isNoSuchAddress()) {
          throw e;
        }
        // IPv6 is switched off in the pod: nobody there can call over it either.
        log.debug("no IPv6 loopback in the pod", "pod", pod.label());
      }
      listeners.add(listen(relays, ANY, Ports.INBOUND, true, inbound));
      listeners.add(
          listen(
              relays,
              ANY,
              Ports.HBONE,
              false,
              new Acceptor(
                  relays.home()::nextTunnel,
                  (c, loop) ->
                      inTurn(
                          relays,
                          c,
                          loop,
                          () -> relays.tunnels().serve(c, loop, r -> requested(relays, loop, r))),
                  where(pod, Ports.HBONE),
                  log)));
    } catch (RuntimeException e) {
      listeners.forEach(PodPort::close);
      throw e;
    }
    relays.listeners(List.copyOf(listeners));
  }

  private static String where(Pod pod, int port) {
    return pod.label() + ":" + port;
  }

  private void inTurn(PodRelays pod, PodSocket accepted, EventLoop loop, Runnable begin) {
    if (!pod.account().on(loop).inTurn(begin)) {
      pod.account().overrun();
      refusals.count(pod.pod(), Refusal.OVERLOAD);
      accepted.reset();
    }
  }

  private void requested(PodRelays pod, EventLoop loop, TunnelRequest request) {
    Refusal tooMany = pod.account().stream();
    if (tooMany == null && pod.account().on(loop).inTurn(() -> tunnelled(pod, loop, request))) {
      return;
    }
    Refusal reason = tooMany == null ? Refusal.OVERLOAD : tooMany;
    refusals.count(pod.pod(), reason);
    request.refuse(503);
  }

  private PodPort listen(
      PodRelays relays, InetAddress address, int port, boolean transparent, Acceptor acceptor) {
    return sockets.port(
        relays.pod().netns(),
        relays.home().first(),
        new InetSocketAddress(address, port),
        transparent,
        acceptor);
  }

  @Override
  public void changed(Pod before, Pod now) {
    PodRelays relays = pods.get(now.number());
    if (relays != null) {
      relays.changed(now);
    }
  }

  @Override
  public synchronized void withdrawn(Pod pod) {
    PodRelays relays = pods.remove(pod.number());
    if (relays == null) {
      return;
    }
    leaving.put(pod.number(), relays);
    relays
        .home()
        .first()
        .schedule(
            () -> {
              var _ = relays.stopListening();
              relays.supply().close();
            },
            CLOSE_LISTENERS_MILLIS,
            TimeUnit.MILLISECONDS);
    endDeleted(mesh.current());
  }

  /** Resets what is left of pods that no longer exist. Called when the view changes; any thread. */
  public void endDeleted(MeshView view) {
    leaving.values().removeIf(relays -> isDone(relays, view));
  }

  private boolean isDone(PodRelays relays, MeshView view) {
    Pod pod = relays.pod();
    if (view.synced() && view.pod(pod.namespace(), pod.name()).isEmpty()) {
      relays.abortAll();
      return true;
    }
    if (relays.liveCount() == 0) {
      fairness.close(relays.account());
      return true;
    }
    return false;
  }

  /**
   * Holds every open connection against the policies of a new view and ends those that have lost
   * their right; the others do not notice. The config thread: only the end is handed to loops.
   */
  public void judge(MeshView view) {
    pods.values().forEach(relays -> relays.forEachLive(relay -> judge(relays, relay, view)));
    leaving.values().forEach(relays -> relays.forEachLive(relay -> judge(relays, relay, view)));
  }

  /** {@code relays}: one of the two pods that the connection is listed with. */
  void judge(PodRelays relays, Relay relay, MeshView view) {
    Call call = relay.call();
    Workload before = call == null ? null : call.workload();
    // Listed with both its pods: the one that is called answers for it.
    if (call == null || before == null || !isOf(before, relays.pod())) {
      return;
    }
    Workload now = view.workload(before.uid());
    // What the control plane knows no more is about to go, and what it said last holds.
    Call again = now == null ? call : call.to(now);
    relay.call(again);
    Verdict verdict = view.policies().decide(again);
    if (!verdict.allowed()) {
      relay.call(null);
      authz.ended(verdict);
      refusals.count(relays.pod(), refusalOf(verdict));
      relay.denyLater(verdict.detail());
    }
  }

  private static boolean isOf(Workload workload, Pod pod) {
    return workload.namespace().equals(pod.namespace()) && workload.name().equals(pod.name());
  }

  /** May the call be let in? */
  Verdict decide(MeshView view, Call call) {
    return authz.decide(view.policies(), call);
  }

  /** As what a denial is counted. */
  public static Refusal refusalOf(Verdict verdict) {
    return switch (verdict.reason()) {
      case ALLOWED, DENIED, NOT_ALLOWED -> Refusal.DENIED;
      case MTLS_REQUIRED -> Refusal.MTLS_REQUIRED;
      case POLICY_UNKNOWN -> Refusal.POLICY_UNKNOWN;
    };
  }

  /**
   * Stops accepting everywhere; what is open goes on. When this returns, {@link #liveCount} knows
   * of every connection that had been accepted. Waits: not for event loops.
   */
  public void drain() {
    List<Future<?>> closing = new ArrayList<>();
    pods.values().forEach(relays -> closing.addAll(relays.stopListening()));
    for (Future<?> each : closing) {
      each.awaitUninterruptibly(STOP_LISTENING_MILLIS);
    }
    // Behind what listeners have handed to other loops.
    List<Future<?>> passed = new ArrayList<>();
    lanes.group().forEach(loop -> passed.add(loop.submit(() -> {})));
    passed.forEach(each -> each.awaitUninterruptibly(STOP_LISTENING_MILLIS));
  }

  /** Connections that are open now, or being made. */
  public int liveCount() {
    int count = 0;
    for (PodRelays relays : pods.values()) {
      count += relays.acceptedCount();
    }
    for (PodRelays relays : leaving.values()) {
      count += relays.acceptedCount();
    }
    return count;
  }

  /** Resets everything: the end of the process. */
  public void abortAll() {
    pods.values().forEach(PodRelays::abortAll);
    leaving.values().forEach(PodRelays::abortAll);
  }

  /** The agent's listeners in a pod, for status. */
  public List<InetSocketAddress> listeners(Pod pod) {
    PodRelays relays = pods.get(pod.number());
    if (relays == null) {
      return List.of();
    }
    return relays.listeners().stream().filter(PodPort::isOpen).map(PodPort::localAddress).toList();
  }

  private void outbound(PodRelays pod, PodSocket accepted, EventLoop loop) {
    InetSocketAddress remote = accepted.remoteAddress();
    if (remote == null) {
      // Reset while it waited to be accepted.
      accepted.reset();
      return;
    }
    Original original = originals.take(pod.pod(), remote);
    if (original == null) {
      refused(
          pod,
          new AcceptedSocket(accepted, remote, tuning),
          Refusal.ORIGINAL_LOST,
          remote,
          remote,
          "the kernel's note of what was asked is gone");
      return;
    }
    MeshView view = mesh.current();
    Arrival arrival = new AcceptedSocket(accepted, remote, tuning);
    Route route = router.outbound(pod.pod(), view, original);
    new Dial(this, pod, loop, arrival, route, view, false).start();
  }

  private void inbound(PodRelays pod, PodSocket accepted, EventLoop loop) {
    InetSocketAddress remote = accepted.remoteAddress();
    InetSocketAddress local = accepted.localAddress();
    if (remote == null || local == null) {
      accepted.reset();
      return;
    }
    Arrival arrival = new AcceptedSocket(accepted, remote, tuning);
    Route route = router.inbound(pod.pod(), local);
    new Dial(this, pod, loop, arrival, route, mesh.current(), true).start();
  }

  private void tunnelled(PodRelays pod, EventLoop loop, TunnelRequest request) {
    if (!request.isOpen()) {
      // Taken back while it waited for the pod's turn.
      return;
    }
    MeshView view = mesh.current();
    InetSocketAddress to = target(view, pod.pod(), request);
    if (to == null) {
      refusals.count(pod.pod(), Refusal.BAD_TUNNEL_REQUEST);
      log.debug(
          "tunnel request is for somebody else",
          "pod",
          pod.pod().label(),
          "client",
          request.client(),
          "asked",
          request.target(),
          "at",
          request.local());
      request.refuse(400);
      return;
    }
    Route route = router.tunnelled(pod.pod(), request.local().getAddress(), to);
    new Dial(this, pod, loop, new ArrivedStream(request), route, view, true).start();
  }

  /**
   * What a request asks for: the pod's own address that the tunnel came to, and nothing else,
   * unless a program in the pod is told of it and judges for itself. A name is one of a Service
   * that the pod answers for.
   */
  private static @Nullable InetSocketAddress target(MeshView view, Pod pod, TunnelRequest request) {
    Authority asked = request.target();
    InetAddress local = request.local().getAddress();
    InetAddress ip = asked.ip();
    if (ip != null) {
      return ip.equals(local) || pod.settings().applicationTunnel() != null
          ? new InetSocketAddress(ip, asked.port())
          : null;
    }
    Service service = view.service(asked.host());
    Workload workload = view.pod(pod.namespace(), pod.name()).orElse(null);
    int port =
        service == null || workload == null ? 0 : workload.targetPort(service.key(), asked.port());
    return port == 0 ? null : new InetSocketAddress(local, port);
  }

  @Nullable PodRelays of(Pod pod) {
    return pods.get(pod.number());
  }

  MeshView view() {
    return mesh.current();
  }

  /** Whether a pod has this address, in the mesh or not, and what is sent to it meets no wire. */
  boolean isOnThisNode(InetAddress address) {
    Workload workload = view().workload(address);
    return workload != null && workload.node().equals(node);
  }

  Tuning tuning() {
    return tuning;
  }

  Connections connections() {
    return connections;
  }

  /** The agent has carried this one: the kernel may carry the next by itself. */
  void allowed(Pod source, Pod destination, int port) {
    if (source.settings().fastPath().with(destination.settings().fastPath()) != FastPath.OFF) {
      verdicts.allow(source, destination, port);
    }
  }

  void refused(
      PodRelays pod,
      Arrival arrival,
      Refusal reason,
      InetSocketAddress asked,
      InetSocketAddress tried,
      String detail) {
    refusals.count(pod.pod(), reason);
    log.debug(
        "connection refused",
        "pod",
        pod.pod().label(),
        "reason",
        reason.label(),
        "client",
        arrival.client(),
        "asked",
        asked,
        "tried",
        tried,
        "detail",
        detail);
    arrival.refuse(reason);
  }
}
