package dev.weir.cli;

import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import picocli.CommandLine;
import picocli.CommandLine.Help.Ansi;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.ParameterException;

/**
 * Entry: parses, runs one command, turns what went wrong into one line and a status (1: it failed,
 * 2: it was asked wrongly).
 */
public final class Main {
  private Main() {}

  public static void main(String[] arguments) {
    Output output = Output.standard();
    int status = run(arguments, output);
    output.flush();
    System.exit(status);
  }

  static int run(String[] arguments, Output output) {
    if (arguments.length == 1 && arguments[0].equals("--train")) {
      return Training.run(output);
    }
    if (arguments.length == 1 && arguments[0].equals("version")) {
      // picocli's classes are of a version that no AOT cache takes: a call that needs no parser is
      // three times as fast without it.
      output.line(VersionCommand.text());
      return 0;
    }
    CommandLine line = Commands.line(arguments, output);
    return line.execute(arguments);
  }

  /** What every command line here has in common. */
  static CommandLine dress(CommandLine line, Output output) {
    line.getSubcommands().values().forEach(Main::keepVersionForRoot);
    Ansi ansi = output.terminal() ? Ansi.ON : Ansi.OFF;
    return line.setOut(output.out())
        .setErr(output.err())
        .setColorScheme(CommandLine.Help.defaultColorScheme(ansi))
        .setUsageHelpWidth(100)
        .setUsageHelpLongOptionsMaxWidth(36)
        .setCaseInsensitiveEnumValuesAllowed(true)
        .setAbbreviatedOptionsAllowed(false)
        .setParameterExceptionHandler((failure, given) -> wronglyAsked(failure, output))
        .setExecutionExceptionHandler((failure, command, parsed) -> failed(failure, output));
  }

  private static void keepVersionForRoot(CommandLine line) {
    OptionSpec version = line.getCommandSpec().findOption("--version");
    if (version != null) {
      line.getCommandSpec().remove(version);
    }
    line.getSubcommands().values().forEach(Main::keepVersionForRoot);
  }

  private static int wronglyAsked(ParameterException failure, Output output) {
    String name = failure.getCommandLine().getCommandSpec().qualifiedName();
    String what = firstLine(failure);
    output.err().println("weir: " + what + ": see '" + name + " --help'");
    output.flush();
    return 2;
  }

  private static int failed(Exception failure, Output output) {
    output.out().flush();
    output.err().println("weir: " + firstLine(failure));
    if (!(failure instanceof CommandFailure) && System.getenv("WEIR_TRACE") != null) {
      failure.printStackTrace(output.err());
    }
    output.flush();
    return failure instanceof CommandFailure known ? known.status() : 1;
  }

  private static String firstLine(Exception failure) {
    String message = failure.getMessage();
    if (message == null || message.isBlank()) {
      return failure.getClass().getSimpleName() + ": set WEIR_TRACE=1 to see where";
    }
    return Arrays.stream(message.split("\n", -1))
        .filter(line -> !line.isBlank())
        .findFirst()
        .orElse(message)
        .strip();
  }

  static PrintWriter writer(java.io.OutputStream stream) {
    return new PrintWriter(stream, false, StandardCharsets.UTF_8);
  }
}
