package dev.weir.lab;

import java.net.InetAddress;
import java.nio.file.Path;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** The lab's control plane: its arguments, and how it comes and goes. */
final class Control {
  private static final String TITLE = "control plane";
  private static final String LOG = "control";

  private final Desk desk;
  private final Paths paths;
  private final Path cgroups;
  private final Prober prober;
  private final Tokens tokens;
  private final Orders orders;
  private final Runnable changed;

  /** Desk only. */
  private @Nullable MeshProcess process;

  Control(
      Desk desk,
      Paths paths,
      Path cgroups,
      Prober prober,
      Tokens tokens,
      Orders orders,
      Runnable changed) {
    this.desk = desk;
    this.paths = paths;
    this.cgroups = cgroups;
    this.prober = prober;
    this.tokens = tokens;
    this.orders = orders;
    this.changed = changed;
  }

  /** Null in a lab without a mesh. Desk only. */
  @Nullable MeshProcess process() {
    return process;
  }

  /** Where its CA keeps its files. */
  Path certificates() {
    return paths.control().resolve("ca");
  }

  /** Starts it for the first time; on the desk. */
  void begin() {
    Path tokenKeys = paths.control().resolve("token-keys.json");
    PrivateFile.write(tokenKeys, tokens.keys().toJson());
    MeshProcess made =
        new MeshProcess(
            desk,
            TITLE,
            cgroups.resolve(paths.controlName()),
            paths.controlName(),
            List.of(
                "control",
                "--source-dir",
                paths.state().toString(),
                "--listen",
                Addressing.CONTROL_V4 + ":" + Addressing.CONTROL_PORT,
                "--ca-dir",
                certificates().toString(),
                "--token-keys",
                tokenKeys.toString(),
                "--admin-socket",
                paths.control().resolve("admin.sock").toString()),
            paths.control().resolve("log"),
            this::listens,
            () -> {
              MeshProcess.note(process, paths.control().resolve("pid"));
              changed.run();
            });
    process = made;
    made.start();
  }

  private boolean listens() {
    InetAddress address = Addressing.of(Addressing.CONTROL_V4);
    return prober.connects(paths.controlName(), address, Addressing.CONTROL_PORT);
  }

  /** On the thread of whoever says it. */
  void order(String action) {
    MeshProcess known =
        desk.ask(() -> {
          if (process == null) {
            throw new LabException(
                "lab " + paths.lab() + " is up without a mesh, so there is no control plane");
          }
          return process;
        });
    switch (action) {
      case "start" -> orders.start(() -> known, TITLE, LOG);
      case "stop" -> orders.end(() -> known, TITLE, false);
      case "kill" -> orders.end(() -> known, TITLE, true);
      case "restart" -> orders.restart(() -> known, TITLE, LOG);
      default ->
          throw new LabException("control " + action + " (expected: start, stop, kill or restart)");
    }
  }
}
