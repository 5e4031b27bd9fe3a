package dev.weir.bench;

import dev.weir.api.json.Json;
import dev.weir.bench.Samples.Metric;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Consumer;

/**
 * Pairs of pods on two nodes: with no mesh, through Weir's tunnel, the same with the in-pod hops
 * joined, and through a pair of Envoys, in turn, round by round. Every measurement says afterwards
 * which way its connections went; one that went another way than its variant names is an error, not
 * a figure.
 */
final class CrossNode {
  private static final String HBONE_PORT = "15008";
  private static final int PARALLEL_STREAMS = 16;
  private static final int PARALLEL_CONNECTORS = 16;
  private static final double FIRST_LIFE_SECONDS = 3;
  private static final double FLAT_SECONDS = 60;
  private static final int FLAT_ROUNDS = 3;
  private static final double BUSY_SECONDS = 12;
  private static final int FLAT_EDGE_SECONDS = 10;
  // Long enough for collectors and allocators to give back what a burst took.
  private static final long SETTLED_NANOS = TimeUnit.SECONDS.toNanos(6);

  private static final Metric RTT = new Metric("rtt-p50-free", "us");
  private static final Metric RTT_P99 = new Metric("rtt-p99-free", "us");
  private static final Metric RTT_CORE = new Metric("rtt-p50-one-core", "us");
  private static final Metric RTT_CORE_P99 = new Metric("rtt-p99-one-core", "us");
  private static final Metric STREAM = new Metric("throughput-1", "GB/s");
  private static final Metric STREAMS = new Metric("throughput-16", "GB/s");
  private static final Metric STREAM_CPU = new Metric("cpu-per-gb-1", "ms");
  private static final Metric STREAMS_CPU = new Metric("cpu-per-gb-16", "ms");
  private static final Metric CONNECTIONS = new Metric("connections", "1/s");
  private static final Metric CONNECTION_CPU = new Metric("cpu-per-connection", "us");
  private static final Metric COLD = new Metric("cold-handshakes-per-core", "1/s");
  private static final Metric COLD_FAILED = new Metric("cold-handshakes-failed", "connections");
  private static final Metric FLAT = new Metric("connections-over-60-s", "1/s");
  private static final Metric FLAT_RATIO = new Metric("connections-last-to-first-10-s", "x");
  private static final Metric FIRST_LIFE = new Metric("connections-first-3-s", "1/s");
  private static final Metric FIRST_IN_CHARGE =
      new Metric("connections-first-3-s-after-upgrade", "1/s");
  private static final Metric BUSY_CLIENT = new Metric("rss-one-tunnel-busy-client-side", "MiB");
  private static final Metric BUSY_SERVER = new Metric("rss-one-tunnel-busy-server-side", "MiB");
  private static final Metric HELD_CLIENT = new Metric("held-connection-client-side", "KiB");
  private static final Metric HELD_SERVER = new Metric("held-connection-server-side", "KiB");

  private final Weir weir;
  private final String load;
  private final boolean quick;
  private final int rounds;
  private final Consumer<String> progress;
  private final List<Way> ways;
  private final List<Way> compared;
  private final Samples samples;
  private final LabWay tunnel;
  private final List<String> gaps = new ArrayList<>();

  /**
   * @param envoys what to compare with, at most one pair; empty where it is left out
   */
  CrossNode(
      Weir weir,
      Path load,
      boolean quick,
      int rounds,
      List<? extends Way> envoys,
      Samples samples,
      Consumer<String> progress)
      throws IOException {
    this.weir = weir;
    this.load = load.toString();
    this.quick = quick;
    this.rounds = rounds;
    this.samples = samples;
    this.progress = progress;
    Status status = Status.read(weir);
    Way none = new LabWay(weir, "no mesh", "plain-client", status.ip("plain-server"), "none");
    this.tunnel =
        new LabWay(weir, "Weir mTLS", "weir-client", status.ip("weir-server"), Paths.BETWEEN_NODES);
    Way joined =
        new LabWay(
            weir,
            "Weir mTLS, joined",
            "joined-client",
            status.ip("joined-server"),
            Paths.BETWEEN_NODES);
    this.ways = new ArrayList<>(List.of(none, tunnel, joined));
    ways.addAll(envoys);
    this.compared = new ArrayList<>(List.of(tunnel));
    compared.addAll(envoys);
  }

  static String yaml(Path load) throws IOException {
    return Resources.text("cross-node.yaml").replace("LOAD", load.toString());
  }

  void measure() throws IOException {
    Status.awaitEnrolled(
        weir, Set.of("weir-client", "weir-server", "joined-client", "joined-server"));
    for (Way way : ways) {
      progress.accept("warming up: " + way.title());
      connect(way, seconds(1));
      client(way, "stream", way.portFree(), seconds(1));
    }
    for (int round = 1; round <= rounds; round++) {
      for (Way way : Rounds.order(round, ways)) {
        progress.accept("round %d of %d: %s".formatted(round, rounds, way.title()));
        Way.Passage passage = way.passage();
        roundTrips(way);
        throughput(way);
        connections(way);
        passage.assertOnly();
      }
    }
    int fewer = quick ? 2 : rounds;
    for (Way way : compared) {
      progress.accept("warming up for cold handshakes: " + way.title());
      Json _ = onCore0(way, "cold", seconds(quick ? 2 : 20), HBONE_PORT);
    }
    for (int round = 1; round <= fewer; round++) {
      for (Way way : Rounds.order(round, compared)) {
        progress.accept("cold handshakes %d of %d: %s".formatted(round, fewer, way.title()));
        coldHandshakes(way);
      }
    }
    for (int round = 1; round <= FLAT_ROUNDS && !quick; round++) {
      for (Way way : Rounds.order(round, compared)) {
        progress.accept(
            "connections for a minute %d of %d: %s".formatted(round, FLAT_ROUNDS, way.title()));
        flatness(way);
      }
    }
    for (int round = 1; round <= fewer; round++) {
      for (Way way : compared) {
        progress.accept(
            "first seconds of a life %d of %d: %s".formatted(round, fewer, way.title()));
        firstLife(way);
      }
      progress.accept(
          "first seconds after an upgrade %d of %d: %s".formatted(round, fewer, tunnel.title()));
      firstInCharge();
    }
    for (Way way : compared) {
      progress.accept("held connections: " + way.title());
      memory(way);
    }
    if (!gaps.isEmpty()) {
      throw new IOException(String.join("; ", gaps));
    }
  }

  private void roundTrips(Way way) throws IOException {
    Json free = client(way, "rtt", way.portFree(), seconds());
    samples.add(RTT, way.title(), free.get("p50").number());
    samples.add(RTT_P99, way.title(), free.get("p99").number());
    Json pinned = onCore0(way, "rtt", seconds());
    samples.add(RTT_CORE, way.title(), pinned.get("p50").number());
    samples.add(RTT_CORE_P99, way.title(), pinned.get("p99").number());
  }

  /**
   * Client, server and the proxies between them all on core 0: what the way costs, without the
   * waking of an idle core.
   */
  private Json onCore0(Way way, String mode, String... rest) throws IOException {
    List<String> command =
        new ArrayList<>(List.of("taskset", "-c", "0", load, mode, way.host(), way.portCore0()));
    command.addAll(List.of(rest));
    List<ProxyProcess> proxies = way.proxies();
    try {
      for (ProxyProcess proxy : proxies) {
        proxy.runOn("0");
      }
      return in(way, command);
    } finally {
      for (ProxyProcess proxy : proxies) {
        proxy.runOn("0-" + (Runtime.getRuntime().availableProcessors() - 1));
      }
    }
  }

  private void throughput(Way way) throws IOException {
    Cpu one = cpu(way);
    Json single = client(way, "stream", way.portFree(), seconds());
    samples.add(STREAM, way.title(), single.get("gigabytesPerSecond").number());
    one.add(STREAM_CPU, single.get("bytes").number() / 1e9);
    Cpu many = cpu(way);
    Json parallel =
        client(way, "stream", way.portFree(), seconds(), Integer.toString(PARALLEL_STREAMS));
    samples.add(STREAMS, way.title(), parallel.get("gigabytesPerSecond").number());
    many.add(STREAMS_CPU, parallel.get("bytes").number() / 1e9);
  }

  private void connections(Way way) throws IOException {
    Cpu cpu = cpu(way);
    Json done = connect(way, seconds());
    samples.add(CONNECTIONS, way.title(), done.get("perSecond").number());
    cpu.add(CONNECTION_CPU, done.get("done").number() / 1e3);
  }

  /**
   * Before each connection the client destroys every tunnel of its pod, so that each needs a full
   * handshake. Counted by CPU, not by clock: the connections come one at a time, and what is asked
   * is how many handshakes a core carries. The CPU of both proxies is in it, and the connection
   * itself. It is the tunnels that are cold: what programs cost that have just started is measured
   * by the first seconds of their lives.
   */
  private void coldHandshakes(Way way) throws IOException {
    Way.Passage passage = way.passage();
    Cpu cpu = cpu(way);
    Json cold = onCore0(way, "cold", seconds(quick ? 1.5 : 4), HBONE_PORT);
    double spent = cpu.spentMillis();
    passage.assertOnly();
    double handshakes = cold.get("destroyed").number();
    if (handshakes < cold.get("done").number() * 0.9 || handshakes == 0) {
      throw new IOException(
          "%s: %.0f tunnels ended before %.0f connections (expected: one each)"
              .formatted(way.title(), handshakes, cold.get("done").number()));
    }
    samples.add(COLD, way.title(), handshakes / spent * 1e3);
    samples.add(COLD_FAILED, way.title(), cold.get("failed").number());
  }

  private void flatness(Way way) throws IOException {
    Way.Passage passage = way.passage();
    Json done = connect(way, seconds(FLAT_SECONDS));
    passage.assertOnly();
    List<Double> each = done.get("each").items().stream().map(Json::number).toList();
    double first =
        each.subList(0, FLAT_EDGE_SECONDS).stream().mapToDouble(Double::doubleValue).sum();
    double last =
        each.subList(each.size() - FLAT_EDGE_SECONDS, each.size()).stream()
            .mapToDouble(Double::doubleValue)
            .sum();
    samples.add(FLAT, way.title(), done.get("perSecond").number());
    samples.add(FLAT_RATIO, way.title(), last / first);
  }

  private void firstLife(Way way) throws IOException {
    way.restart();
    Way.Passage passage = way.passageOfNewProxies();
    Json done = connect(way, seconds(FIRST_LIFE_SECONDS));
    passage.assertOnly();
    samples.add(FIRST_LIFE, way.title(), done.get("perSecond").number());
  }

  /** Of agents that have taken over from others, which served until then. */
  private void firstInCharge() throws IOException {
    tunnel.upgrade();
    Way.Passage passage = tunnel.passageOfNewProxies();
    Json done = connect(tunnel, seconds(FIRST_LIFE_SECONDS));
    passage.assertOnly();
    samples.add(FIRST_IN_CHARGE, tunnel.title(), done.get("perSecond").number());
  }

  /** Of proxies that have just been restarted, so that nothing measured before is counted. */
  private void memory(Way way) throws IOException {
    way.restart();
    Way.Passage passage = way.passageOfNewProxies();
    // Long enough that what starting needs (compilers, files that are read once) is given back.
    client(way, "stream", way.portFree(), seconds(BUSY_SECONDS));
    List<ProxyProcess> proxies = way.proxies();
    samples.add(BUSY_CLIENT, way.title(), proxies.getFirst().residentKiB() / 1024);
    samples.add(BUSY_SERVER, way.title(), proxies.getLast().residentKiB() / 1024);
    LockSupport.parkNanos(SETTLED_NANOS);
    double client = proxies.getFirst().residentKiB();
    double server = proxies.getLast().residentKiB();
    int count = quick ? 2_000 : 10_000;
    try (var _ = HeldConnections.open(weir, way.pod(), load, way.host(), way.portFree(), count)) {
      LockSupport.parkNanos(SETTLED_NANOS);
      samples.add(HELD_CLIENT, way.title(), (proxies.getFirst().residentKiB() - client) / count);
      samples.add(HELD_SERVER, way.title(), (proxies.getLast().residentKiB() - server) / count);
    } catch (HeldConnections.NotHeld e) {
      String gap =
          "%s: %s; its proxies may open %,d and %,d files"
              .formatted(
                  way.title(),
                  e.getMessage(),
                  proxies.getFirst().mostFiles(),
                  proxies.getLast().mostFiles());
      progress.accept(gap);
      gaps.add(gap);
      return;
    }
    passage.assertOnly();
  }

  private Json connect(Way way, String seconds) throws IOException {
    // Ended by the server and in order: a tunnel may take many resets in a row for an attack, as
    // Envoy's does after a thousand (nghttp2's defence against rapid reset).
    Json done = client(way, "call", way.portFree(), Integer.toString(PARALLEL_CONNECTORS), seconds);
    if (done.get("failed").number() > 0) {
      throw new IOException(
          "%s: %.0f connections failed, %.0f were made: %s"
              .formatted(
                  way.title(),
                  done.get("failed").number(),
                  done.get("done").number(),
                  done.get("error").text()));
    }
    return done;
  }

  private String seconds() {
    return seconds(quick ? 0.7 : 2);
  }

  private static String seconds(double seconds) {
    return String.format(Locale.ROOT, "%.2f", seconds);
  }

  private Json client(Way way, String mode, String port, String... rest) throws IOException {
    List<String> command = new ArrayList<>(List.of(load, mode, way.host(), port));
    command.addAll(List.of(rest));
    return in(way, command);
  }

  private Json in(Way way, List<String> command) throws IOException {
    return Json.parse(weir.exec(way.pod(), command));
  }

  private Cpu cpu(Way way) throws IOException {
    List<ProxyProcess> proxies = way.proxies();
    return new Cpu(way, proxies, millis(proxies));
  }

  private static double millis(List<ProxyProcess> proxies) throws IOException {
    double sum = 0;
    for (ProxyProcess proxy : proxies) {
      sum += proxy.cpuMillis();
    }
    return sum;
  }

  /** What the proxies of a way had used at a moment. */
  private final class Cpu {
    private final Way way;
    private final List<ProxyProcess> proxies;
    private final double before;

    Cpu(Way way, List<ProxyProcess> proxies, double before) {
      this.way = way;
      this.proxies = proxies;
      this.before = before;
    }

    double spentMillis() throws IOException {
      return millis(proxies) - before;
    }

    /** What they have used since, for each unit of work; nothing where there are none. */
    void add(Metric metric, double work) throws IOException {
      if (!proxies.isEmpty()) {
        samples.add(metric, way.title(), spentMillis() / work);
      }
    }
  }
}
