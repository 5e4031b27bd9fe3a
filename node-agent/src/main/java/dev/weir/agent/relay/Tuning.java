package dev.weir.agent.relay;

import dev.weir.agent.capture.JoinedSockets;
import dev.weir.agent.transport.Pipes;
import dev.weir.agent.transport.Transport;
import dev.weir.ffi.Sockets;
import io.netty.buffer.ByteBufAllocator;
import io.netty.channel.AdaptiveRecvByteBufAllocator;
import io.netty.channel.RecvByteBufAllocator;
import io.netty.channel.WriteBufferWaterMark;
import io.netty.channel.socket.SocketChannel;
import io.netty.channel.socket.SocketChannelConfig;
import java.time.Duration;
import org.jspecify.annotations.Nullable;

/**
 * How channels of relays behave; one object for all of them.
 *
 * @param connectNext how long an endpoint may take to answer while another one is left to try
 * @param connectLast how long the last one may take: long enough for a lost SYN, which the kernel
 *     repeats after 1 and after 3 s
 * @param forgetsEnded as {@link Transport#forgetsEnded}
 * @param splicing what moves bytes between sockets uncopied; null where the transport cannot
 */
public record Tuning(
    ByteBufAllocator allocator,
    RecvByteBufAllocator reads,
    WriteBufferWaterMark unwritten,
    Duration connectNext,
    Duration connectLast,
    boolean forgetsEnded,
    Splicing.@Nullable Means splicing) {

  // A connection that moves little reads into little; one that streams grows to what a core's
  // cache takes in at once.
  private static final int READ_LEAST = 1024;
  private static final int READ_FIRST = 2048;
  private static final int READ_MOST = 128 * 1024;

  // One read above the high mark stops the peer, so a stuck connection holds one or two reads.
  private static final int UNWRITTEN_LOW = 16 * 1024;
  private static final int UNWRITTEN_HIGH = 64 * 1024;

  public static Tuning standard(
      Transport transport, ByteBufAllocator allocator, Sockets sockets, JoinedSockets joined) {
    return new Tuning(
        allocator,
        new AdaptiveRecvByteBufAllocator(READ_LEAST, READ_FIRST, READ_MOST)
            .maxMessagesPerRead(READS_AT_ONCE),
        new WriteBufferWaterMark(UNWRITTEN_LOW, UNWRITTEN_HIGH),
        Duration.ofSeconds(1),
        Duration.ofSeconds(5),
        transport.forgetsEnded(),
        transport.splices() ? new Splicing.Means(Pipes.ofLoops(sockets), joined) : null);
  }

  private static final int READS_AT_ONCE = 2;

  /** The short way from one socket to another; null where there is none. */
  @Nullable Splicing splice(SocketChannel from, SocketChannel to) {
    if (splicing == null) {
      return null;
    }
    Splicing way = new Splicing(splicing, reads, from, to);
    from.config().setRecvByteBufAllocator(way);
    return way;
  }

  void client(SocketChannel channel) {
    common(channel.config());
  }

  void server(SocketChannel channel, boolean anotherIsLeft) {
    SocketChannelConfig config = channel.config();
    common(config);
    config.setConnectTimeoutMillis((int) (anotherIsLeft ? connectNext : connectLast).toMillis());
  }

  private void common(SocketChannelConfig config) {
    config.setAllocator(allocator);
    config.setRecvByteBufAllocator(reads);
    config.setWriteBufferWaterMark(unwritten);
    config.setMessageSizeEstimator(Pipes.SIZES);
    config.setAllowHalfClosure(true);
    // A failed write ends output only: what was received before it is still to be read.
    config.setAutoClose(false);
  }
}
