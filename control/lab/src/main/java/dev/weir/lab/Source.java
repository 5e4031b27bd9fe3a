package dev.weir.lab;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;

/**
 * One text of YAML documents and the name that errors give it.
 *
 * @param name a file's path, or {@code stdin}
 */
public record Source(String name, String text) {
  /**
   * A text that no file holds: what the API server says too is at most 3 MiB; this bounds a
   * directory named by mistake.
   */
  private static final long MAX_BYTES = 16 << 20;

  /**
   * What {@code -f} names: a file, a directory (its *.yaml, *.yml and *.json, sorted, not deeper),
   * or {@code -} for stdin.
   */
  public static List<Source> read(String name, InputStream stdin) {
    try {
      if (name.equals("-")) {
        return List.of(
            new Source("stdin", new String(stdin.readAllBytes(), StandardCharsets.UTF_8)));
      }
      Path path = Path.of(name);
      if (!Files.exists(path)) {
        throw new LabException(name + ": no such file or directory");
      }
      if (!Files.isDirectory(path)) {
        return List.of(file(path));
      }
      List<Source> sources = new ArrayList<>();
      try (Stream<Path> files = Files.list(path)) {
        for (Path file : files.sorted().toList()) {
          if (file.getFileName().toString().matches(".*\\.(yaml|yml|json)")
              && Files.isRegularFile(file)) {
            sources.add(file(file));
          }
        }
      }
      if (sources.isEmpty()) {
        throw new LabException(name + ": no .yaml, .yml or .json file in this directory");
      }
      return sources;
    } catch (IOException | UncheckedIOException e) {
      throw new LabException(name + ": cannot be read: " + e.getMessage(), e);
    }
  }

  private static Source file(Path path) throws IOException {
    if (Files.size(path) > MAX_BYTES) {
      throw new LabException(
          path + ": " + Files.size(path) + " bytes (expected: at most " + MAX_BYTES + ")");
    }
    return new Source(path.toString(), Files.readString(path));
  }
}
