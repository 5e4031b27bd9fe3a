package dev.weir.cli;

import picocli.CommandLine.Option;

/** The {@code -n} of commands about one object. */
final class NamespaceOption {
  @Option(
      names = {"-n", "--namespace"},
      paramLabel = "NS",
      defaultValue = "default",
      description = "Its namespace (default: ${DEFAULT-VALUE}).")
  String namespace = "default";
}
