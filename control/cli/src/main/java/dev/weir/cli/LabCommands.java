package dev.weir.cli;

import dev.weir.lab.LabClient;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.function.Function;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

/** {@code weir lab …}: each is a call on {@link LabClient} and what it says, printed. */
final class LabCommands {
  private record Entry(String name, Function<Output, Object> make) {}

  private static final List<Entry> ENTRIES =
      List.of(
          new Entry("up", LabUpCommand::new),
          new Entry("apply", LabObjectCommands.Apply::new),
          new Entry("delete", LabObjectCommands.Delete::new),
          new Entry("scale", LabObjectCommands.Scale::new),
          new Entry("annotate", LabObjectCommands.Annotate::new),
          new Entry("label", LabObjectCommands.Label::new),
          new Entry("exec", LabExecCommand::new),
          new Entry("logs", LogsCommand::new),
          new Entry("status", LabStatusCommand::new),
          new Entry("agent", LabProcessCommands.Agent::new),
          new Entry("control", LabProcessCommands.Control::new),
          new Entry("down", LabDownCommand::new));

  private LabCommands() {}

  /** The group with the one command that is asked for, or with all. */
  static CommandLine line(String second, Output output) {
    CommandLine group = new CommandLine(new Group());
    boolean known = ENTRIES.stream().anyMatch(entry -> entry.name.equals(second));
    for (Entry entry : ENTRIES) {
      if (!known || entry.name.equals(second)) {
        group.addSubcommand(entry.name, new CommandLine(entry.make.apply(output)));
      }
    }
    return group;
  }

  @Command(
      name = "lab",
      mixinStandardHelpOptions = true,
      synopsisSubcommandLabel = "COMMAND",
      description =
          "Run Kubernetes YAML on this machine: nodes and pods are network namespaces, the mesh is real.",
      commandListHeading = "%nCommands:%n",
      footer = {
        "",
        "Examples:",
        "  weir lab up -f pods.yaml",
        "  weir lab exec web -- curl -s http://orders:8080/",
        "  weir lab annotate pod/web weir.dev/mesh=disabled",
        "  weir lab down"
      })
  static final class Group implements Callable<Integer> {
    @Spec CommandSpec spec = CommandSpec.create();

    @Override
    public Integer call() {
      spec.commandLine().usage(spec.commandLine().getErr());
      return 2;
    }
  }
}
