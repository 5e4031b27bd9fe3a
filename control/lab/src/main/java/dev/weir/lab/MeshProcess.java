package dev.weir.lab;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.function.BooleanSupplier;
import org.jspecify.annotations.Nullable;

/**
 * An agent or the control plane: one process, started by the launcher as a user would start it.
 * Desk only but for what it hands on.
 */
final class MeshProcess {
  private static final Duration ASKED_EVERY = Duration.ofMillis(25);

  enum State {
    STARTING,
    READY,
    /** It was told to end and has not yet. */
    DRAINING,
    STOPPED
  }

  private final Desk desk;
  private final String title;
  private final Path cgroup;
  private final String netns;
  private final List<String> arguments;
  private final Path log;
  private final BooleanSupplier wellAsked;
  private final Runnable changed;

  private @Nullable Process process;
  private State state = State.STOPPED;

  /**
   * @param wellAsked asked on a thread that may block until it says yes once
   * @param changed called on the desk at each change of state
   */
  MeshProcess(
      Desk desk,
      String title,
      Path cgroup,
      String netns,
      List<String> arguments,
      Path log,
      BooleanSupplier wellAsked,
      Runnable changed) {
    this.desk = desk;
    this.title = title;
    this.cgroup = cgroup;
    this.netns = netns;
    this.arguments = List.copyOf(arguments);
    this.log = log;
    this.wellAsked = wellAsked;
    this.changed = changed;
  }

  State state() {
    return state;
  }

  /** 0 where none runs. */
  long pid() {
    Process current = process;
    return current == null ? 0 : current.pid();
  }

  /** Starts it; throws where it cannot even be executed. */
  void start() {
    desk.assertHere();
    String home = System.getenv("WEIR_HOME");
    if (home == null) {
      throw new LabException(
          "WEIR_HOME is not set, so there is no "
              + title
              + " to start: use the weir launcher, or --no-mesh");
    }
    List<String> words = new ArrayList<>(Cgroups.apart(Cgroups.create(cgroup)));
    words.addAll(List.of("nsenter", "--net=/run/netns/" + netns, home + "/weir", "run"));
    words.addAll(arguments);
    try {
      Files.createDirectories(log.resolveSibling("."));
      Process started =
          new ProcessBuilder(words)
              .directory(new File("/"))
              .redirectInput(new File("/dev/null"))
              .redirectOutput(ProcessBuilder.Redirect.appendTo(log.toFile()))
              .redirectErrorStream(true)
              .start();
      process = started;
      state = State.STARTING;
      started.onExit().thenAccept(ended -> desk.post(() -> ended(ended)));
      askWhetherWell(started);
      Log.info(title + " started, pid " + started.pid());
      changed.run();
    } catch (IOException e) {
      throw new LabException(title + " cannot be started: " + e.getMessage(), e);
    }
  }

  private void ended(Process which) {
    if (!which.equals(process)) {
      return;
    }
    Log.info(title + " ended with status " + which.exitValue());
    process = null;
    state = State.STOPPED;
    changed.run();
  }

  private void askWhetherWell(Process which) {
    Thread.ofVirtual()
        .start(() -> {
          boolean well = wellAsked.getAsBoolean();
          desk.post(() -> {
            if (!which.equals(process) || state != State.STARTING) {
              return;
            }
            if (well) {
              state = State.READY;
              changed.run();
            } else {
              desk.after(ASKED_EVERY, () -> askWhetherWell(which));
            }
          });
        });
  }

  /** SIGTERM, or SIGKILL. */
  void signal(boolean kill) {
    desk.assertHere();
    Process current = process;
    if (current == null) {
      return;
    }
    if (kill) {
      current.destroyForcibly();
    } else {
      state = State.DRAINING;
      current.destroy();
      changed.run();
    }
  }

  /** Resident memory; 0 where none runs. */
  long rssKib() {
    Process current = process;
    if (current == null) {
      return 0;
    }
    try {
      for (String line : Files.readAllLines(Path.of("/proc/" + current.pid() + "/status"))) {
        if (line.startsWith("VmRSS:")) {
          return Long.parseLong(line.replaceAll("[^0-9]", ""));
        }
      }
    } catch (IOException e) {
      // It ended meanwhile.
      return 0;
    }
    return 0;
  }

  /** Tells the process's number to whoever reads the file, or that there is none. */
  static void note(@Nullable MeshProcess process, Path pidFile) {
    try {
      if (process != null && process.pid() > 0) {
        Files.writeString(pidFile, process.pid() + "\n");
      } else {
        Files.deleteIfExists(pidFile);
      }
    } catch (IOException e) {
      Log.warn(pidFile + ": " + e.getMessage());
    }
  }
}
