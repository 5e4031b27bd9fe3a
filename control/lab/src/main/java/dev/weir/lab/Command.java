package dev.weir.lab;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/** A program of the machine, run to its end. */
final class Command {
  static final Duration USUAL = Duration.ofSeconds(15);

  /** More output than this belongs in a file. */
  private static final int MAX_OUTPUT = 1 << 20;

  private Command() {}

  record Result(int status, String out, String err) {
    /** The first thing that it complained about. */
    String complaint() {
      String said = err.isBlank() ? out : err;
      return said.isBlank() ? "status " + status : said.strip().replace('\n', ';');
    }
  }

  /** Runs and expects status 0. */
  static String run(List<String> argv, String stdin) {
    Result result = attempt(argv, stdin, USUAL);
    if (result.status() != 0) {
      throw new LabException(String.join(" ", argv) + ": " + result.complaint());
    }
    return result.out();
  }

  /** Runs; any status is an answer. */
  static Result attempt(List<String> argv, String stdin, Duration atMost) {
    Process process;
    try {
      process = new ProcessBuilder(argv).start();
    } catch (IOException e) {
      throw new LabException(
          argv.getFirst() + ": cannot be run (is it installed?): " + e.getMessage(), e);
    }
    CompletableFuture<String> out = read(process.getInputStream());
    CompletableFuture<String> err = read(process.getErrorStream());
    try {
      try (OutputStream in = process.getOutputStream()) {
        in.write(stdin.getBytes(StandardCharsets.UTF_8));
      } catch (IOException e) {
        // EPIPE: it ended without reading all of its input; its status tells why.
        process.waitFor(atMost.toMillis(), TimeUnit.MILLISECONDS);
      }
      if (!process.waitFor(atMost.toMillis(), TimeUnit.MILLISECONDS)) {
        throw new LabException(
            String.join(" ", argv) + ": no end after " + atMost.toMillis() + " ms");
      }
      return new Result(
          process.exitValue(), out.get(1, TimeUnit.SECONDS), err.get(1, TimeUnit.SECONDS));
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new LabException(argv.getFirst() + ": interrupted", e);
    } catch (ExecutionException | TimeoutException e) {
      throw new LabException(argv.getFirst() + ": its output cannot be read", e);
    } finally {
      process.destroyForcibly();
    }
  }

  private static CompletableFuture<String> read(InputStream stream) {
    CompletableFuture<String> all = new CompletableFuture<>();
    Thread.ofVirtual()
        .start(() -> {
          try (stream) {
            byte[] bytes = stream.readNBytes(MAX_OUTPUT);
            stream.transferTo(OutputStream.nullOutputStream());
            all.complete(new String(bytes, StandardCharsets.UTF_8));
          } catch (IOException | UncheckedIOException e) {
            all.completeExceptionally(e);
          }
        });
    return all;
  }
}
