package dev.weir.agent.transport;

import io.netty.channel.ChannelOption;
import io.netty.channel.unix.IntegerUnixChannelOption;
import io.netty.channel.unix.RawUnixChannelOption;
import java.nio.ByteBuffer;

/** Options by number, since the two transports give the same kernel option different constants. */
final class SocketOptions {
  private static final int SOL_IP = 0;
  private static final int SOL_SOCKET = 1;
  private static final int SOL_TCP = 6;

  static final ChannelOption<Integer> MARK =
      new IntegerUnixChannelOption("SO_MARK", SOL_SOCKET, 36);
  static final ChannelOption<Integer> REUSEPORT =
      new IntegerUnixChannelOption("SO_REUSEPORT", SOL_SOCKET, 15);
  static final ChannelOption<Integer> KEEPALIVE =
      new IntegerUnixChannelOption("SO_KEEPALIVE", SOL_SOCKET, 9);
  static final ChannelOption<Integer> NODELAY =
      new IntegerUnixChannelOption("TCP_NODELAY", SOL_TCP, 1);
  static final ChannelOption<Integer> TRANSPARENT =
      new IntegerUnixChannelOption("IP_TRANSPARENT", SOL_IP, 19);
  static final ChannelOption<Integer> BIND_NO_PORT =
      new IntegerUnixChannelOption("IP_BIND_ADDRESS_NO_PORT", SOL_IP, 24);
  static final ChannelOption<Integer> KEEPALIVE_IDLE =
      new IntegerUnixChannelOption("TCP_KEEPIDLE", SOL_TCP, 4);
  static final ChannelOption<Integer> KEEPALIVE_INTERVAL =
      new IntegerUnixChannelOption("TCP_KEEPINTVL", SOL_TCP, 5);
  static final ChannelOption<Integer> KEEPALIVE_COUNT =
      new IntegerUnixChannelOption("TCP_KEEPCNT", SOL_TCP, 6);
  static final ChannelOption<Integer> WINDOW_CLAMP =
      new IntegerUnixChannelOption("TCP_WINDOW_CLAMP", SOL_TCP, 10);
  static final ChannelOption<ByteBuffer> CONGESTION =
      new RawUnixChannelOption("TCP_CONGESTION", SOL_TCP, 13, Integer.BYTES);

  private SocketOptions() {}
}
