package dev.weir.cli;

import dev.weir.lab.LabClient;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code weir lab down}. */
@Command(
    name = "down",
    mixinStandardHelpOptions = true,
    description = "Take a lab away, whatever state it is in. Fine where there is none.",
    footer = {"", "Examples:", "  weir lab down", "  weir lab down --all"})
final class LabDownCommand implements Callable<Integer> {
  @Mixin LabOption lab = new LabOption();

  @Option(names = "--all", description = "Every lab, and what labs left behind.")
  boolean all;

  private final Output output;

  LabDownCommand(Output output) {
    this.output = output;
  }

  @Override
  public Integer call() {
    if (all) {
      List<String> up = LabClient.names();
      LabClient.downAll();
      up.forEach(name -> output.line("lab " + name + " is down"));
      if (up.isEmpty()) {
        output.line("no lab was up");
      }
      return 0;
    }
    String name = lab.name;
    if (name == null) {
      List<String> names = LabClient.names();
      if (names.isEmpty()) {
        output.line("no lab is up");
        return 0;
      }
      if (names.size() > 1) {
        throw new CommandFailure(
            "several labs are up ("
                + String.join(", ", names)
                + "): say which with --name, or --all");
      }
      name = names.getFirst();
    }
    LabClient.down(name);
    output.line("lab " + name + " is down");
    return 0;
  }
}
