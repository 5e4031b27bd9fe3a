package dev.weir.agent.transport;

import dev.weir.ffi.KernelException;
import dev.weir.ffi.Pipe;
import dev.weir.ffi.Sockets;
import io.netty.util.concurrent.FastThreadLocal;
import java.util.ArrayDeque;
import org.jspecify.annotations.Nullable;

/**
 * The pipes of one event loop, by which bytes go from socket to socket without a copy into the
 * agent's memory and one out of it: half and more of what relaying a stream costs (a relay in C
 * without pacing took 190 instead of 410 ms of a processor a GB). A pipe is in use from what is
 * read until that is written, so one serves all connections whose readers keep up; each one that
 * does not holds one more. Owned by the loop.
 */
public final class Pipes {
  /** What one holds at most. */
  public static final int BYTES = 256 * 1024;

  private static final int MOST = 16;
  private static final int MOST_IDLE = 4;

  private final Sockets sockets;
  private final ArrayDeque<Pipe> idle = new ArrayDeque<>(MOST_IDLE);
  private int open;
  private boolean ended;

  private Pipes(Sockets sockets) {
    this.sockets = sockets;
  }

  /** Those of the calling thread, which is an event loop's; they are closed as it ends. */
  public static FastThreadLocal<Pipes> ofLoops(Sockets sockets) {
    return new FastThreadLocal<>() {
      @Override
      protected Pipes initialValue() {
        return new Pipes(sockets);
      }

      @Override
      protected void onRemoval(Pipes pipes) {
        pipes.end();
      }
    };
  }

  /** Whether one is to be had. */
  public boolean available() {
    return !idle.isEmpty() || open < MOST;
  }

  /**
   * Takes what a socket has received, for another one to write; null where nothing can be had.
   *
   * @throws KernelException where it has an error, which no read will tell any more
   */
  public @Nullable PipedBytes move(PodSocket from, int most) {
    Pipe pipe = idle.poll();
    if (pipe == null) {
      if (open >= MOST) {
        return null;
      }
      try {
        pipe = sockets.pipe(BYTES);
      } catch (KernelException e) {
        // Out of descriptors: what can be copied is no reason to end a connection.
        return null;
      }
      open++;
    }
    int count = 0;
    try {
      count = pipe.fill(from.number(), most);
    } finally {
      if (count == 0) {
        giveBack(pipe);
      }
    }
    return count == 0 ? null : new PipedBytes(this, pipe, count);
  }

  /** It is empty. */
  void giveBack(Pipe pipe) {
    if (ended || idle.size() >= MOST_IDLE) {
      close(pipe);
    } else {
      idle.push(pipe);
    }
  }

  void close(Pipe pipe) {
    open--;
    pipe.close();
  }

  private void end() {
    ended = true;
    Pipe each;
    while ((each = idle.poll()) != null) {
      close(each);
    }
  }
}
