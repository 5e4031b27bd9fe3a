package dev.weir.bench;

import dev.weir.api.json.Json;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Consumer;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * The same two pods on one node, with no mesh and on each of Weir's paths, in turn, round by round.
 * Every measurement says afterwards which way its connections went; one that went another way than
 * its variant names is an error, not a figure.
 */
final class SameNode {
  private static final String OUT = "out of the mesh";
  private static final String PORT_CORE_0 = "7000";
  private static final String PORT_CORE_1 = "7001";
  private static final String PORT_FREE = "7002";
  private static final String PORT_SERVICE = "80";

  // nf_conntrack_tcp_timeout_close: until then a connection that kube-proxy's rules translated
  // keeps its
  // tuple, and a direct one of the same tuple would be given another source port.
  private static final long CONNTRACK_FORGETS_NANOS = TimeUnit.SECONDS.toNanos(11);
  private static final int PARALLEL_CONNECTORS = 16;

  /**
   * The variants by what the two pods are annotated with: their fast path, or that they stay out of
   * the mesh.
   */
  enum Variant {
    NONE("no mesh", "none", OUT, OUT),
    DIRECT("direct", "direct", "direct", "direct"),
    JOINED("joined", "joined", "joined", "joined"),
    // A server outside the mesh is what an agent relays to plainly on one node; between two pods of
    // the mesh, off asks for encryption.
    AGENT("agent", "agent", "off", OUT),
    AGENT_JOINED("agent, in-pod hop joined", "agent", "joined", OUT);

    private final String title;
    private final String path;
    private final String client;
    private final String server;

    Variant(String title, String path, String client, String server) {
      this.title = title;
      this.path = path;
      this.client = client;
      this.server = server;
    }

    Set<String> enrolled() {
      return Stream.of(client.equals(OUT) ? "" : "client", server.equals(OUT) ? "" : "server")
          .filter(pod -> !pod.isEmpty())
          .collect(Collectors.toSet());
    }

    String title() {
      return title;
    }
  }

  private record Metric(String name, String unit) {}

  private static final Metric RTT_CORE = new Metric("rtt-p50-one-core", "us");
  private static final Metric RTT_CORE_P99 = new Metric("rtt-p99-one-core", "us");
  private static final Metric RTT_FREE = new Metric("rtt-p50-free", "us");
  private static final Metric RTT_FREE_P99 = new Metric("rtt-p99-free", "us");
  private static final Metric STREAM_TWO = new Metric("throughput-two-cores", "GB/s");
  private static final Metric STREAM_ONE = new Metric("throughput-one-core", "GB/s");
  private static final Metric CONNECTIONS = new Metric("connections", "1/s");
  private static final Metric CONNECTIONS_SERVICE = new Metric("connections-by-service", "1/s");
  private static final Metric AGENT_CPU = new Metric("agent-cpu", "ms/s");

  private final Weir weir;
  private final Path load;
  private final double seconds;
  private final int rounds;
  private final Consumer<String> progress;
  private final Map<Metric, Map<Variant, List<Double>>> samples = new LinkedHashMap<>();
  private final String address;
  private final String serviceAddress;
  private long translatedUntil = System.nanoTime();

  SameNode(Weir weir, Path load, boolean quick, int rounds, Consumer<String> progress)
      throws IOException {
    this.weir = weir;
    this.load = load;
    this.seconds = quick ? 0.5 : 2;
    this.rounds = rounds;
    this.progress = progress;
    Status status = Status.read(weir);
    this.address = status.ip("server");
    this.serviceAddress = status.clusterIp("server");
  }

  static String yaml(Path load) throws IOException {
    return Resources.text("same-node.yaml").replace("LOAD", load.toString());
  }

  List<Figure> measure() throws IOException {
    for (int round = 1; round <= rounds; round++) {
      for (Variant variant : Rounds.order(round, List.of(Variant.values()))) {
        progress.accept("round %d of %d: %s".formatted(round, rounds, variant.title));
        become(variant);
        measure(variant);
      }
    }
    List<Figure> figures = new ArrayList<>();
    samples.forEach((metric, byVariant) ->
        byVariant.forEach((variant, values) ->
            figures.add(Figure.of(metric.name, metric.unit, variant.title, values))));
    return figures;
  }

  private void become(Variant variant) throws IOException {
    annotate("client", variant.client);
    annotate("server", variant.server);
    Status.awaitEnrolled(weir, variant.enrolled());
    for (long left = translatedUntil - System.nanoTime();
        left > 0;
        left = translatedUntil - System.nanoTime()) {
      LockSupport.parkNanos(left);
    }
    // The first connection to a port asks the agent; what is measured is what follows.
    for (String port : List.of(PORT_CORE_0, PORT_CORE_1, PORT_FREE)) {
      awaitPath(variant, address, port);
    }
    awaitPath(variant, serviceAddress, PORT_SERVICE);
  }

  private void annotate(String pod, String fastPath) throws IOException {
    if (fastPath.equals(OUT)) {
      weir.annotate("pod/" + pod, "weir.dev/mesh=disabled", "weir.dev/fast-path-");
    } else {
      weir.annotate("pod/" + pod, "weir.dev/mesh=enabled", "weir.dev/fast-path=" + fastPath);
    }
  }

  private void awaitPath(Variant variant, String to, String port) throws IOException {
    List<String> one = List.of(load.toString(), "connect", to, port, "1", "0.05");
    Paths.awaitPath(
        weir, variant.path, () -> Json.parse(weir.exec("client", one)).get("done").number() > 0);
  }

  private void measure(Variant variant) throws IOException {
    Paths before = Paths.read(weir);
    double cpuBefore = Status.read(weir).agentCpuMillis();
    long started = System.nanoTime();
    Json pinned = client("0", "rtt", PORT_CORE_0, seconds());
    add(RTT_CORE, variant, pinned.get("p50").number());
    add(RTT_CORE_P99, variant, pinned.get("p99").number());
    Json free = client("", "rtt", PORT_FREE, seconds());
    add(RTT_FREE, variant, free.get("p50").number());
    add(RTT_FREE_P99, variant, free.get("p99").number());
    add(
        STREAM_TWO,
        variant,
        client("0", "stream", PORT_CORE_1, seconds()).get("gigabytesPerSecond").number());
    add(
        STREAM_ONE,
        variant,
        client("0", "stream", PORT_CORE_0, seconds()).get("gigabytesPerSecond").number());
    add(CONNECTIONS, variant, connections(variant, address, PORT_FREE));
    // How people call: kube-proxy's rules on one side, the kernel's service map on the other.
    add(CONNECTIONS_SERVICE, variant, connections(variant, serviceAddress, PORT_SERVICE));
    if (variant == Variant.NONE) {
      translatedUntil = System.nanoTime() + CONNTRACK_FORGETS_NANOS;
    }
    double elapsed = (System.nanoTime() - started) / 1e9;
    add(AGENT_CPU, variant, (Status.read(weir).agentCpuMillis() - cpuBefore) / elapsed);
    Paths.read(weir).assertOnly(before, variant.path, variant.title);
  }

  private String seconds() {
    return String.format(Locale.ROOT, "%.2f", seconds);
  }

  private double connections(Variant variant, String to, String port) throws IOException {
    Json connections =
        Json.parse(
            weir.exec(
                "client",
                List.of(
                    load.toString(),
                    "connect",
                    to,
                    port,
                    Integer.toString(PARALLEL_CONNECTORS),
                    seconds())));
    if (connections.get("failed").number() > 0) {
      throw new IOException(
          "%s: %.0f of %.0f connections to %s failed: %s"
              .formatted(
                  variant.title,
                  connections.get("failed").number(),
                  connections.get("done").number(),
                  to,
                  connections.get("error").text()));
    }
    return connections.get("perSecond").number();
  }

  private Json client(String core, String mode, String port, String... rest) throws IOException {
    List<String> command = new ArrayList<>();
    if (!core.isEmpty()) {
      command.addAll(List.of("taskset", "-c", core));
    }
    command.addAll(List.of(load.toString(), mode, address, port));
    command.addAll(List.of(rest));
    return Json.parse(weir.exec("client", command));
  }

  private void add(Metric metric, Variant variant, double value) {
    samples
        .computeIfAbsent(metric, m -> new LinkedHashMap<>())
        .computeIfAbsent(variant, v -> new ArrayList<>())
        .add(value);
  }
}
