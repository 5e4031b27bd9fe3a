package dev.weir.agent;

import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.ArrayList;
import java.util.List;
import java.util.SortedSet;
import java.util.TreeSet;
import java.util.concurrent.ThreadLocalRandom;
import org.jspecify.annotations.Nullable;

/**
 * Where a self-test plays: a cgroup, in which its process is for as long as it lives, and a folder
 * of the same name for what it pins. The kernel keeps both when the process is killed. Whether it
 * lives its cgroup says, and not the process number, which another may have by now.
 */
record Stage(Path cgroup, Path bpffs) {
  static final String PREFIX = "weir-self-test-";
  private static final int ATTEMPTS = 20;

  /** Makes one and moves this process into it. */
  static Stage enter(Path cgroupRoot, Path bpffsRoot) throws IOException {
    // No name comes twice, or one that is swept could be one that has just been entered.
    String name =
        PREFIX
            + ProcessHandle.current().pid()
            + "-"
            + Long.toHexString(ThreadLocalRandom.current().nextLong());
    Stage stage = new Stage(cgroupRoot.resolve(name), bpffsRoot.resolve(name));
    for (int attempt = 1; ; attempt++) {
      Files.createDirectories(stage.cgroup);
      try {
        join(stage.cgroup);
        return stage;
      } catch (NoSuchFileException e) {
        // Another self-test took it for a dead one's between these two steps.
        if (attempt == ATTEMPTS) {
          throw e;
        }
      }
    }
  }

  /** Moves this process to a cgroup. */
  static void join(Path cgroup) throws IOException {
    try {
      Files.writeString(
          cgroup.resolve("cgroup.procs"), Long.toString(ProcessHandle.current().pid()));
    } catch (NoSuchFileException e) {
      throw e;
    } catch (IOException e) {
      throw new IOException(cgroup + ": cannot move this process there: " + e.getMessage(), e);
    }
  }

  /**
   * Deletes what self-tests left behind that were killed. Each was in its cgroup before it pinned
   * anything, and a cgroup with a process in it cannot be deleted (EBUSY).
   *
   * @return their names
   */
  static List<String> sweep(Path cgroupRoot, Path bpffsRoot) throws IOException {
    SortedSet<String> names = new TreeSet<>();
    for (Path root : List.of(cgroupRoot, bpffsRoot)) {
      if (Files.isDirectory(root)) {
        try (DirectoryStream<Path> found = Files.newDirectoryStream(root, PREFIX + "*")) {
          found.forEach(each -> names.add(String.valueOf(each.getFileName())));
        }
      }
    }
    List<String> swept = new ArrayList<>();
    for (String name : names) {
      Stage stage = new Stage(cgroupRoot.resolve(name), bpffsRoot.resolve(name));
      if (stage.deleteCgroup()) {
        stage.unpin();
        swept.add(name);
      }
    }
    return swept;
  }

  /** Once this process has gone elsewhere. */
  void delete() throws IOException {
    Files.deleteIfExists(cgroup);
    unpin();
  }

  /** False where a process is in it. */
  private boolean deleteCgroup() {
    try {
      Files.deleteIfExists(cgroup);
      return true;
    } catch (IOException e) {
      return false;
    }
  }

  private void unpin() throws IOException {
    Files.walkFileTree(
        bpffs,
        new SimpleFileVisitor<>() {
          @Override
          public FileVisitResult visitFile(Path pin, BasicFileAttributes attributes)
              throws IOException {
            Files.deleteIfExists(pin);
            return FileVisitResult.CONTINUE;
          }

          @Override
          public FileVisitResult visitFileFailed(Path gone, IOException why) throws IOException {
            // Another self-test sweeps as well.
            if (why instanceof NoSuchFileException) {
              return FileVisitResult.CONTINUE;
            }
            throw why;
          }

          @Override
          public FileVisitResult postVisitDirectory(Path folder, @Nullable IOException failure)
              throws IOException {
            if (failure != null) {
              throw failure;
            }
            Files.deleteIfExists(folder);
            return FileVisitResult.CONTINUE;
          }
        });
  }
}
