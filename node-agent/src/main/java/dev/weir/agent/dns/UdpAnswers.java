package dev.weir.agent.dns;

import io.netty.buffer.ByteBufUtil;
import io.netty.buffer.Unpooled;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.SimpleChannelInboundHandler;
import io.netty.channel.socket.DatagramPacket;
import java.net.InetSocketAddress;

/** Questions of a pod over UDP. */
final class UdpAnswers extends SimpleChannelInboundHandler<DatagramPacket> {
  private final PodResolver resolver;

  UdpAnswers(PodResolver resolver) {
    this.resolver = resolver;
  }

  @Override
  protected void channelRead0(ChannelHandlerContext context, DatagramPacket packet) {
    InetSocketAddress sender = packet.sender();
    resolver.resolve(
        ByteBufUtil.getBytes(packet.content()),
        false,
        message -> {
          // A socket whose buffer is full loses the answer, and the client asks again: that is UDP.
          if (context.channel().isWritable()) {
            context.writeAndFlush(
                new DatagramPacket(Unpooled.wrappedBuffer(message), sender), context.voidPromise());
          }
        });
  }

  @Override
  public void exceptionCaught(ChannelHandlerContext context, Throwable cause) {
    // ICMP errors of clients that went away surface here; the listener serves the others.
  }
}
