package dev.weir.cli;

import dev.weir.api.json.Json;
import dev.weir.lab.LabClient;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

@Command(
    name = "edges",
    mixinStandardHelpOptions = true,
    description = {
      "Show who calls whom: connections, bytes, round-trip time, and the path they take:",
      "direct and joined stay in the kernel, tunnel goes from agent to agent by mutual TLS, agent goes",
      "plainly through the node's agent, plain is outside the mesh."
    },
    footer = {
      "",
      "Examples:",
      "  weir edges",
      "  weir edges -n shop --node node-1 -o wide",
      "  weir edges -o json | jq '.[] | select(.path == \"agent\")'"
    })
final class EdgesCommand implements Callable<Integer> {
  @Mixin LabOption lab = new LabOption();
  @Mixin FormatOption format = new FormatOption();

  @Option(
      names = {"-n", "--namespace"},
      paramLabel = "NS",
      description = "Only edges that begin or end in it.")
  @Nullable String namespace;

  @Option(names = "--node", paramLabel = "NODE", description = "Only what this node saw.")
  @Nullable String node;

  private final Output output;

  EdgesCommand(Output output) {
    this.output = output;
  }

  @Override
  public Integer call() {
    LabClient client = lab.lab();
    List<String> nodes = Nodes.asked(client, node);
    String only = namespace;
    List<Edge> edges =
        Nodes.edges(client, nodes).stream()
            .filter(edge ->
                only == null
                    || only.equals(edge.sourceNamespace())
                    || only.equals(edge.destinationNamespace()))
            .sorted(
                Comparator.comparing(Edge::node)
                    .thenComparing(Edge::source)
                    .thenComparing(Edge::destination))
            .toList();
    Json all = Json.of(edges.stream().map(EdgesCommand::withNode).toList());
    format.print(
        output, all, wide -> edges.isEmpty() ? "no edges yet" : table(edges, wide, output).text());
    return 0;
  }

  static Table table(List<Edge> edges, boolean wide, Output output) {
    Table table =
        wide
            ? new Table(
                "NODE",
                "FROM",
                "TO",
                "ADDRESS",
                "PATH",
                "OPEN",
                "OPENED",
                "FAILED",
                "SENT",
                "RECEIVED",
                "RTT")
            : new Table(
                "NODE",
                "FROM",
                "TO",
                "PATH",
                "OPEN",
                "OPENED",
                "FAILED",
                "SENT",
                "RECEIVED",
                "RTT");
    for (Edge edge : edges) {
      List<Object> cells =
          new ArrayList<>(
              List.of(
                  edge.node(),
                  name(edge.sourceNamespace(), edge.source(), wide),
                  name(edge.destinationNamespace(), edge.destination(), wide)));
      if (wide) {
        cells.add(edge.raw().get("destination").get("address").text());
      }
      cells.add(path(edge.path(), output));
      cells.add(edge.open());
      cells.add(edge.opened());
      cells.add(edge.failed() == 0 ? "0" : output.red(Long.toString(edge.failed())));
      cells.add(Units.bytes(edge.sent()));
      cells.add(Units.bytes(edge.received()));
      cells.add(Units.micros(edge.rttMicros()));
      table.row(cells.toArray());
    }
    return table;
  }

  private static String name(String namespace, String name, boolean wide) {
    return wide && !namespace.isEmpty() ? namespace + "/" + name : name;
  }

  private static String path(String path, Output output) {
    return switch (path) {
      case "direct", "joined", "tunnel" -> output.green(path);
      case "agent" -> path;
      default -> output.yellow(path);
    };
  }

  private static Json withNode(Edge edge) {
    Json.Builder json = Json.object().with("node", edge.node());
    edge.raw().fieldsByName().forEach(json::with);
    return json.build();
  }
}
