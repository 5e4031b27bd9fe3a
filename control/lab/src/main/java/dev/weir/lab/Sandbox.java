package dev.weir.lab;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/**
 * A pod's own mount, PID and UTS namespaces around its network namespace, held open by an init
 * process that reaps.
 *
 * <p>The pod's root is an overlay: below the machine as it is, above a tmpfs that dies with the
 * pod. So every program of the machine is there, volumes can be mounted at paths that the machine
 * does not have, and what a pod writes litters nothing. The same tmpfs holds its emptyDirs, which
 * are bound and not overlaid. Mounts of the machine are overlaid one by one, for an overlay does
 * not look below mount points. A Unix socket of the machine is visible in the pod but cannot be
 * connected to: an overlay has inodes of its own.
 */
final class Sandbox {
  /** Kernel interfaces: a pod gets its own, or none. */
  private static final Set<String> KERNEL =
      Set.of(
          "proc",
          "sysfs",
          "devtmpfs",
          "devpts",
          "cgroup",
          "cgroup2",
          "bpf",
          "tracefs",
          "debugfs",
          "securityfs",
          "nsfs",
          "mqueue",
          "hugetlbfs",
          "pstore",
          "efivarfs",
          "configfs",
          "fusectl",
          "binfmt_misc",
          "autofs",
          "rpc_pipefs",
          "fuse.lxcfs");

  /**
   * Half of the memory is what the kernel gives a tmpfs; a pod that fills its disk should not take
   * the machine's memory.
   */
  private static final String TMPFS_SIZE = "25%";

  private Sandbox() {}

  /**
   * Something to bind into the pod.
   *
   * @param source a path of the machine, or the name of one of the pod's own empty folders (with a
   *     path below it, perhaps)
   */
  record Mount(String path, String source, boolean readOnly) {}

  /** The init process: {@code unshare} outside, whose child is PID 1 inside. */
  record Init(Process process, long pid) {}

  /** Makes the namespaces and returns once all mounts stand. */
  static Init start(
      Path folder,
      Path cgroup,
      String netns,
      String hostname,
      List<Mount> mounts,
      List<String> emptyDirs) {
    try {
      Path script = folder.resolve("init.sh");
      Files.writeString(script, script(folder, hostname, mounts, emptyDirs));
      Path log = folder.resolve("init.log");
      List<String> words = new ArrayList<>(Cgroups.joining(cgroup.toString()));
      words.addAll(
          List.of(
              "nsenter",
              "--net=/run/netns/" + netns,
              "unshare",
              "--mount",
              "--uts",
              "--pid",
              "--fork",
              "sh",
              script.toString()));
      Process process = new ProcessBuilder(words).redirectError(log.toFile()).start();
      process.getOutputStream().close();
      CompletableFuture<String> said = new CompletableFuture<>();
      Thread.ofVirtual()
          .start(() -> {
            try (BufferedReader reader = process.inputReader()) {
              said.complete(String.valueOf(reader.readLine()));
            } catch (IOException | UncheckedIOException e) {
              said.completeExceptionally(e);
            }
          });
      String word = said.get(20, TimeUnit.SECONDS);
      if (!word.equals("ready")) {
        process.destroyForcibly();
        throw new LabException(
            "its sandbox cannot be made: " + Files.readString(log).strip().replace('\n', ';'));
      }
      long pid =
          process
              .toHandle()
              .children()
              .findFirst()
              .orElseThrow(() -> new LabException("its sandbox ended at once"))
              .pid();
      return new Init(process, pid);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new LabException("interrupted while its sandbox was made", e);
    } catch (IOException | ExecutionException | TimeoutException e) {
      throw new LabException("its sandbox cannot be made: " + e, e);
    }
  }

  private static String script(
      Path folder, String hostname, List<Mount> mounts, List<String> emptyDirs) throws IOException {
    StringBuilder script = new StringBuilder("set -e\numask 022\ncd /\n");
    String fs = quoted(folder.resolve("fs").toString());
    script.append("F=").append(fs).append("\nR=$F/root\n");
    script
        .append("mkdir -p \"$F\"\nmount -t tmpfs -o mode=755,size=")
        .append(TMPFS_SIZE)
        .append(" pod \"$F\"\n");
    script.append("mkdir -p \"$R\" \"$F/volumes\"\n");
    int layer = 0;
    for (MachineMount mount : machineMounts()) {
      String target = quoted(mount.path().equals("/") ? "" : mount.path());
      String upper = "\"$F/up" + layer + "\"";
      String work = "\"$F/work" + layer + "\"";
      if (mount.folder()) {
        script.append("mkdir ").append(upper).append(' ').append(work).append('\n');
        // Commas and colons separate overlay's options and layers.
        String lower = mount.path().replace("\\", "\\\\").replace(",", "\\,").replace(":", "\\:");
        script
            .append("mount -t overlay -o lowerdir=")
            .append(quoted(lower))
            .append(",upperdir=\"$F/up")
            .append(layer)
            .append("\",workdir=\"$F/work")
            .append(layer)
            .append("\" pod \"$R\"")
            .append(target)
            .append(
                layer == 0
                    ? "\n"
                    : " 2>/dev/null || mount -o bind,ro "
                        + quoted(mount.path())
                        + " \"$R\""
                        + target
                        + "\n");
      } else {
        script
            .append("mount -o bind,ro ")
            .append(quoted(mount.path()))
            .append(" \"$R\"")
            .append(target)
            .append('\n');
      }
      layer++;
    }
    script.append(
        """
        mount -t proc proc "$R/proc"
        mount -t sysfs -o ro sysfs "$R/sys"
        mount --rbind /dev "$R/dev"
        mount -t tmpfs -o mode=1777 shm "$R/dev/shm"
        mkdir -p "$R/.machine"
        for hidden in weir-lab netns; do
          [ ! -d "$R/run/$hidden" ] || mount -t tmpfs -o mode=700,size=4k none "$R/run/$hidden"
        done
        """);
    script.append("hostname ").append(quoted(hostname)).append('\n');
    // From here on the pod's root is the root: a mount path with links in it (/var/run) must not be
    // followed on the machine.
    script.append(
        """
        cd "$R"
        pivot_root . .machine
        cd /
        """);
    for (String emptyDir : emptyDirs) {
      script.append("mkdir -m 1777 \"/.machine$F/volumes/\"").append(quoted(emptyDir)).append('\n');
    }
    for (String file : List.of("hosts", "resolv.conf", "hostname")) {
      // The machine's may be a link into a /run that the pod does not have.
      script
          .append("rm -f /etc/")
          .append(file)
          .append(" && cat ")
          .append(quoted("/.machine" + folder.resolve(file)))
          .append(" > /etc/")
          .append(file)
          .append('\n');
    }
    for (Mount mount : mounts) {
      String target = quoted(mount.path());
      String source =
          mount.source().startsWith("/")
              ? quoted("/.machine" + mount.source())
              : "\"/.machine$F/volumes/\"" + quoted(mount.source());
      script
          .append("if [ -d ")
          .append(source)
          .append(" ]; then mkdir -p ")
          .append(target)
          .append("; else mkdir -p \"$(dirname ")
          .append(target)
          .append(")\"; [ -e ")
          .append(target)
          .append(" ] || : > ")
          .append(target)
          .append("; fi\nmount --bind ")
          .append(source)
          .append(' ')
          .append(target)
          .append('\n');
      if (mount.readOnly()) {
        script.append("mount -o remount,bind,ro ").append(target).append('\n');
      }
    }
    script.append(
        """
        umount -l /.machine
        rmdir /.machine
        echo ready
        exec >/dev/null 2>&1
        trap '' INT TERM HUP
        while :; do sleep 2147483647 & wait; done
        """);
    return script.toString();
  }

  private record MachineMount(String path, boolean folder) {}

  /** What of the machine's mounts holds files, parents first. */
  private static List<MachineMount> machineMounts() throws IOException {
    List<MachineMount> mounts = new ArrayList<>();
    for (String line : Files.readAllLines(Path.of("/proc/self/mountinfo"))) {
      String[] words = line.split(" ", -1);
      int dash = line.indexOf(" - ");
      String type = line.substring(dash + 3).split(" ", 2)[0];
      // proc(5): blanks in paths stand as octal escapes; such a mount is left out rather than
      // guessed.
      String path = words[4];
      boolean kernel = KERNEL.contains(type) || path.contains("\\");
      boolean replaced =
          path.startsWith("/dev/")
              || path.startsWith("/proc/")
              || path.startsWith("/sys/")
              || path.startsWith("/run/netns")
              || path.startsWith("/run/weir-lab")
              || path.startsWith("/run/user/");
      if (kernel
          || replaced
          || mounts.stream().anyMatch(mount -> mount.path().equals(path))
          || !Files.isReadable(Path.of(path))) {
        continue;
      }
      mounts.add(new MachineMount(path, Files.isDirectory(Path.of(path))));
    }
    return mounts.stream().sorted(Comparator.comparing(MachineMount::path)).toList();
  }

  /** A shell word. */
  static String quoted(String text) {
    return "'" + text.replace("'", "'\\''") + "'";
  }
}
