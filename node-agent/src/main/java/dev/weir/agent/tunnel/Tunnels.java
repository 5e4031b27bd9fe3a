package dev.weir.agent.tunnel;

import dev.weir.agent.capture.Pod;
import dev.weir.agent.config.Mesh;
import dev.weir.agent.fairness.PodAccount;
import dev.weir.agent.fairness.Share;
import dev.weir.agent.identity.Identities;
import dev.weir.agent.identity.PeerRefused;
import dev.weir.agent.log.Log;
import dev.weir.agent.metrics.Exposition;
import dev.weir.agent.metrics.MetricSource;
import dev.weir.agent.telemetry.Refusal;
import dev.weir.agent.telemetry.Refusals;
import dev.weir.agent.transport.PodSocket;
import dev.weir.agent.transport.PodSockets;
import dev.weir.agent.transport.PodSupply;
import dev.weir.api.model.Workload;
import io.netty.buffer.ByteBufAllocator;
import io.netty.channel.EventLoop;
import java.util.Collections;
import java.util.EnumMap;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.LongAdder;
import org.jspecify.annotations.Nullable;

/**
 * The door: what every pod's tunnels share. A tunnel is a TLS connection between two pods' agents,
 * with one certificate of each pod, in which streams carry connections; {@link PodTunnels} has
 * those of one pod.
 */
public final class Tunnels implements MetricSource {
  /** Who of the two this agent is; the inner one of two tunnels is called like any. */
  enum Side {
    CLIENT,
    SERVER,
    INNER
  }

  /** Where it went wrong, or that it went well. */
  enum Handshake {
    DONE,
    NO_IDENTITY,
    UNREACHABLE,
    TLS_FAILED,
    WRONG_PEER,
    REVOKED,
    OVERLOAD;

    /** Of a handshake after which the peer's certificate was not taken. */
    static Handshake of(PeerRefused refused) {
      return refused.why() == PeerRefused.Cause.REVOKED ? REVOKED : WRONG_PEER;
    }
  }

  private final Identities identities;
  private final Mesh mesh;
  private final ByteBufAllocator allocator;
  private final int nearMicros;
  private final Refusals refusals;
  private final Log log;
  private final Map<Side, Map<Handshake, LongAdder>> handshakes = new EnumMap<>(Side.class);
  private final Map<Abuse, LongAdder> abuses = adders(Abuse.class);
  private final Map<ErrorCode, LongAdder> ended = adders(ErrorCode.class);
  private final LongAdder revoked = new LongAdder();
  private final LongAdder badRequests = new LongAdder();
  private final Set<OpenTunnel> open = ConcurrentHashMap.newKeySet();

  /**
   * @param nearMicros a peer within this time there and back is not paced for
   */
  public Tunnels(
      Identities identities,
      Mesh mesh,
      ByteBufAllocator allocator,
      int nearMicros,
      Refusals refusals,
      Log log) {
    this.nearMicros = nearMicros;
    this.identities = identities;
    this.refusals = refusals;
    this.mesh = mesh;
    this.allocator = allocator;
    this.log = log;
    for (Side side : Side.values()) {
      handshakes.put(side, adders(Handshake.class));
    }
    identities.onRevocation(this::endRevoked);
  }

  private static <K extends Enum<K>> Map<K, LongAdder> adders(Class<K> kind) {
    Map<K, LongAdder> all = new EnumMap<>(kind);
    for (K each : kind.getEnumConstants()) {
      all.put(each, new LongAdder());
    }
    return Collections.unmodifiableMap(all);
  }

  // Every constant has its counter.
  private static <K extends Enum<K>> LongAdder of(Map<K, LongAdder> counters, K which) {
    return Objects.requireNonNull(counters.get(which));
  }

  /** Begins a pod's tunnels, which it has until they are aborted. */
  public PodTunnels of(PodAccount account, PodSupply supply) {
    return new PodTunnels(this, account, supply);
  }

  Identities identities() {
    return identities;
  }

  Log log() {
    return log;
  }

  void count(Side side, Handshake result) {
    of(of(side), result).increment();
  }

  private Map<Handshake, LongAdder> of(Side side) {
    return Objects.requireNonNull(handshakes.get(side));
  }

  void opened(OpenTunnel tunnel) {
    open.add(tunnel);
  }

  void closed(OpenTunnel tunnel, ErrorCode code) {
    open.remove(tunnel);
    of(ended, code).increment();
  }

  /** Tunnels that stand now. */
  public int count() {
    return open.size();
  }

  /** Of all pods, as they are now. */
  Iterable<OpenTunnel> open() {
    return open;
  }

  /** A connection to a pod's tunnel port that came to nothing. */
  void refused(Pod pod, Handshake result, @Nullable Refusal shed, String from, String why) {
    Refusal reason =
        switch (result) {
          case NO_IDENTITY -> Refusal.NO_IDENTITY;
          case OVERLOAD -> Refusal.OVERLOAD;
          case REVOKED -> Refusal.REVOKED;
          default -> Refusal.WRONG_PEER;
        };
    refusals.count(pod, shed == null ? reason : shed);
    log.debug("tunnel refused", "pod", pod.label(), "from", from, "reason", why);
  }

  void badRequest(OpenTunnel tunnel, String cause) {
    badRequests.increment();
    refusals.count(tunnel.pod().pod(), Refusal.BAD_TUNNEL_REQUEST);
    log.debug(
        "tunnel request refused",
        "pod",
        tunnel.pod().pod().label(),
        "from",
        String.valueOf(tunnel.line().remoteAddress()),
        "reason",
        cause);
  }

  void abused(OpenTunnel tunnel, Abuse abuse) {
    of(abuses, abuse).increment();
    log.warn(
        "tunnel ended: its peer abuses HTTP/2",
        "pod",
        tunnel.pod().pod().label(),
        "peer",
        String.valueOf(tunnel.line().remoteAddress()),
        "how",
        abuse.text());
  }

  /** A pod as the control plane tells of it; null where it does not. */
  @Nullable Workload workload(Pod pod) {
    return mesh.current().pod(pod.namespace(), pod.name()).orElse(null);
  }

  /** A connected socket that is to carry a tunnel, on its loop. */
  SocketCarrier carrier(EventLoop loop, PodSocket socket, Share share) {
    if (nearMicros > 0 && socket.roundTripMicros().orElse(nearMicros) < nearMicros) {
      try {
        socket.unpace();
      } catch (PodSockets.SocketException e) {
        log.warn("a tunnel stays paced", "reason", String.valueOf(e.getMessage()));
      }
    }
    return new SocketCarrier(loop, socket, allocator, share);
  }

  /** What the buffers of tunnels are made by. */
  ByteBufAllocator allocator() {
    return allocator;
  }

  private void endRevoked() {
    for (OpenTunnel tunnel : open) {
      if (identities.revoked(tunnel.certificate())) {
        revoked.increment();
        refusals.count(tunnel.pod().pod(), Refusal.REVOKED);
        log.warn(
            "tunnel ended: its peer's certificate is revoked",
            "pod",
            tunnel.pod().pod().label(),
            "peer",
            String.valueOf(tunnel.line().remoteAddress()),
            "serial",
            tunnel.certificate().getSerialNumber().toString(16));
        tunnel.abort("the peer's certificate is revoked");
      } else if (identities.revoked(tunnel.own().certificate())) {
        // The peer may have no such list, or not yet: it must not go on trusting this one.
        revoked.increment();
        log.warn(
            "tunnel ended: its own certificate is revoked",
            "pod",
            tunnel.pod().pod().label(),
            "peer",
            String.valueOf(tunnel.line().remoteAddress()),
            "serial",
            tunnel.own().serial());
        tunnel.abort("the pod's own certificate is revoked");
      }
    }
  }

  @Override
  public void write(Exposition out) {
    Map<Side, Integer> standing = new EnumMap<>(Side.class);
    for (OpenTunnel tunnel : open) {
      standing.merge(tunnel.side(), 1, Integer::sum);
    }
    out.family(
        "weir_tunnels",
        Exposition.Kind.GAUGE,
        "Open tunnels, by which side opened them; inner ones are inside one to a gateway.");
    for (Side side : Side.values()) {
      out.sample(
          "weir_tunnels", "side=\"%s\"".formatted(label(side)), standing.getOrDefault(side, 0));
    }
    out.family(
        "weir_tunnel_handshakes_total",
        Exposition.Kind.COUNTER,
        "Handshakes of tunnels, by side and result.");
    for (Handshake result : Handshake.values()) {
      for (Side side : Side.values()) {
        out.sample(
            "weir_tunnel_handshakes_total",
            "side=\"%s\",result=\"%s\"".formatted(label(side), label(result)),
            of(of(side), result).sum());
      }
    }
    out.family(
        "weir_tunnels_ended_total",
        Exposition.Kind.COUNTER,
        "Tunnels that ended, by this side's error code of RFC 9113; no-error is a drain.");
    for (ErrorCode code : ErrorCode.values()) {
      out.sample(
          "weir_tunnels_ended_total", "code=\"%s\"".formatted(label(code)), of(ended, code).sum());
    }
    out.family(
        "weir_tunnel_abuse_total",
        Exposition.Kind.COUNTER,
        "Tunnels that were ended because their peer abused HTTP/2, by how.");
    for (Abuse abuse : Abuse.values()) {
      out.sample(
          "weir_tunnel_abuse_total",
          "kind=\"%s\"".formatted(label(abuse)),
          of(abuses, abuse).sum());
    }
    out.family(
        "weir_tunnel_bad_requests_total",
        Exposition.Kind.COUNTER,
        "Requests in tunnels that were not well-formed, or not for the pod that they came to.");
    out.sample("weir_tunnel_bad_requests_total", "", badRequests.sum());
    out.family(
        "weir_tunnels_revoked_total",
        Exposition.Kind.COUNTER,
        "Tunnels that were ended because one side's certificate was revoked.");
    out.sample("weir_tunnels_revoked_total", "", revoked.sum());
  }

  private static String label(Enum<?> value) {
    return value.name().toLowerCase(Locale.ROOT).replace('_', '-');
  }
}
