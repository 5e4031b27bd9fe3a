package dev.weir.agent.relay;

import dev.weir.agent.fairness.Home;
import dev.weir.agent.log.Log;
import io.netty.channel.ChannelHandler;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.channel.EventLoop;
import io.netty.channel.socket.SocketChannel;
import java.util.concurrent.TimeUnit;

/**
 * Takes connections from in-pod listeners and hands each to a loop where the pod is at home,
 * whichever loop a listener itself is on.
 */
@ChannelHandler.Sharable
final class Acceptor extends ChannelInboundHandlerAdapter {
  // Out of descriptors: accept would fail again at once, and turn the loop into a busy one.
  private static final long PAUSE_MILLIS = 500;

  private final Home home;
  private final Opening opening;
  private final Log log;

  /** What becomes of an accepted connection; called on the loop that will own it. */
  interface Opening {
    void accepted(SocketChannel channel, EventLoop loop);
  }

  Acceptor(Home home, Opening opening, Log log) {
    this.home = home;
    this.opening = opening;
    this.log = log;
  }

  @Override
  public void channelRead(ChannelHandlerContext context, Object message) {
    SocketChannel channel = (SocketChannel) message;
    EventLoop loop = home.next();
    if (loop.inEventLoop()) {
      opening.accepted(channel, loop);
    } else {
      loop.execute(() -> opening.accepted(channel, loop));
    }
  }

  @Override
  public void exceptionCaught(ChannelHandlerContext context, Throwable cause) {
    log.warn(
        "accept failed", "at", context.channel().localAddress(), "reason", String.valueOf(cause));
    context.channel().config().setAutoRead(false);
    context
        .channel()
        .eventLoop()
        .schedule(
            () -> context.channel().config().setAutoRead(true),
            PAUSE_MILLIS,
            TimeUnit.MILLISECONDS);
  }
}
