package dev.weir.bench;

import dev.weir.bench.Samples.Metric;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Consumer;

/**
 * What one agent takes before it does anything: how long from its start until it is ready, what it
 * holds with few and with many idle pods, and what each idle connection adds. Every figure is of an
 * agent that has just been started, so that nothing measured before is in it.
 */
final class Memory {
  private static final int FEW_PODS = 2;
  private static final int MANY_PODS = 100;
  private static final int CONNECTIONS = 10_000;

  // Listeners, certificates, maps, the machine's files.
  private static final int OTHER_FILES = 1_000;
  private static final String PORT = "7002";

  // Long enough for collectors and allocators to give back what a start took.
  private static final long SETTLED_NANOS = TimeUnit.SECONDS.toNanos(10);

  private static final Metric START = new Metric("start-to-ready", "ms");
  private static final Metric UNCERTIFIED = new Metric("start-to-ready-but-for-certificates", "ms");
  private static final Metric RSS = new Metric("rss-idle", "MiB");
  private static final Metric RSS_OWN = new Metric("rss-idle-anonymous", "MiB");
  private static final Metric RSS_FILES = new Metric("rss-idle-of-files", "MiB");
  private static final Metric HELD = new Metric("held-connection", "KiB");

  private final Weir weir;
  private final String load;
  private final boolean quick;
  private final int rounds;
  private final Samples samples;
  private final Consumer<String> progress;

  Memory(
      Weir weir, Path load, boolean quick, int rounds, Samples samples, Consumer<String> progress) {
    this.weir = weir;
    this.load = load.toString();
    this.quick = quick;
    this.rounds = rounds;
    this.samples = samples;
    this.progress = progress;
  }

  static String yaml(Path load) throws IOException {
    return Resources.text("memory.yaml").replace("LOAD", load.toString());
  }

  void measure() throws IOException {
    idle(FEW_PODS);
    Status status = Status.read(weir);
    int fewer = quick ? 1 : rounds;
    for (int round = 1; round <= fewer; round++) {
      held(round, fewer, "relayed", status.ip("plain-server"), "agent");
      // Both ends of each tunnel are in the one agent, so this counts a connection twice.
      held(round, fewer, "tunnelled, both ends", status.ip("server"), Paths.BETWEEN_NODES);
    }
    progress.accept("making %d pods".formatted(MANY_PODS - FEW_PODS));
    weir.run(
        "lab",
        "scale",
        "deploy/idle",
        "--name",
        weir.lab(),
        "-n",
        "bench",
        "--replicas",
        Integer.toString(MANY_PODS - FEW_PODS));
    idle(MANY_PODS);
  }

  private void idle(int pods) throws IOException {
    Status.await(pods + " pods in the mesh", () -> Status.read(weir).enrolledCount() == pods);
    String variant = pods + " idle pods";
    for (int round = 1; round <= rounds; round++) {
      progress.accept("round %d of %d: %s".formatted(round, rounds, variant));
      ProxyProcess agent = restarted();
      AgentStart start = AgentStart.read(weir, agent);
      samples.add(START, variant, start.readyMillis());
      samples.add(UNCERTIFIED, variant, start.readyMillis() - start.certificatesMillis());
      LockSupport.parkNanos(SETTLED_NANOS);
      samples.add(RSS, variant, agent.residentKiB() / 1024);
      samples.add(RSS_OWN, variant, agent.anonymousKiB() / 1024);
      samples.add(RSS_FILES, variant, agent.ofFilesKiB() / 1024);
    }
  }

  private void held(int round, int of, String variant, String host, String path)
      throws IOException {
    ProxyProcess agent = restarted();
    // A relayed connection is two sockets, a tunnelled one with both ends here as well.
    int count = (int) Math.min(CONNECTIONS, (agent.mostFiles() - OTHER_FILES) / 2);
    progress.accept("%d held connections %d of %d: %s".formatted(count, round, of, variant));
    // The first ones bring in code and tunnels that all others share.
    weir.exec("client", List.of(load, "call", host, PORT, "4", "1"));
    LockSupport.parkNanos(SETTLED_NANOS);
    Paths before = Paths.read(weir);
    double without = agent.residentKiB();
    try (var _ = HeldConnections.open(weir, "client", load, host, PORT, count)) {
      LockSupport.parkNanos(SETTLED_NANOS);
      samples.add(HELD, variant, (agent.residentKiB() - without) / count);
    }
    Paths.read(weir).assertOnly(before, path, variant);
  }

  private ProxyProcess restarted() throws IOException {
    weir.run("lab", "agent", "node-1", "restart", "--name", weir.lab());
    return Status.read(weir).agents().getFirst();
  }
}
