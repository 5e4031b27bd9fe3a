package dev.weir.cli;

import dev.weir.api.json.Json;
import java.util.function.Function;
import picocli.CommandLine.Option;

/** The {@code -o} of every listing. */
final class FormatOption {
  @Option(
      names = {"-o", "--output"},
      paramLabel = "FORMAT",
      defaultValue = "table",
      description = "How to print: ${COMPLETION-CANDIDATES} (default: ${DEFAULT-VALUE}).")
  Format format = Format.table;

  /** Prints data as the user asked; people get what the function makes, {@code true} for wide. */
  void print(Output output, Json data, Function<Boolean, String> forPeople) {
    String text =
        switch (format) {
          case table -> forPeople.apply(false);
          case wide -> forPeople.apply(true);
          case json -> data.toPrettyJson();
          case yaml -> Yaml.text(data);
        };
    output.line(text.stripTrailing());
  }
}
