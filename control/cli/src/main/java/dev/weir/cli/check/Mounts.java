package dev.weir.cli.check;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;

/** What is mounted where, by /proc/self/mountinfo. */
final class Mounts {
  private Mounts() {}

  static Path cgroup2() throws IOException {
    return first("cgroup2")
        .orElseThrow(() -> new IOException("no cgroup2 in /proc/self/mountinfo"));
  }

  static Optional<Path> first(String type) throws IOException {
    try (var lines = Files.lines(Path.of("/proc/self/mountinfo"))) {
      return lines
          .filter(line -> line.contains(" - " + type + " "))
          .map(line -> Path.of(line.split(" ", 6)[4]))
          .findFirst();
    }
  }
}
