package dev.weir.cli;

import dev.weir.lab.LabClient;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/**
 * The {@code --name} of every command that talks to a lab; it may be left out where one lab is up.
 */
final class LabOption {
  @Option(
      names = {"--name", "--lab"},
      paramLabel = "LAB",
      description = "Which lab, where more than one is up.")
  @Nullable String name;

  LabClient lab() {
    return name == null ? LabClient.only() : LabClient.of(name);
  }
}
