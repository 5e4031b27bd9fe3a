package dev.weir.agent.dns;

import io.netty.channel.ChannelHandler;
import io.netty.channel.EventLoop;
import io.netty.channel.socket.DatagramChannel;
import io.netty.channel.socket.ServerSocketChannel;
import io.netty.channel.socket.SocketChannel;
import java.net.InetSocketAddress;

/**
 * Sockets in one pod's network namespace, all of them marked as the agent's own so that they are
 * not captured.
 */
public interface DnsSockets {
  /**
   * Bound when this returns; throws where the port is taken or the namespace is gone. May wait: not
   * for event loops.
   */
  DatagramChannel datagram(EventLoop loop, InetSocketAddress address, ChannelHandler handler);

  /**
   * As {@link #datagram}; the handler gets accepted channels by channelRead, not yet registered
   * with a loop.
   */
  ServerSocketChannel listen(EventLoop loop, InetSocketAddress address, ChannelHandler handler);

  /** Leaves what comes from now on to another socket of the same address; what has come is read. */
  void stopTaking(DatagramChannel socket);

  /** An unconnected, unregistered socket, handed over on the loop, which does not wait for it. */
  void dial(EventLoop loop, Taker taker);

  /** Who gets a socket; owns the channel. */
  interface Taker {
    void socket(SocketChannel channel);

    void none(Throwable why);
  }
}
