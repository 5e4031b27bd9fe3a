package dev.weir.cli;

import dev.weir.lab.Source;
import java.util.ArrayList;
import java.util.List;
import picocli.CommandLine.Option;

/** {@code -f}: the YAML that a command is about. */
final class FileOption {
  @Option(
      names = {"-f", "--filename"},
      paramLabel = "FILE",
      description = "YAML: a file, a folder, or - for standard input; any number of times.")
  List<String> files = new ArrayList<>();

  List<Source> sources() {
    List<Source> sources = new ArrayList<>();
    for (String file : files) {
      sources.addAll(Source.read(file, System.in));
    }
    return sources;
  }
}
