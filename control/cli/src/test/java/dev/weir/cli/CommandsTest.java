package dev.weir.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import picocli.CommandLine;

final class CommandsTest {
  private final StringWriter out = new StringWriter();
  private final StringWriter err = new StringWriter();

  private int weir(String... arguments) {
    return Main.run(arguments, new Output(new PrintWriter(out), new PrintWriter(err), false));
  }

  static Stream<List<String>> commands() {
    List<List<String>> paths = new ArrayList<>();
    collect(
        Commands.all(
            new Output(
                new PrintWriter(new StringWriter()), new PrintWriter(new StringWriter()), false)),
        List.of(),
        paths);
    return paths.stream();
  }

  private static void collect(CommandLine line, List<String> path, List<List<String>> paths) {
    paths.add(path);
    line.getSubcommands()
        .forEach((name, command) -> {
          List<String> longer = new ArrayList<>(path);
          longer.add(name);
          collect(command, longer, paths);
        });
  }

  @ParameterizedTest
  @MethodSource("commands")
  void everyCommandHelpsWithExamples(List<String> path) {
    List<String> arguments = new ArrayList<>(path);
    arguments.add("--help");
    assertThat(weir(arguments.toArray(String[]::new))).isZero();
    assertThat(out.toString())
        .contains("Usage: weir")
        .containsPattern("Examples?:\n  ")
        .doesNotContain("%n");
    assertThat(err.toString()).isEmpty();
  }

  static Stream<Arguments> mistakes() {
    return Stream.of(
        Arguments.of(new String[] {"chekc"}, "chekc"),
        Arguments.of(new String[] {"lab", "up", "--nodes", "two"}, "two"),
        Arguments.of(new String[] {"lab", "up", "--wait", "soon"}, "soon"),
        Arguments.of(new String[] {"lab", "annotate", "pod"}, "KIND/NAME"),
        Arguments.of(new String[] {"lab", "annotate", "pod/web", "novalue"}, "KEY=VALUE"),
        Arguments.of(new String[] {"lab", "agent", "node-1", "explode"}, "explode"),
        Arguments.of(new String[] {"lab", "apply"}, "-f"),
        Arguments.of(new String[] {"lab", "delete"}, "-f"),
        Arguments.of(new String[] {"edges", "-o", "xml"}, "xml"),
        Arguments.of(new String[] {"demo", "--for", "-3"}, "-3"),
        Arguments.of(new String[] {"completion", "fish"}, "fish"));
  }

  @ParameterizedTest
  @MethodSource("mistakes")
  void aMistakeIsOneLineThatNamesItAndTheHelp(String[] arguments, String what) {
    assertThat(weir(arguments)).isEqualTo(2);
    assertThat(err.toString().lines()).hasSize(1);
    assertThat(err.toString()).startsWith("weir: ").contains(what).contains("--help'");
    assertThat(out.toString()).isEmpty();
  }

  @Test
  void withoutACommandTheUsageGoesToStandardError() {
    assertThat(weir()).isEqualTo(2);
    assertThat(err.toString()).contains("Usage: weir");
    assertThat(out.toString()).isEmpty();
  }

  @ParameterizedTest
  @ValueSource(strings = {"bash", "zsh"})
  void theCompletionScriptIsOneThatBashParses(String shell)
      throws IOException, InterruptedException {
    assertThat(weir("completion", shell)).isZero();
    Process bash = new ProcessBuilder("bash", "-n").redirectErrorStream(true).start();
    try (var in = bash.getOutputStream()) {
      in.write(out.toString().getBytes(StandardCharsets.UTF_8));
    }
    assertThat(new String(bash.getInputStream().readAllBytes(), StandardCharsets.UTF_8)).isEmpty();
    assertThat(bash.waitFor()).isZero();
    assertThat(out.toString()).contains("annotate").contains("demo");
  }

  @Test
  void theVersionNamesJavaAndKernel() {
    assertThat(weir("version")).isZero();
    assertThat(out.toString()).startsWith("weir ").contains("java 25").contains("Linux");
  }

  @Test
  void aLabThatIsNotUpIsOneLineThatTellsHowToStartOne() {
    assertThat(weir("lab", "status", "--name", "no-such-lab")).isEqualTo(1);
    assertThat(err.toString().lines()).hasSize(1);
    assertThat(err.toString()).contains("no-such-lab").contains("weir lab up");
  }
}
