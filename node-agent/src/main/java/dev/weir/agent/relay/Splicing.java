package dev.weir.agent.relay;

import dev.weir.agent.capture.JoinedSockets;
import dev.weir.agent.transport.PipedBytes;
import dev.weir.agent.transport.Pipes;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.ByteBufAllocator;
import io.netty.channel.ChannelConfig;
import io.netty.channel.ChannelOption;
import io.netty.channel.RecvByteBufAllocator;
import io.netty.channel.socket.SocketChannel;
import io.netty.channel.unix.RawUnixChannelOption;
import io.netty.util.UncheckedBooleanSupplier;
import io.netty.util.concurrent.FastThreadLocal;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import org.jspecify.annotations.Nullable;

/**
 * The short way for what one socket streams to another: a read takes little, which tells that there
 * is something, or that the end has come, and the rest goes through a pipe. Round trips and small
 * answers are read as always, in one call. So is what comes while the other socket's buffer is
 * full: what waits for it then is as bounded as ever. Owned by the event loop.
 */
final class Splicing implements RecvByteBufAllocator {
  // A read that fills so much is of a stream; less costs more calls than copies.
  private static final int STREAMS = 64 * 1024;

  // Enough for a segment that is worth its header.
  private static final int FIRST = 8 * 1024;

  private static final int LEAST = 64 * 1024;
  private static final int MOST = Pipes.BYTES;

  // Visits that found little, one after the other, until it is no stream any more.
  private static final int PATIENCE = 8;

  private static final ChannelOption<ByteBuffer> COOKIE =
      new RawUnixChannelOption("SO_COOKIE", 1, 57, Long.BYTES);

  /** What it takes; one object for all relays. */
  record Means(FastThreadLocal<Pipes> pipes, JoinedSockets joined) {}

  private final Means means;
  private final RecvByteBufAllocator copying;
  private final SocketChannel from;
  private final SocketChannel to;
  private boolean decided;
  private boolean possible;
  private boolean streams;
  private int most = LEAST;
  private int little;

  Splicing(Means means, RecvByteBufAllocator copying, SocketChannel from, SocketChannel to) {
    this.means = means;
    this.copying = copying;
    this.from = from;
    this.to = to;
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

  private boolean isJoined(SocketChannel channel) {
    ByteBuffer cookie = channel.config().getOption(COOKIE);
    return cookie == null
        || means.joined().contains(cookie.order(ByteOrder.nativeOrder()).getLong(0));
  }

  @Nullable PipedBytes move() {
    PipedBytes moved = means.pipes().get().move(from, to, most);
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

  @Override
  public ExtendedHandle newHandle() {
    return new Reads((ExtendedHandle) copying.newHandle());
  }

  private final class Reads extends DelegatingHandle implements ExtendedHandle {
    private final ExtendedHandle copying;
    private boolean small;
    private int last;

    Reads(ExtendedHandle copying) {
      super(copying);
      this.copying = copying;
    }

    @Override
    public void reset(ChannelConfig config) {
      small = streams && SocketEnd.hasWrittenAll(to);
      super.reset(config);
    }

    @Override
    public ByteBuf allocate(ByteBufAllocator allocator) {
      return small ? allocator.directBuffer(FIRST, FIRST) : super.allocate(allocator);
    }

    @Override
    public int guess() {
      return small ? FIRST : super.guess();
    }

    // What small reads bring says nothing of what large ones would.
    @Override
    public void lastBytesRead(int bytes) {
      last = bytes;
      if (!small) {
        super.lastBytesRead(bytes);
      }
    }

    @Override
    public int lastBytesRead() {
      return last;
    }

    @Override
    public boolean continueReading() {
      return !small && super.continueReading();
    }

    @Override
    public boolean continueReading(UncheckedBooleanSupplier maybeMore) {
      return !small && copying.continueReading(maybeMore);
    }

    @Override
    public void readComplete() {
      if (!small) {
        super.readComplete();
      }
    }
  }
}
