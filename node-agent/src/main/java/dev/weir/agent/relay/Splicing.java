package dev.weir.agent.relay;

import dev.weir.agent.capture.JoinedSockets;
import dev.weir.agent.transport.PipedBytes;
import dev.weir.agent.transport.Pipes;
import dev.weir.agent.transport.PodSocket;
import io.netty.util.concurrent.FastThreadLocal;
import org.jspecify.annotations.Nullable;

/**
 * The short way for what one socket streams to another: a read takes little, which tells that there
 * is something, or that the end has come, and the rest goes through a pipe. Round trips and small
 * answers are read as always, in one call. So is what comes while the other socket's buffer is
 * full: what waits for it then is as bounded as ever. Owned by the event loop.
 */
final class Splicing {
  /** Enough for a segment that is worth its header. */
  static final int FIRST = 8 * 1024;

  // A read that fills so much is of a stream; less costs more calls than copies.
  private static final int STREAMS = 64 * 1024;

  private static final int LEAST = 64 * 1024;
  private static final int MOST = Pipes.BYTES;

  // Visits that found little, one after the other, until it is no stream any more.
  private static final int PATIENCE = 8;

  /** What it takes; one object for all relays. */
  record Means(FastThreadLocal<Pipes> pipes, JoinedSockets joined) {}

  private final Means means;
  private final PodSocket from;
  private final PodSocket to;
  private boolean decided;
  private boolean possible;
  private boolean streams;
  private int most = LEAST;
  private int little;

  /**
   * @param mayBeJoined whether the kernel has to be asked for each
   */
  Splicing(Means means, PodSocket from, PodSocket to, boolean mayBeJoined) {
    this.means = means;
    this.from = from;
    this.to = to;
    this.decided = !mayBeJoined;
    this.possible = !mayBeJoined;
  }

  /** Whether the next read should take no more than {@link #FIRST}. */
  boolean readsLittle() {
    return streams && to.hasWrittenAll();
  }

  /** Whether more may be moved after a read that filled its buffer with so many bytes. */
  boolean follows(int bytes) {
    if (!streams && bytes >= STREAMS && possible() && means.pipes().get().available()) {
      streams = true;
      little = 0;
      most = LEAST;
    }
    return streams;
  }

  /**
   * What was put into a joined socket past TCP is before, between or behind what its TCP queue has:
   * only reads know the order.
   */
  private boolean possible() {
    if (!decided) {
      decided = true;
      possible = !isJoined(from) && !isJoined(to);
    }
    return possible;
  }

  private boolean isJoined(PodSocket socket) {
    long cookie = socket.cookie();
    return cookie == 0 || means.joined().contains(cookie);
  }

  @Nullable PipedBytes move() {
    PipedBytes moved = means.pipes().get().move(from, most);
    if (moved != null && moved.count() >= LEAST / 2) {
      little = 0;
    } else if (++little > PATIENCE) {
      streams = false;
    }
    return moved;
  }

  /** Who takes all at once is given more: one visit then does more. */
  void written(PipedBytes bytes, boolean all) {
    if (!all) {
      most = LEAST;
    } else if (bytes.count() == most) {
      most = Math.min(MOST, 2 * most);
    }
  }
}
