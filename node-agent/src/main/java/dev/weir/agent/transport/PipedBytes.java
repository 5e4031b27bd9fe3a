package dev.weir.agent.transport;

import dev.weir.ffi.KernelException;
import dev.weir.ffi.Pipe;
import java.io.IOException;

/**
 * What one socket has received and another one is to send, in a pipe of its own until then. It
 * waits among what is to be written as any buffer.
 */
public final class PipedBytes {
  private final Pipes pipes;
  private final Pipe pipe;
  private final int count;
  private int moved;

  PipedBytes(Pipes pipes, Pipe pipe, int count) {
    this.pipes = pipes;
    this.pipe = pipe;
    this.count = count;
  }

  /** How many bytes there were. */
  public int count() {
    return count;
  }

  int left() {
    return count - moved;
  }

  /** Gives a socket what it takes; how many bytes that was. */
  int drain(int socket) throws IOException {
    try {
      int now = pipe.drain(socket, count - moved);
      moved += now;
      return now;
    } catch (KernelException e) {
      throw new IOException(e);
    }
  }

  void release() {
    if (moved == count) {
      pipes.giveBack(pipe);
    } else {
      pipes.close(pipe);
    }
  }
}
