package dev.weir.bench;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** A lab of our own, driven by the {@code weir} command. */
final class Weir implements AutoCloseable {
  private static final long PATIENCE_SECONDS = 120;

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

  /**
   * Runs {@code weir} and returns what it printed; any other status than 0 is an error that carries
   * its stderr.
   */
  String run(String... args) throws IOException {
    List<String> command = new ArrayList<>(apart());
    command.addAll(List.of(args));
    Path err = Files.createTempFile("weir-bench-", ".err");
    try {
      Process process = new ProcessBuilder(command).redirectError(err.toFile()).start();
      process.getOutputStream().close();
      String out = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
      if (!process.waitFor(PATIENCE_SECONDS, TimeUnit.SECONDS)) {
        process.destroyForcibly();
        throw new IOException(
            "%s: no end after %d s".formatted(String.join(" ", command), PATIENCE_SECONDS));
      }
      if (process.exitValue() != 0) {
        throw new IOException(
            "%s: status %d: %s"
                .formatted(
                    String.join(" ", command), process.exitValue(), Files.readString(err).strip()));
      }
      return out;
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IOException("interrupted while waiting for " + String.join(" ", command), e);
    } finally {
      Files.delete(err);
    }
  }

  /**
   * The launcher in a session of its own, which the kernel schedules as a group: clients of two
   * pods are kept apart as the pods' own programs are, and as a kubelet does it.
   */
  private List<String> apart() {
    return List.of("setsid", launcher.toString());
  }

  String exec(String pod, List<String> command) throws IOException {
    List<String> args =
        new ArrayList<>(List.of("lab", "exec", "--name", lab, "-n", "bench", pod, "--"));
    args.addAll(command);
    return run(args.toArray(String[]::new));
  }

  /** Starts a command in a pod that ends when its stdin does; its stderr is ours. */
  Process start(String pod, List<String> command) throws IOException {
    List<String> line = new ArrayList<>(apart());
    line.addAll(List.of("lab", "exec", "--name", lab, "-n", "bench", pod, "--"));
    line.addAll(command);
    return new ProcessBuilder(line).redirectError(ProcessBuilder.Redirect.INHERIT).start();
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
