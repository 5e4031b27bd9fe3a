package dev.weir.cli;

import dev.weir.api.json.Json;
import dev.weir.lab.LabClient;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

@Command(
    name = "top",
    mixinStandardHelpOptions = true,
    description = {
      "Show what each pod costs its node's agent: time of its event loops, bytes towards the pod and from",
      "it, connections and streams in tunnels, TLS handshakes, bytes that nobody took yet, what was shed",
      "because the pod had too much, and how long its work waited for other pods' turns.",
      "What stays in the kernel (direct, joined) costs the agent nothing and is in 'weir edges'.",
      "On a terminal the table is drawn anew each --interval until Ctrl-C; otherwise it is printed once."
    },
    footer = {
      "",
      "Examples:",
      "  weir top",
      "  weir top --node node-1 --interval 5s",
      "  weir top --once -o json | jq -r '.pods[] | select(.shedPerSecond > 0) | .pod'"
    })
final class TopCommand implements Callable<Integer> {
  /** What a line stands for. */
  enum By {
    pod,
    node
  }

  private static final Duration SHORTEST = Duration.ofMillis(100);

  @Mixin LabOption lab = new LabOption();
  @Mixin FormatOption format = new FormatOption();

  @Option(
      names = "--by",
      paramLabel = "WHAT",
      defaultValue = "pod",
      description = "A line for each: ${COMPLETION-CANDIDATES} (default: ${DEFAULT-VALUE}).")
  By by = By.pod;

  @Option(
      names = {"-n", "--namespace"},
      paramLabel = "NS",
      description = "Only pods in it.")
  @Nullable String namespace;

  @Option(names = "--node", paramLabel = "NODE", description = "Only this node's agent.")
  @Nullable String node;

  @Option(
      names = "--interval",
      paramLabel = "TIME",
      converter = Durations.class,
      defaultValue = "1s",
      description = "What rates are taken over (default: ${DEFAULT-VALUE}).")
  Duration interval = Duration.ofSeconds(1);

  @Option(names = "--once", description = "Print one table and end, on a terminal too.")
  boolean once;

  private final Output output;
  private final Map<String, String> problems = new HashMap<>();

  TopCommand(Output output) {
    this.output = output;
  }

  @Override
  public Integer call() throws InterruptedException {
    if (interval.compareTo(SHORTEST) < 0) {
      throw new CommandFailure("--interval: expected at least 100ms");
    }
    LabClient client = lab.lab();
    List<String> nodes = Nodes.asked(client, node);
    boolean live = output.terminal() && !once && format.format == Format.table;
    Map<String, Json> before = look(client, nodes);
    int drawn = 0;
    while (true) {
      Thread.sleep(interval);
      Map<String, Json> now = look(client, nodes);
      List<PodLoad> loads = loads(before, now);
      before = now;
      if (!live) {
        format.print(output, json(client, loads), wide -> text(loads, wide));
        return problems.isEmpty() ? 0 : 1;
      }
      String text = text(loads, false) + output.faint("Ctrl-C ends") + "\n";
      if (drawn > 0) {
        output.out().print("\u001b[" + drawn + "A\u001b[J");
      }
      output.out().print(text);
      output.flush();
      drawn = (int) text.lines().count();
    }
  }

  /** A node whose agent does not answer is left out, and named. */
  private Map<String, Json> look(LabClient client, List<String> nodes) {
    Map<String, Json> pages = new HashMap<>();
    problems.clear();
    for (String each : nodes) {
      try {
        pages.put(each, Nodes.admin(client, each).get("/top"));
      } catch (CommandFailure e) {
        problems.put(each, String.valueOf(e.getMessage()));
      }
    }
    return pages;
  }

  private List<PodLoad> loads(Map<String, Json> before, Map<String, Json> now) {
    List<PodLoad> all = new ArrayList<>();
    now.forEach((name, page) -> {
      Json former = before.get(name);
      if (former != null) {
        List<PodLoad> pods =
            PodLoad.between(name, former, page).stream()
                .filter(pod -> namespace == null || pod.namespace().equals(namespace))
                .toList();
        if (by == By.pod) {
          all.addAll(pods);
        } else {
          pods.stream().reduce(PodLoad::plus).ifPresent(all::add);
        }
      }
    });
    all.sort(
        Comparator.comparingDouble(PodLoad::cpuMillis)
            .reversed()
            .thenComparing(PodLoad::node)
            .thenComparing(PodLoad::namespace)
            .thenComparing(PodLoad::pod));
    return all;
  }

  private Json json(LabClient client, List<PodLoad> loads) {
    List<Json> errors = new ArrayList<>();
    problems.forEach(
        (name, why) -> errors.add(Json.object().with("node", name).with("error", why).build()));
    return Json.object()
        .with("lab", client.name())
        .with("pods", Json.of(loads.stream().map(PodLoad::json).toList()))
        .with("errors", Json.of(errors))
        .build();
  }

  private String text(List<PodLoad> loads, boolean wide) {
    Table table =
        wide
            ? new Table(
                "NODE",
                "POD",
                "CPU ms/s",
                "IN/s",
                "OUT/s",
                "CONNS",
                "NEW/s",
                "STREAMS",
                "TLS/s",
                "BUFFERED",
                "SHED/s",
                "WAIT",
                "WAIT P99",
                "WEIGHT")
            : new Table(
                "NODE",
                "POD",
                "CPU ms/s",
                "IN/s",
                "OUT/s",
                "CONNS",
                "NEW/s",
                "TLS/s",
                "BUFFERED",
                "SHED/s",
                "WAIT",
                "WAIT P99");
    for (PodLoad load : loads) {
      List<Object> cells = new ArrayList<>();
      cells.add(load.node());
      cells.add(
          by == By.node
              ? ""
              : namespace == null ? load.namespace() + "/" + load.pod() : load.pod());
      cells.add(number(load.cpuMillis()));
      cells.add(Units.bytes(Math.round(load.received())));
      cells.add(Units.bytes(Math.round(load.sent())));
      cells.add(load.connections());
      cells.add(number(load.opened()));
      if (wide) {
        cells.add(load.streams());
      }
      cells.add(number(load.handshakes()));
      cells.add(Units.bytes(load.buffered()));
      cells.add(load.shed() > 0 ? output.red(number(load.shed())) : "0");
      cells.add(Units.micros(Math.round(load.waitMicros())));
      cells.add(Units.micros(load.waitP99Micros()));
      if (wide) {
        cells.add(load.weight());
      }
      table.row(cells.toArray());
    }
    StringBuilder text = new StringBuilder(table.isEmpty() ? "no enrolled pods\n" : table.text());
    problems.forEach(
        (name, why) -> text.append(name).append(": ").append(output.red(why)).append('\n'));
    return text.toString();
  }

  private static String number(double value) {
    return value == 0 ? "0" : String.format(Locale.ROOT, value < 10 ? "%.1f" : "%.0f", value);
  }
}
