package dev.weir.cli;

import dev.weir.api.json.Json;
import dev.weir.cli.check.Feature;
import dev.weir.cli.check.Finding;
import dev.weir.cli.check.Preflight;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;

@Command(
    name = "check",
    mixinStandardHelpOptions = true,
    description = {
      "Find out what this kernel and machine can do for Weir, by trying it.",
      "Ends with 0 where all that Weir needs is there, else with 1. Nothing that runs is touched."
    },
    footer = {
      "",
      "Examples:",
      "  weir check",
      "  weir check -o json | jq '.features[] | select(.state != \"ok\")'"
    })
final class CheckCommand implements Callable<Integer> {
  @Mixin FormatOption format = new FormatOption();

  private final Output output;

  CheckCommand(Output output) {
    this.output = output;
  }

  @Override
  public Integer call() {
    boolean asItGoes = format.format == Format.table || format.format == Format.wide;
    String[] group = {""};
    List<Feature> features =
        Preflight.run(feature -> {
          if (asItGoes) {
            if (!feature.group().equals(group[0])) {
              group[0] = feature.group();
              output.line(output.bold(group[0]));
            }
            print(feature);
            output.flush();
          }
        });
    List<Feature> missing = features.stream().filter(feature -> !feature.stands()).toList();
    if (asItGoes) {
      long limited =
          features.stream()
              .filter(feature -> feature.finding().state() == Finding.State.LIMITED)
              .count();
      output.line("");
      output.line(
          missing.isEmpty()
              ? output.green("Weir works here")
                  + (limited == 0 ? "" : ", " + limited + " optional features without")
              : output.red("Weir does not work here")
                  + ": missing "
                  + String.join(", ", missing.stream().map(Feature::code).toList()));
    } else {
      format.print(output, json(features, missing.isEmpty()), wide -> "");
    }
    return missing.isEmpty() ? 0 : 1;
  }

  private void print(Feature feature) {
    String mark =
        switch (feature.finding().state()) {
          case OK -> output.green("ok     ");
          case LIMITED -> output.yellow("without");
          case MISSING -> output.red("MISSING");
          case NOTE -> output.faint("note   ");
        };
    String detail = feature.finding().detail();
    output.line(
        "  %s  %s  %s%s"
            .formatted(
                feature.code(),
                mark,
                feature.name(),
                detail.isEmpty() ? "" : output.faint(": " + detail)));
    if (!feature.hint().isEmpty()) {
      output.line("                      " + feature.hint());
    }
  }

  private static Json json(List<Feature> features, boolean works) {
    List<Json> rows =
        features.stream()
            .map(feature ->
                Json.object()
                    .with("code", feature.code())
                    .with("group", feature.group())
                    .with("name", feature.name())
                    .with("state", feature.finding().state().name().toLowerCase(Locale.ROOT))
                    .with("required", feature.required())
                    .with("detail", feature.finding().detail())
                    .with("hint", feature.hint())
                    .build())
            .toList();
    return Json.object().with("works", works).with("features", Json.of(rows)).build();
  }
}
