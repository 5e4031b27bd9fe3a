package dev.weir.bench;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;

/** A proxy under test, an agent or an Envoy, as /proc knows it. */
record ProxyProcess(long pid) {
  // sysconf(_SC_CLK_TCK) is 100 on every Linux that Java runs on.
  private static final int CLOCK_TICKS_PER_SECOND = 100;

  /** User and system time so far. */
  double cpuMillis() throws IOException {
    return millis(11) + millis(12);
  }

  /** When it began, counted from the machine's boot. */
  double startedMillis() throws IOException {
    return millis(19);
  }

  /** A field of proc_pid_stat(5) in clock ticks, counted from behind the program's name. */
  private double millis(int field) throws IOException {
    String stat = Files.readString(Path.of("/proc/" + pid + "/stat"));
    String[] fields = stat.substring(stat.lastIndexOf(')') + 2).split(" ", -1);
    return Long.parseLong(fields[field]) * 1000.0 / CLOCK_TICKS_PER_SECOND;
  }

  double residentKiB() throws IOException {
    return status("VmRSS:");
  }

  /** Of that, what belongs to this process alone: heaps, stacks, compiled code. */
  double anonymousKiB() throws IOException {
    return status("RssAnon:");
  }

  /** Of that, pages of files, which all processes that map them share. */
  double ofFilesKiB() throws IOException {
    return status("RssFile:");
  }

  /** How many files, and so sockets, it may open. */
  long mostFiles() throws IOException {
    for (String line : Files.readAllLines(Path.of("/proc/" + pid + "/limits"))) {
      if (line.startsWith("Max open files")) {
        return Long.parseLong(line.split(" +", -1)[3]);
      }
    }
    throw new IOException("process " + pid + " has ended");
  }

  private double status(String name) throws IOException {
    for (String line : Files.readAllLines(Path.of("/proc/" + pid + "/status"))) {
      if (line.startsWith(name)) {
        return Double.parseDouble(line.replaceAll("[^0-9]", ""));
      }
    }
    throw new IOException("process " + pid + " has ended");
  }

  /** Every thread of it onto these cores, as {@code taskset -c} writes them. */
  void runOn(String cores) throws IOException {
    Command.output(
        List.of("taskset", "-a", "-c", "-p", cores, Long.toString(pid)), Duration.ofSeconds(10));
  }
}
