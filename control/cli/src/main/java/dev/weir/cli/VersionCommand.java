package dev.weir.cli;

import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.IVersionProvider;

@Command(
    name = "version",
    mixinStandardHelpOptions = true,
    description = "Show the version of Weir, Java and the kernel.",
    footer = {"", "Example:", "  weir version"})
final class VersionCommand implements Callable<Integer> {
  private final Output output;

  VersionCommand(Output output) {
    this.output = output;
  }

  @Override
  public Integer call() {
    output.line(text());
    return 0;
  }

  static String text() {
    String version = VersionCommand.class.getPackage().getImplementationVersion();
    return "weir %s (java %s, %s %s)"
        .formatted(
            version == null ? "from classes" : version,
            Runtime.version().feature()
                + "."
                + Runtime.version().interim()
                + "."
                + Runtime.version().update(),
            System.getProperty("os.name"),
            System.getProperty("os.version"));
  }

  static final class Version implements IVersionProvider {
    @Override
    public String[] getVersion() {
      return new String[] {text()};
    }
  }
}
