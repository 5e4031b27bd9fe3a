package dev.weir.bench;

import dev.weir.api.json.Json;
import dev.weir.bench.Samples.Metric;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.function.Consumer;

/**
 * What a pod feels of a neighbour: its round trips to a pod of another node, alone and beside a pod
 * of its node that floods the agent they share. The same four pods outside the mesh say how much of
 * it is the machine's two cores and not the agent.
 */
final class Fairness {
  // Both are started at once and the victim begins to be measured later, when the hog is at work:
  // beside a hog that has all processors, it takes seconds to start a program.
  private static final double START_SECONDS = 2;
  private static final double HOG_TRAILS_SECONDS = 3;
  private static final double WARM_SECONDS = 3;

  private enum Hog {
    NONE("alone", 0),
    BANDWIDTH("beside a bandwidth hog", 0.5),
    FLOOD("beside a flood", 0.5),
    // Until every buffer on the way is full, slow readers are a bandwidth hog.
    SLOW("beside slow readers", 3);

    private final String title;
    private final double leadSeconds;

    Hog(String title, double leadSeconds) {
      this.title = title;
      this.leadSeconds = leadSeconds;
    }

    List<String> command(String load, String address, String seconds) {
      return switch (this) {
        case NONE -> List.of();
        case BANDWIDTH -> List.of(load, "stream", address, "7002", seconds, "16");
        case FLOOD -> List.of(load, "connect", address, "7002", "32", seconds);
        case SLOW -> List.of(load, "slow", address, "7002", "64", seconds);
      };
    }
  }

  private enum Side {
    MESH("", "", Paths.BETWEEN_NODES),
    PLAIN("plain-", "-no-mesh", "none");

    private final String prefix;
    private final String suffix;
    private final String path;

    Side(String prefix, String suffix, String path) {
      this.prefix = prefix;
      this.suffix = suffix;
      this.path = path;
    }

    Metric metric(String name, String unit) {
      return new Metric(name + suffix, unit);
    }
  }

  private static final Metric AGENTS_CPU = new Metric("both-agents-cpu", "ms/s");

  private final Weir weir;
  private final String load;
  private final double seconds;
  private final int rounds;
  private final Consumer<String> progress;
  private final Samples samples;

  Fairness(
      Weir weir, Path load, boolean quick, int rounds, Samples samples, Consumer<String> progress) {
    this.weir = weir;
    this.load = load.toString();
    this.seconds = quick ? 1.5 : 4;
    this.rounds = rounds;
    this.samples = samples;
    this.progress = progress;
  }

  static String yaml(Path load) throws IOException {
    return Resources.text("fairness.yaml").replace("LOAD", load.toString());
  }

  void measure() throws IOException {
    Status.awaitEnrolled(weir, Set.of("victim", "victim-server", "hog", "hog-server"));
    Status status = Status.read(weir);
    warm(status);
    for (int round = 1; round <= rounds; round++) {
      for (Hog hog : Rounds.order(round, List.of(Hog.values()))) {
        for (Side side : Side.values()) {
          progress.accept("round %d of %d: %s%s".formatted(round, rounds, hog.title, side.suffix));
          Paths before = Paths.read(weir);
          victim(
              side,
              hog,
              status.ip(side.prefix + "victim-server"),
              status.ip(side.prefix + "hog-server"));
          Paths.read(weir).assertOnly(before, side.path, hog.title);
        }
      }
    }
  }

  /** The agents' first seconds are those of their compilers, and not what is measured here. */
  private void warm(Status status) throws IOException {
    progress.accept("warming up");
    for (Hog hog : List.of(Hog.BANDWIDTH, Hog.FLOOD)) {
      Background<String> victim =
          Background.start(() ->
              weir.exec(
                  "victim",
                  List.of(
                      load, "rtt", status.ip("victim-server"), "7002", number(WARM_SECONDS), "1")));
      weir.exec("hog", hog.command(load, status.ip("hog-server"), number(WARM_SECONDS)));
      victim.join();
    }
  }

  private void victim(Side side, Hog hog, String server, String hogServer) throws IOException {
    double warmSeconds = START_SECONDS + hog.leadSeconds;
    double hogSeconds = warmSeconds + seconds + HOG_TRAILS_SECONDS;
    double cpuBefore = agentsMillis();
    long started = System.nanoTime();
    Background<String> measured =
        Background.start(() ->
            weir.exec(
                side.prefix + "victim",
                List.of(load, "rtt", server, "7002", number(seconds), number(warmSeconds))));
    List<String> command = hog.command(load, hogServer, number(hogSeconds));
    Background<String> beside =
        command.isEmpty() ? null : Background.start(() -> weir.exec(side.prefix + "hog", command));
    Json rtt = Json.parse(measured.join());
    double elapsed = (System.nanoTime() - started) / 1e9;
    if (side == Side.MESH) {
      samples.add(AGENTS_CPU, hog.title, (agentsMillis() - cpuBefore) / elapsed);
    }
    if (beside != null) {
      boolean early = beside.isDone();
      Json hogged = Json.parse(beside.join());
      if (early) {
        throw new IOException(hog.title + ": the hog ended before the victim was measured");
      }
      work(side, hog, hogged, hogSeconds);
    }
    samples.add(side.metric("victim-rtt-p50", "us"), hog.title, rtt.get("p50").number());
    samples.add(side.metric("victim-rtt-p99", "us"), hog.title, rtt.get("p99").number());
  }

  /** A hog that did nothing would prove nothing. */
  private void work(Side side, Hog hog, Json did, double hogSeconds) throws IOException {
    switch (hog) {
      case NONE -> {}
      case BANDWIDTH ->
          samples.add(
              side.metric("hog-throughput", "GB/s"),
              hog.title,
              did.get("gigabytesPerSecond").number());
      case FLOOD -> {
        if (did.get("done").number() == 0) {
          throw new IOException("the flood made no connection: " + did.get("error").text());
        }
        samples.add(
            side.metric("hog-connections", "1/s"), hog.title, did.get("perSecond").number());
        // An agent may shed a flood; that is no error of the bench's.
        samples.add(
            side.metric("hog-connections-shed", "1/s"),
            hog.title,
            did.get("failed").number() / hogSeconds);
      }
      case SLOW -> {
        samples.add(
            side.metric("hog-slow-reading", "MB/s"),
            hog.title,
            did.get("bytes").number() / 1e6 / hogSeconds);
        samples.add(side.metric("hog-streams-shed", "of 64"), hog.title, did.get("ended").number());
      }
    }
  }

  private double agentsMillis() throws IOException {
    double sum = 0;
    for (ProxyProcess agent : Status.read(weir).agents()) {
      sum += agent.cpuMillis();
    }
    return sum;
  }

  private static String number(double value) {
    return String.format(Locale.ROOT, "%.2f", value);
  }
}
