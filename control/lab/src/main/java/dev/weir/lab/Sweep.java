package dev.weir.lab;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * Takes a lab away by nothing but names, so that it works whatever died before it and as often as
 * one likes. The order matters: first the daemon, which would restart what is killed; then
 * processes, pins, namespaces; the lab's folder last, for it is what says that something is left to
 * do.
 */
final class Sweep {
  /** Names that every lab has, by which its leftovers are found when its folder is gone. */
  private static final Pattern MARK = Pattern.compile("weir-(.+)-(daemon|fabric|control)");

  private Sweep() {}

  static void all() {
    Set<String> labs = new TreeSet<>(LabClient.names());
    for (Path folder : folders()) {
      for (String name : list(folder)) {
        Matcher mark = MARK.matcher(name);
        if (mark.matches()) {
          labs.add(mark.group(1));
        }
      }
    }
    labs.forEach(Sweep::lab);
  }

  static void lab(String lab) {
    Paths paths = new Paths(lab);
    Path cgroups = Cgroups.find().orElse(Path.of("/sys/fs/cgroup"));
    Cgroups.remove(cgroups.resolve(paths.prefix() + "daemon"));
    List<String> processes = ownedBy(lab, list(cgroups));
    // All at once, so that the wait for their end is one wait.
    processes.forEach(name -> Cgroups.kill(cgroups.resolve(name)));
    processes.forEach(name -> Cgroups.remove(cgroups.resolve(name)));
    ownedBy(lab, list(Paths.BPFFS)).forEach(name -> delete(Paths.BPFFS.resolve(name)));
    List<String> namespaces = ownedBy(lab, list(Paths.NAMESPACES));
    if (!namespaces.isEmpty()) {
      StringBuilder batch = new StringBuilder();
      namespaces.forEach(name -> batch.append("netns delete ").append(name).append('\n'));
      Command.Result result =
          Command.attempt(
              List.of("ip", "-force", "-batch", "-"), batch.toString(), Duration.ofSeconds(30));
      List<String> left = ownedBy(lab, list(Paths.NAMESPACES));
      if (!left.isEmpty()) {
        throw new LabException(
            "network namespaces " + left + " cannot be deleted: " + result.complaint());
      }
    }
    delete(paths.folder());
    try {
      Files.deleteIfExists(Paths.HOME);
    } catch (FileSystemException e) {
      // Not empty: another lab lives there.
      return;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /**
   * Of these names, those that are this lab's. With a lab {@code a} and a lab {@code a-b} beside
   * it, {@code weir-a-b-node-1} begins like both; it is the longer one's.
   */
  static List<String> ownedBy(String lab, List<String> names, List<String> labs) {
    String prefix = new Paths(lab).prefix();
    List<String> longer =
        labs.stream()
            .filter(other -> other.startsWith(lab + "-"))
            .map(other -> new Paths(other).prefix())
            .toList();
    return names.stream()
        .filter(name -> name.startsWith(prefix) && longer.stream().noneMatch(name::startsWith))
        .toList();
  }

  private static List<String> ownedBy(String lab, List<String> names) {
    return ownedBy(lab, names, LabClient.names());
  }

  private static List<Path> folders() {
    List<Path> folders = new ArrayList<>(List.of(Paths.NAMESPACES, Paths.BPFFS));
    Cgroups.find().ifPresent(folders::add);
    return folders;
  }

  private static List<String> list(Path folder) {
    if (!Files.isDirectory(folder)) {
      return List.of();
    }
    try (Stream<Path> entries = Files.list(folder)) {
      return entries.map(entry -> entry.getFileName().toString()).toList();
    } catch (IOException | UncheckedIOException e) {
      throw new LabException(folder + ": cannot be listed: " + e.getMessage(), e);
    }
  }

  static void delete(Path folder) {
    if (!Files.exists(folder)) {
      return;
    }
    try (Stream<Path> all = Files.walk(folder)) {
      for (Path each : all.sorted(Comparator.reverseOrder()).toList()) {
        Files.deleteIfExists(each);
      }
    } catch (IOException | UncheckedIOException e) {
      throw new LabException(folder + ": cannot be removed: " + e.getMessage(), e);
    }
  }
}
