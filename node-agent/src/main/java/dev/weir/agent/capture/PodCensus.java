package dev.weir.agent.capture;

import dev.weir.ffi.Netlink.TcpSocket;
import java.net.InetAddress;
import java.util.Collection;
import java.util.HashSet;
import java.util.Set;

/**
 * Whose connections stand in a pod's namespace. The mark alone does not tell: what an application
 * accepts inherits the mark of the SYN (tcp_fwmark_accept). Of a delivery's two ends, both marked,
 * the agent's is the one that calls an address of the pod.
 *
 * @param agents ends that belong to an agent
 * @param others ends that belong to programs
 */
record PodCensus(int agents, int others) {
  private static final int TCP_TIME_WAIT = 6;
  private static final int TCP_CLOSE = 7;
  private static final int TCP_LISTEN = 10;

  /** Counts the sockets of a namespace whose pod has these addresses. */
  static PodCensus of(Collection<TcpSocket> sockets, Collection<InetAddress> own) {
    Set<Integer> served = new HashSet<>();
    for (TcpSocket socket : sockets) {
      if (socket.state() == TCP_LISTEN && !isMarked(socket)) {
        served.add(socket.localPort());
      }
    }
    int agents = 0;
    int others = 0;
    for (TcpSocket socket : sockets) {
      if (!isOpen(socket)) {
        continue;
      }
      if (isPrograms(socket, own, served)) {
        others++;
      } else {
        agents++;
      }
    }
    return new PodCensus(agents, others);
  }

  private static boolean isPrograms(
      TcpSocket socket, Collection<InetAddress> own, Set<Integer> served) {
    return switch (socket.mark()) {
      case InPodRouting.MARK_DELIVER ->
          !own.contains(socket.remote())
              // A pod that calls itself: both ends have its address.
              || (own.contains(socket.local()) && served.contains(socket.localPort()));
      // Over loopback to an application tunnel.
      case InPodRouting.MARK_AGENT ->
          socket.local().isLoopbackAddress() && served.contains(socket.localPort());
      default -> true;
    };
  }

  /** Neither a listener nor what is left of a connection that has ended. */
  static boolean isOpen(TcpSocket socket) {
    int state = socket.state();
    return state != TCP_TIME_WAIT && state != TCP_CLOSE && state != TCP_LISTEN;
  }

  /** An agent's, or accepted from one. */
  static boolean isMarked(TcpSocket socket) {
    return socket.mark() == InPodRouting.MARK_AGENT || socket.mark() == InPodRouting.MARK_DELIVER;
  }
}
