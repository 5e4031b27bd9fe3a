package dev.weir.agent.identity;

import io.netty.channel.Channel;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.MultiThreadIoEventLoopGroup;
import io.netty.channel.epoll.Epoll;
import io.netty.channel.epoll.EpollIoHandler;
import io.netty.channel.epoll.EpollSocketChannel;
import io.netty.channel.nio.NioIoHandler;
import io.netty.channel.socket.nio.NioSocketChannel;
import java.util.concurrent.TimeUnit;

/**
 * The thread ({@code xds}) that moves the control plane's bytes. It is no event loop of the data
 * path, so a response of 100,000 resources delays nobody's bytes.
 */
public record LineLoop(EventLoopGroup group, Class<? extends Channel> channelType)
    implements AutoCloseable {
  /** Begins with the first line. */
  public static LineLoop open() {
    boolean epoll = Epoll.isAvailable();
    return new LineLoop(
        new MultiThreadIoEventLoopGroup(
            1,
            Thread.ofPlatform().daemon().name("xds").factory(),
            epoll ? EpollIoHandler.newFactory() : NioIoHandler.newFactory()),
        epoll ? EpollSocketChannel.class : NioSocketChannel.class);
  }

  @Override
  public void close() {
    var _ = group.shutdownGracefully(0, 1, TimeUnit.SECONDS);
  }
}
