package dev.weir.agent.transport;

import io.netty.channel.unix.IntegerUnixChannelOption;
import io.netty.channel.unix.Socket;
import java.io.IOException;

/** Options by number, since the two transports give the same kernel option different constants. */
final class SocketOptions {
  private static final int SOL_IP = 0;
  private static final int SOL_SOCKET = 1;
  private static final int SOL_TCP = 6;

  static final IntegerUnixChannelOption MARK =
      new IntegerUnixChannelOption("SO_MARK", SOL_SOCKET, 36);
  static final IntegerUnixChannelOption REUSEPORT =
      new IntegerUnixChannelOption("SO_REUSEPORT", SOL_SOCKET, 15);
  static final IntegerUnixChannelOption KEEPALIVE =
      new IntegerUnixChannelOption("SO_KEEPALIVE", SOL_SOCKET, 9);
  static final IntegerUnixChannelOption NODELAY =
      new IntegerUnixChannelOption("TCP_NODELAY", SOL_TCP, 1);
  static final IntegerUnixChannelOption TRANSPARENT =
      new IntegerUnixChannelOption("IP_TRANSPARENT", SOL_IP, 19);
  static final IntegerUnixChannelOption BIND_NO_PORT =
      new IntegerUnixChannelOption("IP_BIND_ADDRESS_NO_PORT", SOL_IP, 24);
  static final IntegerUnixChannelOption KEEPALIVE_IDLE =
      new IntegerUnixChannelOption("TCP_KEEPIDLE", SOL_TCP, 4);
  static final IntegerUnixChannelOption KEEPALIVE_INTERVAL =
      new IntegerUnixChannelOption("TCP_KEEPINTVL", SOL_TCP, 5);
  static final IntegerUnixChannelOption KEEPALIVE_COUNT =
      new IntegerUnixChannelOption("TCP_KEEPCNT", SOL_TCP, 6);
  static final IntegerUnixChannelOption WINDOW_CLAMP =
      new IntegerUnixChannelOption("TCP_WINDOW_CLAMP", SOL_TCP, 10);

  /** Of a socket that no channel drives. */
  static void set(Socket socket, IntegerUnixChannelOption option, int value) throws IOException {
    socket.setIntOpt(option.level(), option.optname(), value);
  }

  private SocketOptions() {}
}
