package dev.weir.agent.capture;

import dev.weir.ffi.Kernel;
import dev.weir.ffi.Netlink;
import dev.weir.ffi.Netlink.TcpSocket;
import java.net.InetAddress;
import java.util.Collection;
import java.util.HashSet;
import java.util.Set;

/**
 * What programs have accepted from an agent whose own end is gone without a word. An agent that is
 * killed has its sockets closed by the kernel, some by a RST that overtakes data and so is not
 * believed; and for the client's address, which the pod's namespace has not got, the kernel answers
 * nothing that comes later. The program would wait for ever.
 */
final class Abandoned {
  private Abandoned() {}

  /** Ends them: their programs see an error. How many there were. */
  static int end(Kernel kernel, Pod pod) {
    return kernel
        .namespaces()
        .inNetwork(
            pod.netns(),
            () -> {
              Netlink netlink = kernel.netlink();
              Set<Ends> abandoned = find(netlink.tcpSockets(), pod.addresses());
              if (!abandoned.isEmpty()) {
                // A list is not of one moment. The agent's end is there before the program's, so
                // what began while the first was read has both in the second.
                abandoned.retainAll(find(netlink.tcpSockets(), pod.addresses()));
              }
              return abandoned.isEmpty()
                  ? 0
                  : netlink.destroyTcp(socket -> abandoned.contains(Ends.of(socket)));
            });
  }

  private static Set<Ends> find(Collection<TcpSocket> sockets, Collection<InetAddress> own) {
    Set<Ends> all = new HashSet<>();
    Set<Ends> programs = new HashSet<>();
    for (TcpSocket socket : sockets) {
      Ends ends = Ends.of(socket);
      all.add(ends);
      if (PodCensus.isOpen(socket)
          && socket.mark() == InPodRouting.MARK_DELIVER
          && !own.contains(socket.remote())) {
        programs.add(ends);
      }
    }
    programs.removeIf(ends -> all.contains(ends.mirrored()));
    return programs;
  }
}
