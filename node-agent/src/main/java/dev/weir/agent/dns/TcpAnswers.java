package dev.weir.agent.dns;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.netty.channel.Channel;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.channel.EventLoop;
import io.netty.handler.codec.ByteToMessageDecoder;
import io.netty.util.concurrent.ScheduledFuture;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/**
 * Questions of a pod over one TCP connection (RFC 7766): many may be sent at once and are answered
 * as they are ready. A connection may be silent for ten seconds, and is not read further while too
 * many of its questions wait or it does not take its answers.
 */
final class TcpAnswers extends ByteToMessageDecoder {
  private static final int MAX_QUERY_BYTES = 4096;
  private static final int MAX_WAITING = 64;
  private static final long IDLE_SECONDS = 10;

  /** Takes connections of one pod, up to a number. */
  static final class Acceptor extends ChannelInboundHandlerAdapter {
    static final int MAX_CONNECTIONS = 128;

    private final EventLoop loop;
    private final PodResolver resolver;
    private int connections;

    Acceptor(EventLoop loop, PodResolver resolver) {
      this.loop = loop;
      this.resolver = resolver;
    }

    /** On the loop. */
    int connections() {
      return connections;
    }

    @Override
    public void channelRead(ChannelHandlerContext context, Object message) {
      Channel child = (Channel) message;
      if (connections >= MAX_CONNECTIONS) {
        child.unsafe().closeForcibly();
        return;
      }
      connections++;
      child.closeFuture().addListener(_ -> connections--);
      child.pipeline().addLast(new TcpAnswers(resolver));
      var _ = loop.register(child);
    }

    @Override
    public void exceptionCaught(ChannelHandlerContext context, Throwable cause) {
      // accept(2) failed, as with no descriptor left: the next one may succeed.
    }
  }

  private final PodResolver resolver;
  private int waiting;
  private @Nullable ScheduledFuture<?> idle;

  private TcpAnswers(PodResolver resolver) {
    this.resolver = resolver;
  }

  @Override
  public void channelActive(ChannelHandlerContext context) {
    watch(context);
    context.fireChannelActive();
  }

  @Override
  protected void decode(ChannelHandlerContext context, ByteBuf in, List<Object> out) {
    while (in.readableBytes() >= 2 && context.channel().isActive()) {
      int length = in.getUnsignedShort(in.readerIndex());
      if (length > MAX_QUERY_BYTES) {
        close(context);
        return;
      }
      if (in.readableBytes() < 2 + length) {
        return;
      }
      in.skipBytes(2);
      byte[] message = new byte[length];
      in.readBytes(message);
      question(context, message);
    }
  }

  @Override
  public void channelWritabilityChanged(ChannelHandlerContext context) {
    throttle(context);
    context.fireChannelWritabilityChanged();
  }

  @Override
  public void exceptionCaught(ChannelHandlerContext context, Throwable cause) {
    close(context);
  }

  @Override
  public void channelInactive(ChannelHandlerContext context) {
    ScheduledFuture<?> timer = idle;
    if (timer != null) {
      timer.cancel(false);
    }
    // Not super's: what is left in the buffer is half a question of somebody who hung up.
    context.fireChannelInactive();
  }

  private void question(ChannelHandlerContext context, byte[] message) {
    waiting++;
    throttle(context);
    watch(context);
    boolean answered =
        resolver.resolve(
            message,
            true,
            answer -> {
              waiting--;
              if (!context.channel().isActive()) {
                return;
              }
              byte[] prefix = {(byte) (answer.length >> 8), (byte) answer.length};
              context.writeAndFlush(Unpooled.wrappedBuffer(prefix, answer), context.voidPromise());
              throttle(context);
            });
    if (!answered) {
      // A stream that carries what is no question cannot be trusted to be in step.
      close(context);
    }
  }

  private void throttle(ChannelHandlerContext context) {
    boolean read = waiting < MAX_WAITING && context.channel().isWritable();
    if (context.channel().config().isAutoRead() != read) {
      context.channel().config().setAutoRead(read);
    }
  }

  private void watch(ChannelHandlerContext context) {
    ScheduledFuture<?> timer = idle;
    if (timer != null) {
      timer.cancel(false);
    }
    idle = context.executor().schedule(() -> close(context), IDLE_SECONDS, TimeUnit.SECONDS);
  }

  private static void close(ChannelHandlerContext context) {
    var _ = context.close();
  }
}
