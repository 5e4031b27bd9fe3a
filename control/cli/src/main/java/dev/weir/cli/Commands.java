package dev.weir.cli;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.function.Function;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;

/**
 * Every command by name. One that is named is made alone; only help and completion make them all.
 */
final class Commands {
  private record Entry(String name, Function<Output, Object> make) {}

  private static final List<Entry> ENTRIES =
      List.of(
          new Entry("check", CheckCommand::new),
          new Entry("demo", DemoCommand::new),
          new Entry("status", StatusCommand::new),
          new Entry("edges", EdgesCommand::new),
          new Entry("top", TopCommand::new),
          new Entry("certs", CertsCommand::new),
          new Entry("version", VersionCommand::new),
          new Entry("completion", CompletionCommand::new));

  private Commands() {}

  static CommandLine line(String[] arguments, Output output) {
    CommandLine root = new CommandLine(new Root());
    String first = arguments.length == 0 ? "" : arguments[0];
    List<Entry> chosen = new ArrayList<>();
    for (Entry entry : ENTRIES) {
      if (entry.name.equals(first)) {
        chosen.add(entry);
      }
    }
    if (chosen.isEmpty()) {
      root.addSubcommand("lab", LabCommands.line(arguments.length > 1 ? arguments[1] : "", output));
    }
    for (Entry entry : chosen.isEmpty() && !first.equals("lab") ? ENTRIES : chosen) {
      root.addSubcommand(entry.name, new CommandLine(entry.make.apply(output)));
    }
    return Main.dress(root, output);
  }

  static CommandLine all(Output output) {
    return line(new String[0], output);
  }

  /** What {@code weir} is without a command. */
  @Command(
      name = "weir",
      mixinStandardHelpOptions = true,
      versionProvider = VersionCommand.Version.class,
      synopsisSubcommandLabel = "COMMAND",
      description = "A service mesh without sidecars: one agent a node, eBPF capture.",
      commandListHeading = "%nCommands:%n",
      footer = {
        "",
        "By the launcher, on this checkout:",
        "  build        Build all that is older than its sources, and the caches for fast starts.",
        "  test         Build, then run every test: weir test [-k NAME].",
        "  bench        Measure: weir bench same-node, cross-node, fairness [--quick].",
        "",
        "Examples:",
        "  weir check                 what this kernel and machine can do",
        "  weir demo --for 20s        a small shop on two nodes, its load, who calls whom",
        "  weir lab up -f pods.yaml   run Kubernetes YAML on this machine, in the mesh",
        "",
        "'weir COMMAND --help' tells more of each."
      })
  static final class Root implements Callable<Integer> {
    @CommandLine.Spec CommandSpec spec = CommandSpec.create();

    @Override
    public Integer call() {
      spec.commandLine().usage(spec.commandLine().getErr());
      return 2;
    }
  }
}
