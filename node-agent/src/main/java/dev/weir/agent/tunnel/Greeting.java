package dev.weir.agent.tunnel;

import io.netty.channel.ChannelHandler;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;

/**
 * Stands behind TLS until there is a session. A handshake that fails says so by its future; what is
 * left is to close the connection.
 */
@ChannelHandler.Sharable
final class Greeting extends ChannelInboundHandlerAdapter {
  static final Greeting INSTANCE = new Greeting();

  private Greeting() {}

  @Override
  public void exceptionCaught(ChannelHandlerContext context, Throwable cause) {
    context.close();
  }
}
