package dev.weir.lab;

import java.time.Duration;
import java.util.function.Supplier;

/**
 * What people tell an agent or the control plane to do; carried out on the thread of whoever says
 * it, which waits for the end of it.
 */
final class Orders {
  static final Duration STARTS = Duration.ofSeconds(30);
  private static final Duration ENDS = Duration.ofSeconds(40);

  private final Desk desk;
  private final Waiters waiters;

  Orders(Desk desk, Waiters waiters) {
    this.desk = desk;
    this.waiters = waiters;
  }

  /**
   * @param log what {@code weir lab logs} takes
   */
  void start(Supplier<MeshProcess> process, String title, String log) {
    desk.ask(() -> {
      if (process.get().state() != MeshProcess.State.STOPPED) {
        throw new LabException("the " + title + " runs already, pid " + process.get().pid());
      }
      process.get().start();
      return title;
    });
    waiters.await(
        () -> process.get().state() != MeshProcess.State.STARTING,
        STARTS,
        () -> "the " + title + " is not ready; see `weir lab logs " + log + "`");
    if (desk.ask(() -> process.get().state() == MeshProcess.State.STOPPED)) {
      throw new LabException("the " + title + " ended at once; see `weir lab logs " + log + "`");
    }
  }

  void end(Supplier<MeshProcess> process, String title, boolean kill) {
    desk.ask(() -> {
      if (process.get().state() == MeshProcess.State.STOPPED) {
        throw new LabException("the " + title + " does not run");
      }
      process.get().signal(kill);
      return title;
    });
    waiters.await(
        () -> process.get().state() == MeshProcess.State.STOPPED,
        ENDS,
        () -> "the " + title + " has not ended");
  }

  void restart(Supplier<MeshProcess> process, String title, String log) {
    if (desk.ask(() -> process.get().state() != MeshProcess.State.STOPPED)) {
      end(process, title, false);
    }
    start(process, title, log);
  }
}
