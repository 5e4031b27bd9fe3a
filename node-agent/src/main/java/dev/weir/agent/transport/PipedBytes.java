package dev.weir.agent.transport;

import dev.weir.ffi.KernelException;
import dev.weir.ffi.Pipe;
import io.netty.channel.FileRegion;
import io.netty.util.AbstractReferenceCounted;
import java.io.IOException;
import java.nio.channels.WritableByteChannel;

/**
 * What one socket has received and another one is to send, in a pipe of its own until then. To the
 * other one's channel it is a message like any other: it keeps its place, counts as unwritten, and
 * is written on when there is room.
 */
public final class PipedBytes extends AbstractReferenceCounted implements FileRegion {
  private final Pipes pipes;
  private final Pipe pipe;
  private final int to;
  private final int count;
  private int moved;

  PipedBytes(Pipes pipes, Pipe pipe, int to, int count) {
    this.pipes = pipes;
    this.pipe = pipe;
    this.to = to;
    this.count = count;
  }

  @Override
  public long count() {
    return count;
  }

  @Override
  public long position() {
    return 0;
  }

  @Override
  public long transferred() {
    return moved;
  }

  @Override
  @Deprecated
  public long transfered() {
    return moved;
  }

  /**
   * @param target the channel that it was made for: what Netty wraps that in does not tell its
   *     descriptor
   */
  @Override
  public long transferTo(WritableByteChannel target, long position) throws IOException {
    try {
      int now = pipe.drain(to, count - moved);
      moved += now;
      return now;
    } catch (KernelException e) {
      throw new IOException(e);
    }
  }

  @Override
  protected void deallocate() {
    if (moved == count) {
      pipes.giveBack(pipe);
    } else {
      pipes.close(pipe);
    }
  }

  @Override
  public PipedBytes retain() {
    super.retain();
    return this;
  }

  @Override
  public PipedBytes retain(int increment) {
    super.retain(increment);
    return this;
  }

  @Override
  public PipedBytes touch() {
    return this;
  }

  @Override
  public PipedBytes touch(Object hint) {
    return this;
  }
}
