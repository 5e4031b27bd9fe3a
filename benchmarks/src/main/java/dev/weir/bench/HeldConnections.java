package dev.weir.bench;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;

/** Connections of a pod that are there and idle, all of them, until they are closed. */
final class HeldConnections implements AutoCloseable {
  private static final Duration TO_OPEN = Duration.ofMinutes(2);
  private static final Duration TO_CLOSE = Duration.ofSeconds(30);

  /** Not all of them came to be. */
  static final class NotHeld extends IOException {
    private static final long serialVersionUID = 1L;

    private NotHeld(int count, String why) {
      super("%,d connections could not be held: %s".formatted(count, why));
    }
  }

  private final Process holder;
  private final Path err;

  private HeldConnections(Process holder, Path err) {
    this.holder = holder;
    this.err = err;
  }

  static HeldConnections open(
      Weir weir, String pod, String load, String host, String port, int count) throws IOException {
    Path err = Files.createTempFile("weir-bench-", ".err");
    HeldConnections held =
        new HeldConnections(
            weir.start(pod, List.of(load, "hold", host, port, Integer.toString(count)), err), err);
    try {
      if (!held.areThere()) {
        throw new NotHeld(count, Command.said(err));
      }
      return held;
    } catch (Background.Late e) {
      held.end();
      throw new NotHeld(count, String.valueOf(e.getMessage()));
    } catch (IOException | RuntimeException e) {
      held.end();
      throw e;
    }
  }

  /** Waits until it says so; false where it ended without. */
  private boolean areThere() throws IOException {
    BufferedReader said =
        new BufferedReader(new InputStreamReader(holder.getInputStream(), StandardCharsets.UTF_8));
    return Background.start(() -> said.readLine() != null)
        .join("the last of the connections to be made", TO_OPEN);
  }

  @Override
  public void close() throws IOException {
    try {
      holder.getOutputStream().close();
      // What is measured next is not to be measured beside their end.
      if (!holder.waitFor(TO_CLOSE)) {
        throw new IOException(
            "the held connections had not been closed after %d s".formatted(TO_CLOSE.toSeconds()));
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IOException("interrupted while held connections were closed", e);
    } finally {
      end();
    }
  }

  private void end() throws IOException {
    Command.end(holder);
    Files.delete(err);
  }
}
