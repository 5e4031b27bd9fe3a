package dev.weir.lab;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * The way into a running container that the daemon leaves in files, so that {@code exec} needs no
 * daemon and no JVM. {@code containers/C/} holds {@code pid} (the pod's init as the machine sees
 * it), {@code cgroup} (the folder to join), {@code env} (NUL-separated, complete), {@code cwd}, and
 * {@code uid} and {@code gid} where it does not run as root; the pod's own folder holds the first
 * container's.
 *
 * @param folder the one with these files
 */
record PodEntry(Path folder) {
  static PodEntry of(Paths paths, String namespace, String pod, String container) {
    Path folder = paths.pod(namespace, pod);
    if (!Files.exists(folder.resolve("pid"))) {
      throw new LabException("no running pod " + namespace + "/" + pod + " in lab " + paths.lab());
    }
    if (container.isEmpty()) {
      return new PodEntry(folder);
    }
    Path own = folder.resolve("containers").resolve(container);
    if (!Files.exists(own.resolve("pid"))) {
      throw new LabException(
          "pod " + namespace + "/" + pod + " has no container '" + container + "'");
    }
    return new PodEntry(own);
  }

  List<String> command(List<String> argv) {
    try {
      List<String> words =
          new ArrayList<>(Cgroups.joining(Files.readString(folder.resolve("cgroup")).strip()));
      words.addAll(
          entering(
              Files.readString(folder.resolve("pid")).strip(),
              Files.readString(folder.resolve("cwd")).strip(),
              optional("uid"),
              optional("gid"),
              words(Files.readString(folder.resolve("env")))));
      words.addAll(argv);
      return words;
    } catch (NoSuchFileException e) {
      throw new LabException(e.getFile() + ": gone, so is the pod", e);
    } catch (IOException e) {
      throw new LabException(folder + ": cannot be read: " + e.getMessage(), e);
    }
  }

  /** Words that, put before a command, run it in the namespaces of {@code pid}. */
  static List<String> entering(String pid, String cwd, String uid, String gid, List<String> env) {
    List<String> words =
        new ArrayList<>(
            List.of(
                "nsenter",
                "--target",
                pid,
                "--net",
                "--mount",
                "--pid",
                "--uts",
                "--wdns=" + (cwd.isEmpty() ? "/" : cwd)));
    if (!gid.isEmpty()) {
      words.add("--setgid=" + gid);
    }
    if (!uid.isEmpty()) {
      words.add("--setuid=" + uid);
    }
    words.addAll(List.of("--", "env", "-i"));
    words.addAll(env);
    return words;
  }

  void write(long pid, Path cgroup, List<String> env, String cwd, String uid, String gid)
      throws IOException {
    Files.createDirectories(folder);
    Files.writeString(folder.resolve("cgroup"), cgroup + "\n");
    Files.writeString(folder.resolve("env"), String.join("\0", env) + "\0");
    Files.writeString(folder.resolve("cwd"), cwd + "\n");
    for (var id : List.of(java.util.Map.entry("uid", uid), java.util.Map.entry("gid", gid))) {
      if (!id.getValue().isEmpty()) {
        Files.writeString(folder.resolve(id.getKey()), id.getValue() + "\n");
      }
    }
    // Last: it is what says that the rest can be read.
    Files.writeString(folder.resolve("pid"), pid + "\n", StandardCharsets.UTF_8);
  }

  private String optional(String file) throws IOException {
    Path path = folder.resolve(file);
    return Files.exists(path) ? Files.readString(path).strip() : "";
  }

  /** What NULs end. */
  private static List<String> words(String text) {
    return text.isEmpty()
        ? List.of()
        : List.of(text.substring(0, text.length() - 1).split("\0", -1));
  }
}
