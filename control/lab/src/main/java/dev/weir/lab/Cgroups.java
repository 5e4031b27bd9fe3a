package dev.weir.lab;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.locks.LockSupport;
import java.util.stream.Stream;

/**
 * Folders of cgroup2: every process of a lab is in one that bears the lab's name, so none can
 * outlive {@code down}.
 */
final class Cgroups {
  private static final Duration DIES = Duration.ofSeconds(10);

  private Cgroups() {}

  /**
   * Where cgroup2 is mounted: /sys/fs/cgroup, or /sys/fs/cgroup/unified where systemd keeps version
   * 1 beside it.
   */
  static Path root() {
    return find()
        .orElseThrow(() ->
            new LabException(
                "no cgroup2 is mounted (/proc/self/mountinfo): `mount -t cgroup2 none /sys/fs/cgroup` mounts it"));
  }

  static Optional<Path> find() {
    try {
      for (String line : Files.readAllLines(Path.of("/proc/self/mountinfo"))) {
        // proc(5): ID PARENT MAJOR:MINOR ROOT MOUNTPOINT OPTIONS [TAG…] - TYPE SOURCE OPTIONS
        int dash = line.indexOf(" - ");
        if (dash > 0 && line.startsWith("cgroup2 ", dash + 3)) {
          return Optional.of(Path.of(line.split(" ", 6)[4]));
        }
      }
      return Optional.empty();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /**
   * Words that, put before a command, run it in the folder and in a scheduling group of its own, as
   * a kubelet gives every pod one: what one pod's programs want of the processors costs another pod
   * its share and no more. Each session is such a group (sched(7), autogroup).
   */
  static List<String> apart(Path folder) {
    List<String> words = new ArrayList<>(List.of("setsid"));
    words.addAll(joining(folder.toString()));
    return words;
  }

  /** Words that, put before a command, run it in the folder. */
  static List<String> joining(String folder) {
    return List.of("sh", "-c", "echo 0 > \"$0/cgroup.procs\" && exec \"$@\"", folder);
  }

  static Path create(Path folder) {
    try {
      return Files.createDirectories(folder);
    } catch (IOException e) {
      throw new LabException(folder + ": cannot be made: " + e.getMessage(), e);
    }
  }

  /** SIGKILL to every process at or below the folder; fine where there is none. */
  static void kill(Path folder) {
    try {
      Files.writeString(folder.resolve("cgroup.kill"), "1");
    } catch (NoSuchFileException e) {
      // Before Linux 5.14 there is no cgroup.kill; where the whole folder is gone there is nothing
      // to do.
      processes(folder)
          .forEach(pid -> ProcessHandle.of(pid).ifPresent(ProcessHandle::destroyForcibly));
    } catch (IOException e) {
      // ENODEV: the folder went between open and write.
      if (Files.exists(folder)) {
        throw new LabException(folder + ": its processes cannot be killed: " + e.getMessage(), e);
      }
    }
  }

  /** The processes in this very folder and below it. */
  static List<Long> processes(Path folder) {
    List<Long> pids = new ArrayList<>();
    for (Path each : tree(folder)) {
      try {
        Files.readAllLines(each.resolve("cgroup.procs"))
            .forEach(line -> pids.add(Long.parseLong(line)));
      } catch (IOException e) {
        // ENODEV or ENOENT: removed meanwhile, and only an empty one can be.
        if (Files.exists(each.resolve("cgroup.procs"))) {
          Log.info(each + ": " + e.getMessage());
        }
      }
    }
    return pids;
  }

  static boolean populated(Path folder) {
    try {
      return Files.readString(folder.resolve("cgroup.events")).contains("populated 1");
    } catch (IOException e) {
      return false;
    }
  }

  /**
   * Kills what is in the folder, waits until it is gone, and removes the folder and all below it.
   */
  static void remove(Path folder) {
    if (!Files.exists(folder)) {
      return;
    }
    long deadline = System.nanoTime() + DIES.toNanos();
    while (true) {
      kill(folder);
      if (!populated(folder) && removeTree(folder)) {
        return;
      }
      if (System.nanoTime() > deadline) {
        throw new LabException(
            folder
                + ": still has processes after "
                + DIES.toSeconds()
                + " s of SIGKILL: "
                + processes(folder));
      }
      LockSupport.parkNanos(2_000_000);
    }
  }

  private static boolean removeTree(Path folder) {
    try {
      for (Path each : tree(folder).reversed()) {
        Files.deleteIfExists(each);
      }
      return true;
    } catch (IOException e) {
      // EBUSY: a process that is still being taken apart, or one that was forked between kill and
      // rmdir.
      return false;
    }
  }

  /** The folder and all below it, parents first. */
  private static List<Path> tree(Path folder) {
    if (!Files.isDirectory(folder)) {
      return List.of();
    }
    try (Stream<Path> all = Files.walk(folder)) {
      return all.filter(Files::isDirectory).toList();
    } catch (IOException | UncheckedIOException e) {
      // A folder went while it was walked: what is left is found by the next round.
      return List.of(folder);
    }
  }
}
