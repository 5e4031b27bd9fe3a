package dev.weir.bench;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;

/** A program that is run to its end, which is not waited for without end. */
final class Command {
  private Command() {}

  /**
   * What it printed; any other status than 0, or no end in time, is an error that carries its
   * stderr.
   */
  static String output(List<String> command, Duration atMost) throws IOException {
    // Files, since who reads from a pipe waits for as long as anyone has its other end.
    Path out = Files.createTempFile("weir-bench-", ".out");
    Path err = Files.createTempFile("weir-bench-", ".err");
    Process process = null;
    try {
      process =
          new ProcessBuilder(command)
              .redirectInput(Path.of("/dev/null").toFile())
              .redirectOutput(out.toFile())
              .redirectError(err.toFile())
              .start();
      if (!process.waitFor(atMost)) {
        throw new IOException(
            "%s: no end after %d s: %s"
                .formatted(String.join(" ", command), atMost.toSeconds(), said(err)));
      }
      if (process.exitValue() != 0) {
        throw new IOException(
            "%s: status %d: %s"
                .formatted(String.join(" ", command), process.exitValue(), said(err)));
      }
      return Files.readString(out);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IOException("interrupted while waiting for " + String.join(" ", command), e);
    } finally {
      if (process != null) {
        end(process);
      }
      Files.delete(out);
      Files.delete(err);
    }
  }

  /** Ends it and what it started: nsenter waits for a child, and would leave that behind. */
  static void end(Process process) {
    List<ProcessHandle> started = process.descendants().toList();
    process.destroyForcibly();
    started.forEach(ProcessHandle::destroyForcibly);
  }

  static String said(Path file) throws IOException {
    String text = Files.readString(file).strip();
    return text.isEmpty() ? "it said nothing" : text;
  }
}
