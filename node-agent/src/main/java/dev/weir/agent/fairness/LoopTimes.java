package dev.weir.agent.fairness;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/**
 * How long threads have had a processor, as the kernel counts it. What is measured by a clock goes
 * on while another program runs on the loop's processor, and that is not the pod's to pay.
 */
final class LoopTimes {
  // proc(5): comm keeps this many characters of a thread's name.
  private static final int NAME = 15;

  private final Path tasks;
  private final Map<String, Path> known = new HashMap<>();

  LoopTimes(Path tasks) {
    this.tasks = tasks;
  }

  static LoopTimes ofThisProcess() {
    return new LoopTimes(Path.of("/proc/self/task"));
  }

  /** Nanoseconds on a processor since the thread began; -1 where the kernel does not tell. */
  long cpuNanos(String thread) {
    String name = thread.length() > NAME ? thread.substring(0, NAME) : thread;
    try {
      Path folder = known.get(name);
      if (folder == null) {
        folder = find(name);
        known.put(name, folder);
      }
      String first = Files.readString(folder.resolve("schedstat")).split(" ", 2)[0];
      return Long.parseLong(first);
    } catch (IOException | UncheckedIOException | NumberFormatException e) {
      // Without CONFIG_SCHED_INFO: then the clock has to do.
      return -1;
    }
  }

  private Path find(String name) throws IOException {
    List<Path> all;
    try (Stream<Path> each = Files.list(tasks)) {
      all = each.toList();
    }
    for (Path each : all) {
      if (Files.readString(each.resolve("comm")).strip().equals(name)) {
        return each;
      }
    }
    throw new IOException("no thread " + name);
  }
}
