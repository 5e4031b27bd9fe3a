package dev.weir.testing;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;

/** Where cgroup2 is mounted here: on hybrid machines not at /sys/fs/cgroup. */
public final class Cgroup2 {
  private Cgroup2() {}

  public static Optional<Path> root() {
    try (var mounts = Files.lines(Path.of("/proc/self/mountinfo"))) {
      return mounts
          .filter(line -> line.contains(" - cgroup2 "))
          .map(line -> Path.of(line.split(" ", 6)[4]))
          .findFirst();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
