package dev.weir.cli;

import dev.weir.lab.LabClient;
import dev.weir.lab.UpOptions;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code weir lab up}. */
@Command(
    name = "up",
    mixinStandardHelpOptions = true,
    description = "Start a lab and wait until it is ready; else say why, and end with 1.",
    footer = {
      "",
      "Examples:",
      "  weir lab up -f pods.yaml",
      "  cat *.yaml | weir lab up -f - --nodes 3 --zone node-1=a --zone node-2=b",
      "  weir lab up --name plain --no-mesh -f pods.yaml"
    })
final class LabUpCommand implements Callable<Integer> {
  @Mixin FileOption files = new FileOption();

  @Option(
      names = "--name",
      paramLabel = "LAB",
      defaultValue = "lab",
      description = "The lab's name (default: ${DEFAULT-VALUE}).")
  String name = "lab";

  @Option(
      names = "--nodes",
      paramLabel = "N",
      defaultValue = "2",
      description = "How many nodes (default: ${DEFAULT-VALUE}).")
  int nodes = 2;

  @Option(
      names = "--zone",
      paramLabel = "NODE=ZONE",
      description = "The zone a node is in; any number of times.")
  Map<String, String> zones = new LinkedHashMap<>();

  @Option(
      names = "--no-mesh",
      description = "The same pods without agents and control plane, to compare with.")
  boolean noMesh;

  @Option(
      names = "--wait",
      paramLabel = "TIME",
      defaultValue = "60s",
      converter = Durations.class,
      description =
          "How long to wait until all is ready; 0s does not wait (default: ${DEFAULT-VALUE}).")
  Duration ready = Duration.ofSeconds(60);

  @Option(
      names = "--cert-ttl",
      paramLabel = "TIME",
      converter = Durations.class,
      description =
          "Life of the pods' certificates, 10s at least; they are renewed at half of it (default: 24h).")
  @Nullable Duration certificateLife;

  @Mixin AgentArguments agents = new AgentArguments();

  private final Output output;

  LabUpCommand(Output output) {
    this.output = output;
  }

  @Override
  public Integer call() {
    Progress progress = new Progress(output);
    List<String> arguments = new ArrayList<>(agents.arguments);
    Duration life = certificateLife;
    if (life != null) {
      arguments.add("--cert-ttl=" + life.toSeconds());
    }
    List<String> caveats = new ArrayList<>();
    LabClient lab;
    try {
      lab =
          LabClient.up(
              UpOptions.named(name)
                  .withNodes(nodes)
                  .withZones(zones)
                  .withMesh(!noMesh)
                  .withReady(ready)
                  .withAgentArgs(arguments)
                  .withSources(files.sources()),
              progress::show,
              caveats::add);
    } finally {
      progress.clear();
      caveats.forEach(output::line);
    }
    output.line("lab " + lab.name() + " is up" + (ready.isZero() ? "" : " and ready"));
    return 0;
  }
}
