package dev.weir.e2e;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

/** The {@code weir} command, run as a process. */
final class WeirCommand {
  private static final long PATIENCE_SECONDS = 180;

  private WeirCommand() {}

  record Outcome(int status, String out, String err) {
    Outcome ok() {
      if (status != 0) {
        throw new AssertionError("status %d%n%s%n%s".formatted(status, out, err));
      }
      return this;
    }
  }

  /** The checkout whose {@code weir} is under test. */
  static Path home() {
    Path at = Path.of("").toAbsolutePath();
    while (!Files.isExecutable(at.resolve("weir")) || !Files.isDirectory(at.resolve("bpf"))) {
      at = at.getParent();
      if (at == null) {
        throw new IllegalStateException(
            "no checkout with ./weir above " + Path.of("").toAbsolutePath());
      }
    }
    return at;
  }

  static Outcome run(String... args) {
    return run("", List.of(args));
  }

  static Process start(List<String> args) {
    List<String> command = new ArrayList<>();
    command.add(home().resolve("weir").toString());
    command.addAll(args);
    return launch(command);
  }

  /** Any other program, to its end. */
  static Outcome process(List<String> command) {
    return finish(launch(command), "", command);
  }

  static Process launch(List<String> command) {
    try {
      return new ProcessBuilder(command).start();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  static Outcome run(String stdin, List<String> args) {
    return finish(start(args), stdin, args);
  }

  private static Outcome finish(Process process, String stdin, List<String> args) {
    try {
      var out = text(process.getInputStream());
      var err = text(process.getErrorStream());
      try (var in = process.getOutputStream()) {
        in.write(stdin.getBytes(StandardCharsets.UTF_8));
      }
      if (!process.waitFor(PATIENCE_SECONDS, TimeUnit.SECONDS)) {
        process.destroyForcibly();
        throw new AssertionError(
            "no end after %d s: %s%n%s%n%s"
                .formatted(PATIENCE_SECONDS, String.join(" ", args), out.join(), err.join()));
      }
      return new Outcome(process.exitValue(), out.join(), err.join());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new AssertionError("interrupted", e);
    }
  }

  private static CompletableFuture<String> text(java.io.InputStream stream) {
    return CompletableFuture.supplyAsync(
        () -> {
          try {
            return new String(stream.readAllBytes(), StandardCharsets.UTF_8);
          } catch (IOException e) {
            throw new UncheckedIOException(e);
          }
        },
        task -> Thread.ofVirtual().start(task));
  }
}
