package dev.weir.agent.telemetry;

import dev.weir.agent.capture.FlowBytes;
import dev.weir.agent.capture.FlowSink;
import dev.weir.agent.capture.KernelFlow;
import dev.weir.agent.capture.KernelPath;
import dev.weir.agent.capture.Pod;
import dev.weir.agent.config.Mesh;
import dev.weir.agent.config.MeshView;
import dev.weir.agent.metrics.Exposition;
import dev.weir.agent.metrics.MetricSource;
import dev.weir.api.model.Service;
import dev.weir.api.model.Workload;
import io.netty.util.NetUtil;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.LongSupplier;
import org.jspecify.annotations.Nullable;

/**
 * The node's counters. One a process; made by Main, given to the rooms as the doors that they need.
 */
public final class Telemetry implements Connections, Refusals, FlowSink {
  /** Label sets of {@code istio_tcp_*}; about 1 KiB each, and 4 KiB in a scrape. */
  static final int MAX_SERIES = 2048;

  /** Edges of the last hour; about 2.5 KiB each. */
  static final int MAX_EDGES = 4096;

  /** Pods of a node times reasons, generously. */
  static final int MAX_REFUSALS = 8192;

  /** A label set found by the objects it is made of: no string is built to find it. */
  private static final class Origin {
    private final Reporter reporter;
    private final @Nullable Workload source;
    private final @Nullable Workload destination;
    private final @Nullable Service service;
    private final boolean mutualTls;

    Origin(
        Reporter reporter,
        @Nullable Workload source,
        @Nullable Workload destination,
        @Nullable Service service,
        boolean mutualTls) {
      this.reporter = reporter;
      this.source = source;
      this.destination = destination;
      this.service = service;
      this.mutualTls = mutualTls;
    }

    @Override
    @SuppressWarnings(
        "ReferenceEquality") // Identity is the point: comparing workloads by value would cost more
    // than it saves.
    public boolean equals(@Nullable Object other) {
      return other instanceof Origin that
          && reporter == that.reporter
          && source == that.source
          && destination == that.destination
          && service == that.service
          && mutualTls == that.mutualTls;
    }

    @Override
    public int hashCode() {
      int hash = System.identityHashCode(source) * 31 + System.identityHashCode(destination);
      hash = hash * 31 + System.identityHashCode(service);
      return (hash * 31 + reporter.hashCode()) * 31 + Boolean.hashCode(mutualTls);
    }
  }

  private record RefusalKey(String pod, String reason) {}

  /** A kernel flow that has been reported as open; touched by the flow thread only. */
  private static final class LiveFlow {
    private final ConnectionMeter meter;
    private FlowBytes counted = FlowBytes.NONE;

    LiveFlow(ConnectionMeter meter) {
      this.meter = meter;
    }

    void progressed(FlowBytes total) {
      meter.sent(Math.max(0, total.sent() - counted.sent()));
      meter.received(Math.max(0, total.received() - counted.received()));
      if (total.rttMicros() > 0) {
        meter.rtt(total.rttMicros());
      }
      counted = total;
    }
  }

  private final Mesh mesh;
  private final AccessLog accessLog;
  private final LongSupplier nanoClock;
  private final ConcurrentHashMap<String, TcpSeries> series = new ConcurrentHashMap<>();
  private final ConcurrentHashMap<Origin, TcpSeries> seriesByOrigin = new ConcurrentHashMap<>();
  private final ConcurrentHashMap<Edge.Key, Edge> edges = new ConcurrentHashMap<>();
  private final ConcurrentHashMap<RefusalKey, AtomicLong> refusals = new ConcurrentHashMap<>();
  private final IdentityHashMap<KernelFlow, LiveFlow> liveFlows = new IdentityHashMap<>();
  private final List<MetricSource> sources = new CopyOnWriteArrayList<>();
  private final AtomicLong seriesOverflow = new AtomicLong();
  private final AtomicLong edgesOverflow = new AtomicLong();
  private final AtomicLong refusalsOverflow = new AtomicLong();
  private final TcpSeries overflowSource = new TcpSeries(TcpLabels.overflow(Reporter.SOURCE));
  private final TcpSeries overflowDestination =
      new TcpSeries(TcpLabels.overflow(Reporter.DESTINATION));
  private final Edge overflowEdge =
      new Edge(new Edge.Key("", "overflow", "", "", "", "overflow", "", "", Path.AGENT));

  public Telemetry(Mesh mesh, AccessLog accessLog) {
    this(mesh, accessLog, System::nanoTime);
  }

  Telemetry(Mesh mesh, AccessLog accessLog, LongSupplier nanoClock) {
    this.mesh = mesh;
    this.accessLog = accessLog;
    this.nanoClock = nanoClock;
    // A new view brings new workload records: what is found by the old ones would only be held
    // alive.
    mesh.onChange(view -> seriesByOrigin.clear());
  }

  /** Its numbers are part of each scrape from now on. */
  public void add(MetricSource source) {
    sources.add(source);
  }

  public AccessLog accessLog() {
    return accessLog;
  }

  @Override
  public ConnectionMeter opened(ConnectionFacts facts) {
    return meter(facts, nanoClock.getAsLong());
  }

  @Override
  public void failed(ConnectionFacts facts, Outcome outcome, String error) {
    // As Istio does: opened and closed at once, so that opened less closed stays what is open.
    for (TcpSeries each : seriesOf(facts)) {
      each.opened();
      each.closed(outcome);
    }
    edge(facts).failed();
    accessLog.ended(facts, 0, 0, 0, outcome, error);
  }

  @Override
  public void wouldDeny(ConnectionFacts facts, List<String> policies) {
    accessLog.wouldDeny(facts, policies);
  }

  @Override
  public void count(Pod pod, Refusal reason) {
    RefusalKey key = new RefusalKey(pod.label(), reason.label());
    AtomicLong counter = refusals.get(key);
    if (counter == null) {
      if (refusals.size() >= MAX_REFUSALS) {
        refusalsOverflow.incrementAndGet();
        return;
      }
      counter = refusals.computeIfAbsent(key, _ -> new AtomicLong());
    }
    counter.incrementAndGet();
  }

  @Override
  public void opened(KernelFlow flow) {
    liveFlows.computeIfAbsent(flow, each -> new LiveFlow(meter(facts(each), each.openedNanos())));
  }

  @Override
  public void progressed(KernelFlow flow, FlowBytes total) {
    LiveFlow live = liveFlows.get(flow);
    if (live != null) {
      live.progressed(total);
    }
  }

  @Override
  public void closed(KernelFlow flow, FlowBytes total) {
    LiveFlow live = liveFlows.remove(flow);
    if (live != null) {
      live.progressed(total);
      live.meter.closed(Outcome.ENDED, null);
    }
  }

  @Override
  public void failed(KernelFlow flow) {
    failed(facts(flow), Outcome.CONNECT_FAILED, "connection not established");
  }

  /** Once a minute, on any one thread. */
  public void minutePassed() {
    for (Edge edge : edges.values()) {
      edge.minutePassed();
      // An edge that was idle for the whole hour makes room. A connection that opens on it
      // meanwhile would be lost from sight: it is
      // the first in an hour, and the next one is seen.
      if (edge.window().isIdle()) {
        edges.remove(edge.key(), edge);
      }
    }
  }

  /** The last hour, busiest caller first by name. */
  public List<EdgeReport> edges() {
    List<EdgeReport> reports = new ArrayList<>(edges.size());
    for (Edge edge : edges.values()) {
      Edge.Window window = edge.window();
      if (!window.isIdle()) {
        Edge.Key key = edge.key();
        reports.add(
            new EdgeReport(
                key.sourceNamespace(),
                key.sourceWorkload(),
                key.sourcePod(),
                key.namespace(),
                key.service(),
                key.workload(),
                key.pod(),
                key.address(),
                key.path(),
                window.opened(),
                window.open(),
                window.failed(),
                window.sent(),
                window.received(),
                window.rttMicros()));
      }
    }
    reports.sort(
        Comparator.comparing(EdgeReport::sourceNamespace)
            .thenComparing(EdgeReport::sourcePod)
            .thenComparing(EdgeReport::namespace)
            .thenComparing(EdgeReport::service)
            .thenComparing(EdgeReport::address)
            .thenComparing(EdgeReport::path));
    return reports;
  }

  /** The agent's own refusals. */
  public List<RefusalReport> refusals() {
    List<RefusalReport> reports = new ArrayList<>(refusals.size());
    refusals.forEach(
        (key, count) -> reports.add(new RefusalReport(key.pod(), key.reason(), count.get())));
    reports.sort(Comparator.comparing(RefusalReport::pod).thenComparing(RefusalReport::reason));
    return reports;
  }

  /** A scrape. */
  public String metrics() {
    Exposition out = new Exposition();
    List<TcpSeries> all = new ArrayList<>(series.values());
    for (TcpSeries each : List.of(overflowSource, overflowDestination)) {
      if (each.openedTotal() > 0) {
        all.add(each);
      }
    }
    tcp(out, all);
    out.family(
        "weir_telemetry_overflow_total",
        Exposition.Kind.COUNTER,
        "Events that found their table full and were counted under overflow, by table.");
    out.sample("weir_telemetry_overflow_total", "table=\"tcp\"", seriesOverflow.get());
    out.sample("weir_telemetry_overflow_total", "table=\"edges\"", edgesOverflow.get());
    out.sample("weir_telemetry_overflow_total", "table=\"refusals\"", refusalsOverflow.get());
    out.sample("weir_telemetry_overflow_total", "table=\"access-log\"", accessLog.dropped());
    for (MetricSource source : sources) {
      source.write(out);
    }
    return out.toString();
  }

  private static void tcp(Exposition out, List<TcpSeries> all) {
    out.family(
        "istio_tcp_connections_opened_total", Exposition.Kind.COUNTER, "TCP connections opened.");
    for (TcpSeries each : all) {
      out.sample(
          "istio_tcp_connections_opened_total",
          each.labels() + ",response_flags=\"-\"",
          each.openedTotal());
    }
    out.family(
        "istio_tcp_connections_closed_total", Exposition.Kind.COUNTER, "TCP connections closed.");
    for (TcpSeries each : all) {
      for (Outcome outcome : Outcome.values()) {
        long count = each.closedTotal(outcome);
        if (count > 0 || outcome == Outcome.ENDED) {
          out.sample(
              "istio_tcp_connections_closed_total",
              each.labels() + ",response_flags=\"" + outcome.flags() + "\"",
              count);
        }
      }
    }
    // Istio counts from the server's point of view on both sides (istio/istio#32399): sent is what
    // the client received.
    out.family(
        "istio_tcp_sent_bytes_total",
        Exposition.Kind.COUNTER,
        "Bytes of responses, server to client.");
    for (TcpSeries each : all) {
      out.sample(
          "istio_tcp_sent_bytes_total",
          each.labels() + ",response_flags=\"-\"",
          each.fromServerTotal());
    }
    out.family(
        "istio_tcp_received_bytes_total",
        Exposition.Kind.COUNTER,
        "Bytes of requests, client to server.");
    for (TcpSeries each : all) {
      out.sample(
          "istio_tcp_received_bytes_total",
          each.labels() + ",response_flags=\"-\"",
          each.fromClientTotal());
    }
  }

  void ended(
      ConnectionFacts facts,
      long openedNanos,
      long sent,
      long received,
      Outcome outcome,
      @Nullable String error) {
    accessLog.ended(facts, nanoClock.getAsLong() - openedNanos, sent, received, outcome, error);
  }

  private ConnectionMeter meter(ConnectionFacts facts, long openedNanos) {
    List<TcpSeries> found = seriesOf(facts);
    return new ConnectionMeter(
        this,
        facts,
        found.getFirst(),
        found.size() > 1 ? found.get(1) : null,
        edge(facts),
        openedNanos);
  }

  private List<TcpSeries> seriesOf(ConnectionFacts facts) {
    return switch (facts.reporter()) {
      case SOURCE -> List.of(series(Reporter.SOURCE, facts));
      case DESTINATION -> List.of(series(Reporter.DESTINATION, facts));
      case BOTH -> List.of(series(Reporter.SOURCE, facts), series(Reporter.DESTINATION, facts));
    };
  }

  private TcpSeries series(Reporter reporter, ConnectionFacts facts) {
    Workload source = facts.source().workload();
    Workload destination = facts.destination().workload();
    Service service = facts.service();
    boolean mutualTls = facts.path() == Path.TUNNEL;
    Origin origin = new Origin(reporter, source, destination, service, mutualTls);
    TcpSeries known = seriesByOrigin.get(origin);
    if (known != null) {
      return known;
    }
    String labels = TcpLabels.of(reporter, source, destination, service, mutualTls);
    TcpSeries found = series.get(labels);
    if (found == null) {
      if (series.size() >= MAX_SERIES) {
        seriesOverflow.incrementAndGet();
        return reporter == Reporter.SOURCE ? overflowSource : overflowDestination;
      }
      found = series.computeIfAbsent(labels, TcpSeries::new);
    }
    if (seriesByOrigin.size() < 2 * MAX_SERIES) {
      seriesByOrigin.put(origin, found);
    }
    return found;
  }

  private Edge edge(ConnectionFacts facts) {
    Party source = facts.source();
    Party destination = facts.destination();
    Service service = facts.service();
    Edge.Key key =
        new Edge.Key(
            source.namespace(),
            workloadName(source),
            source.pod(),
            service != null ? service.namespace() : destination.namespace(),
            service != null ? service.name() : "",
            workloadName(destination),
            destination.pod(),
            text(destination.address()),
            facts.path());
    Edge edge = edges.get(key);
    if (edge != null) {
      return edge;
    }
    if (edges.size() >= MAX_EDGES) {
      edgesOverflow.incrementAndGet();
      return overflowEdge;
    }
    return edges.computeIfAbsent(key, Edge::new);
  }

  private ConnectionFacts facts(KernelFlow flow) {
    MeshView view = mesh.current();
    Pod source = flow.source();
    Pod destination = flow.destination();
    InetAddress asked = flow.asked().getAddress();
    return new ConnectionFacts(
        destination == null
            ? Reporter.SOURCE
            : source == null ? Reporter.DESTINATION : Reporter.BOTH,
        source == null ? Party.at(flow.client(), view) : Party.of(source, view, flow.client()),
        destination == null
            ? Party.at(flow.server(), view)
            : Party.of(destination, view, flow.server()),
        flow.asked(),
        asked == null ? null : view.service(asked),
        path(flow.path()));
  }

  private static Path path(KernelPath path) {
    return switch (path) {
      case DIRECT -> Path.DIRECT;
      case JOINED -> Path.JOINED;
      case EXCLUDED, OPEN -> Path.PLAIN;
    };
  }

  private static String workloadName(Party party) {
    Workload workload = party.workload();
    return workload == null ? "" : workload.ownerName();
  }

  /** {@code 10.0.0.1:80} or {@code [fd00::1]:80}. */
  static String text(InetSocketAddress address) {
    return NetUtil.toSocketAddressString(address);
  }
}
