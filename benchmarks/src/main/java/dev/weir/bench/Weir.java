package dev.weir.bench;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;

/** A lab of our own, driven by the {@code weir} command. */
final class Weir implements AutoCloseable {
  // The longest that anything measures is a minute.
  private static final Duration PATIENCE = Duration.ofMinutes(2);

  private final Path launcher;
  private final String lab;

  private Weir(Path launcher, String lab) {
    this.launcher = launcher;
    this.lab = lab;
  }

  String lab() {
    return lab;
  }

  static Weir up(Path home, String lab, int nodes, String yaml) throws IOException {
    Weir weir = new Weir(home.resolve("weir"), lab);
    Path file = Files.createTempFile("weir-bench-", ".yaml");
    try {
      Files.writeString(file, yaml);
      weir.run(
          "lab", "up", "--name", lab, "--nodes", Integer.toString(nodes), "-f", file.toString());
    } finally {
      Files.delete(file);
    }
    return weir;
  }

  /** Runs {@code weir} and returns what it printed. */
  String run(String... args) throws IOException {
    return run(PATIENCE, args);
  }

  private String run(Duration atMost, String... args) throws IOException {
    List<String> command = new ArrayList<>(apart());
    command.addAll(List.of(args));
    return Command.output(command, atMost);
  }

  /**
   * The launcher in a session of its own, which the kernel schedules as a group: clients of two
   * pods are kept apart as the pods' own programs are, and as a kubelet does it.
   */
  private List<String> apart() {
    return List.of("setsid", launcher.toString());
  }

  String exec(String pod, List<String> command) throws IOException {
    return exec(pod, command, PATIENCE);
  }

  String exec(String pod, List<String> command, Duration atMost) throws IOException {
    List<String> args =
        new ArrayList<>(List.of("lab", "exec", "--name", lab, "-n", "bench", pod, "--"));
    args.addAll(command);
    return run(atMost, args.toArray(String[]::new));
  }

  /** Starts a command in a pod that ends when its stdin does. */
  Process start(String pod, List<String> command, Path err) throws IOException {
    List<String> line = new ArrayList<>(apart());
    line.addAll(List.of("lab", "exec", "--name", lab, "-n", "bench", pod, "--"));
    line.addAll(command);
    return new ProcessBuilder(line).redirectError(err.toFile()).start();
  }

  void annotate(String object, String... changes) throws IOException {
    List<String> args =
        new ArrayList<>(List.of("lab", "annotate", "--name", lab, "-n", "bench", object));
    args.addAll(List.of(changes));
    run(args.toArray(String[]::new));
  }

  @Override
  public void close() throws IOException {
    run("lab", "down", "--name", lab);
  }
}
