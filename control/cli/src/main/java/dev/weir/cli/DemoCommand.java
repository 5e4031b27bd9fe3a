package dev.weir.cli;

import dev.weir.api.json.Json;
import dev.weir.lab.LabClient;
import dev.weir.lab.LabException;
import dev.weir.lab.Source;
import dev.weir.lab.UpOptions;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

@Command(
    name = "demo",
    mixinStandardHelpOptions = true,
    description = {
      "Run a small shop on two nodes of a lab, with a steady load, and show who calls whom.",
      "Ends at Ctrl-C, or after --for: with 0 if requests were served, none failed, and both nodes saw edges."
    },
    footer = {
      "",
      "Examples:",
      "  weir demo",
      "  weir demo --for 20s",
      "  weir demo --for 5s --keep && weir edges -o wide"
    })
final class DemoCommand implements Callable<Integer> {
  private static final String NAMESPACE = "shop";
  private static final Duration READY = Duration.ofSeconds(60);
  private static final long GLANCE_NANOS = 1_000_000_000L;
  private static final long GOODBYE_SECONDS = 30;

  @Option(
      names = "--for",
      paramLabel = "TIME",
      converter = Durations.class,
      description = "End by itself after so long, such as 20s.")
  @Nullable Duration length;

  @Option(names = "--keep", description = "Leave the lab up at the end.")
  boolean keep;

  @Option(
      names = "--name",
      paramLabel = "LAB",
      defaultValue = "demo",
      description = "The lab's name (default: ${DEFAULT-VALUE}).")
  String name = "demo";

  @Mixin private final AgentArguments agents = new AgentArguments();

  private final Output output;
  private final CountDownLatch interrupted = new CountDownLatch(1);
  private final CountDownLatch over = new CountDownLatch(1);
  private volatile boolean ready;

  DemoCommand(Output output) {
    this.output = output;
  }

  @Override
  public Integer call() throws InterruptedException {
    if (LabClient.names().contains(name)) {
      throw new CommandFailure(
          "lab "
              + name
              + " is up already: 'weir lab down --name "
              + name
              + "' first, or another --name");
    }
    Runtime.getRuntime().addShutdownHook(new Thread(this::leave));
    try {
      return run();
    } finally {
      over.countDown();
    }
  }

  private int run() throws InterruptedException {
    Progress progress = new Progress(output);
    long started = System.nanoTime();
    LabClient lab;
    try {
      lab =
          LabClient.up(
              UpOptions.named(name)
                  .withReady(READY)
                  .withAgentArgs(agents.arguments)
                  .withSources(List.of(shop())),
              progress::show,
              output::line);
    } catch (LabException e) {
      if (!keep) {
        LabClient.down(name);
      }
      throw e;
    } finally {
      progress.clear();
    }
    try {
      ready = true;
      output.line(
          String.format(
              Locale.ROOT,
              "the shop is open: %s, after %.1f s",
              inMesh(lab.status()),
              (System.nanoTime() - started) / 1e9));
      output.line("");
      output.line(invitation());
      output.flush();
      watch(lab);
      return report(lab);
    } finally {
      output.flush();
      if (keep) {
        output.line("lab " + name + " stays up: 'weir lab down --name " + name + "' takes it away");
      } else {
        LabClient.down(name);
      }
    }
  }

  private static String inMesh(Json status) {
    List<Json> pods = status.get("pods").items();
    long enrolled = pods.stream().filter(pod -> pod.get("enrolled").isTrue()).count();
    return "%d pods on %d nodes, %s in the mesh"
        .formatted(
            pods.size(),
            status.get("nodes").items().size(),
            enrolled == pods.size() ? "all" : Long.toString(enrolled));
  }

  /**
   * Ctrl-C: the main thread ends what it is at; where it cannot, since the lab is only coming up,
   * the lab is taken from under it.
   */
  private void leave() {
    interrupted.countDown();
    try {
      if (ready) {
        over.await(GOODBYE_SECONDS, TimeUnit.SECONDS);
      } else if (over.getCount() > 0 && !keep) {
        LabClient.down(name);
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private void watch(LabClient lab) throws InterruptedException {
    long end = length == null ? Long.MAX_VALUE : System.nanoTime() + length.toNanos();
    LiveView view = new LiveView(output);
    List<String> nodes = Nodes.names(lab);
    while (true) {
      long left = length == null ? GLANCE_NANOS : Math.min(GLANCE_NANOS, end - System.nanoTime());
      if (left <= 0 || interrupted.await(left, TimeUnit.NANOSECONDS)) {
        return;
      }
      if (output.terminal()) {
        view.show(Nodes.reachableEdges(lab, nodes), counts(lab));
      }
    }
  }

  private int report(LabClient lab) {
    LoadCounts counts = counts(lab);
    List<String> nodes = Nodes.names(lab);
    List<Edge> edges = Nodes.reachableEdges(lab, nodes);
    boolean everywhere = true;
    if (!output.terminal()) {
      output.line(EdgesCommand.table(edges, false, output).text());
    }
    if (!counts.lastFailure().isEmpty()) {
      output.line("last failure: " + counts.lastFailure());
    }
    output.line("%d requests served, %d failed".formatted(counts.served(), counts.failed()));
    for (String node : nodes) {
      long seen =
          edges.stream().filter(edge -> edge.node().equals(node) && edge.opened() > 0).count();
      everywhere &= seen > 0;
      output.line("%d edges on %s".formatted(seen, node));
    }
    return counts.served() > 0 && counts.failed() == 0 && everywhere ? 0 : 1;
  }

  private LoadCounts counts(LabClient lab) {
    try {
      return LoadCounts.last(lab.log(NAMESPACE, "load", ""));
    } catch (IOException e) {
      throw new CommandFailure("cannot read the load's log: " + e.getMessage());
    }
  }

  private static Source shop() {
    String home = System.getenv("WEIR_HOME");
    if (home == null) {
      throw new CommandFailure("WEIR_HOME is not set: run through the weir launcher");
    }
    try (InputStream in = DemoCommand.class.getResourceAsStream("shop.yaml")) {
      if (in == null) {
        throw new CommandFailure("shop.yaml is not in this build: run 'weir build'");
      }
      String text = new String(in.readAllBytes(), StandardCharsets.UTF_8);
      return new Source("shop.yaml", text.replace("${WEIR}", home + "/weir"));
    } catch (IOException e) {
      throw new CommandFailure("shop.yaml cannot be read: " + e.getMessage());
    }
  }

  private String invitation() {
    String get = onPath("curl") ? "curl -s" : "wget -qO-";
    return """
    To try, in another terminal:
      1. weir edges -o wide                                            who calls whom, in full
      2. weir lab exec -n shop front -- %s http://catalog:8080/items   call as a pod: v1 and v2 take turns
      3. weir lab annotate ns/shop weir.dev/fast-path=joined           new connections on one node go socket to socket
      4. weir lab agent node-1 kill                                    flows in the kernel go on; 'start' brings it back
      5. weir lab scale deploy/catalog-v2 -n shop --replicas 3         the new pods get their share
    """
        .formatted(get);
  }

  private static boolean onPath(String program) {
    String path = System.getenv("PATH");
    for (String folder : (path == null ? "" : path).split(":", -1)) {
      if (!folder.isEmpty() && Files.isExecutable(Path.of(folder, program))) {
        return true;
      }
    }
    return false;
  }
}
