package dev.weir.lab;

import java.io.File;
import java.io.IOException;
import java.net.SocketException;
import java.net.StandardProtocolFamily;
import java.net.URL;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.SocketChannel;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/**
 * Brings a lab's daemon to life: from the launcher where WEIR_HOME says where it is, else on this
 * JVM's own class path.
 */
final class DaemonStart {
  private DaemonStart() {}

  static void start(String lab, Duration atMost) {
    Paths paths = new Paths(lab);
    claim(paths);
    try {
      Process process = spawn(paths);
      long deadline = System.nanoTime() + atMost.toNanos();
      while (!listens(paths.socket())) {
        if (process.waitFor(5, TimeUnit.MILLISECONDS) || System.nanoTime() > deadline) {
          throw new LabException(
              "the daemon of lab " + lab + " did not start: " + lastWords(paths.log()));
        }
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      Sweep.lab(lab);
      throw new LabException("interrupted while lab " + lab + " was starting", e);
    } catch (IOException | LabException e) {
      Sweep.lab(lab);
      throw e instanceof LabException known
          ? known
          : new LabException(
              "the daemon of lab " + lab + " cannot be started: " + e.getMessage(), e);
    }
  }

  /** The file is there from bind(2) on, but refuses connections until listen(2). */
  private static boolean listens(Path socket) throws IOException {
    try (SocketChannel channel = SocketChannel.open(StandardProtocolFamily.UNIX)) {
      return channel.connect(UnixDomainSocketAddress.of(socket));
    } catch (SocketException e) {
      return false;
    }
  }

  /** The folder is the lab's lock: making it succeeds for one caller only. */
  private static void claim(Paths paths) {
    if (!System.getProperty("user.name").equals("root")) {
      throw new LabException("a lab makes network namespaces and loads eBPF: run it as root");
    }
    try {
      Files.createDirectories(Paths.HOME);
      Files.createDirectory(
          paths.folder(),
          PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
    } catch (FileAlreadyExistsException e) {
      boolean lives = Cgroups.populated(Cgroups.root().resolve(paths.prefix() + "daemon"));
      throw new LabException(
          "lab %s is %s: `weir lab down --name %s` first, or choose another --name"
              .formatted(paths.lab(), lives ? "up" : "half there, its daemon is gone", paths.lab()),
          e);
    } catch (IOException e) {
      throw new LabException(paths.folder() + ": cannot be made: " + e.getMessage(), e);
    }
  }

  private static Process spawn(Paths paths) throws IOException {
    Path cgroup = Cgroups.create(Cgroups.root().resolve(paths.prefix() + "daemon"));
    List<String> argv = new ArrayList<>(Cgroups.apart(cgroup));
    String home = System.getenv("WEIR_HOME");
    if (home != null && packaged()) {
      argv.addAll(List.of(home + "/weir", "run", "lab", paths.lab()));
    } else {
      argv.addAll(
          List.of(
              Path.of(System.getProperty("java.home"), "bin", "java").toString(),
              "--enable-native-access=ALL-UNNAMED",
              "--sun-misc-unsafe-memory-access=allow",
              "-XX:+UseSerialGC",
              "-Xmx96m",
              "-XX:TieredStopAtLevel=1",
              "-cp",
              System.getProperty("java.class.path"),
              "dev.weir.lab.Main",
              paths.lab()));
    }
    return new ProcessBuilder(argv)
        .directory(new File("/"))
        .redirectInput(new File("/dev/null"))
        .redirectOutput(ProcessBuilder.Redirect.appendTo(paths.log().toFile()))
        .redirectErrorStream(true)
        .start();
  }

  /** Classes from a folder are a build under test, which the launcher's jar may be older than. */
  private static boolean packaged() {
    URL url = DaemonStart.class.getResource("DaemonStart.class");
    return url != null && url.getProtocol().equals("jar");
  }

  private static String lastWords(Path log) throws IOException {
    List<String> lines = Files.exists(log) ? Files.readAllLines(log) : List.of();
    return lines.isEmpty()
        ? "it said nothing"
        : String.join("; ", lines.subList(Math.max(0, lines.size() - 3), lines.size()));
  }
}
