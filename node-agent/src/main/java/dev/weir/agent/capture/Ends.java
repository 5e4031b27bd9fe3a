package dev.weir.agent.capture;

import dev.weir.ffi.Netlink.TcpSocket;
import java.net.InetAddress;

/** The addresses of a connection, as one of its sockets has them. */
record Ends(InetAddress local, int localPort, InetAddress remote, int remotePort) {
  static Ends of(TcpSocket socket) {
    return new Ends(socket.local(), socket.localPort(), socket.remote(), socket.remotePort());
  }

  /** As the other socket has them. */
  Ends mirrored() {
    return new Ends(
        /* local= */ remote,
        /* localPort= */ remotePort,
        /* remote= */ local,
        /* remotePort= */ localPort);
  }
}
