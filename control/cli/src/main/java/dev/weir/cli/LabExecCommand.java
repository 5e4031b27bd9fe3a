package dev.weir.cli;

import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code weir lab exec}. */
@Command(
    name = "exec",
    mixinStandardHelpOptions = true,
    customSynopsis = "weir lab exec [--name LAB] [-n NS] POD [-c CONTAINER] -- CMD…",
    description = {
      "Run a command in a pod. Standard input, output, error and the status are the command's.",
      "The launcher does this itself, without Java, so that it adds only milliseconds."
    },
    footer = {
      "",
      "Examples:",
      "  weir lab exec web -- hostname",
      "  weir lab exec -n shop front -- curl -s http://catalog:8080/items",
      "  tar c . | weir lab exec web -- tar x -C /tmp"
    })
final class LabExecCommand implements Callable<Integer> {
  @Mixin LabOption lab = new LabOption();
  @Mixin NamespaceOption namespace = new NamespaceOption();

  @Option(
      names = {"-c", "--container"},
      paramLabel = "CONTAINER",
      defaultValue = "",
      description = "Which container; the first, if not said.")
  String container = "";

  @Parameters(index = "0", paramLabel = "POD", description = "Which pod.")
  String pod = "";

  @Parameters(index = "1..*", arity = "1..*", paramLabel = "CMD", description = "The command.")
  List<String> command = List.of();

  private final Output output;

  LabExecCommand(Output output) {
    this.output = output;
  }

  /** Only reached past the launcher. */
  @Override
  public Integer call() throws java.io.IOException, InterruptedException {
    output.flush();
    List<String> entering = lab.lab().execCommand(namespace.namespace, pod, container, command);
    return new ProcessBuilder(entering).inheritIO().start().waitFor();
  }
}
