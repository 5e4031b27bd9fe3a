package dev.weir.ffi;

import java.net.InetAddress;
import java.util.List;
import java.util.function.Predicate;

/**
 * The parts of rtnetlink and sock_diag that Weir needs; all act on the calling thread's network
 * namespace.
 */
public interface Netlink {
  List<Interface> interfaces();

  void setUp(int ifindex);

  /** A veth pair: {@code name} here, {@code peerName} in {@code peerNamespace}. */
  void addVeth(String name, String peerName, Fd peerNamespace);

  void addAddress(int ifindex, InetAddress address, int prefixLength);

  /** {@code ip rule add fwmark MARK lookup TABLE pref PREF}; fine if it stands already. */
  void addMarkRule(int family, int mark, int table, int preference);

  void deleteMarkRule(int family, int mark, int table, int preference);

  /** {@code ip route add local default dev lo table TABLE}; fine if it stands already. */
  void addLocalDefaultRoute(int family, int table);

  void deleteLocalDefaultRoute(int family, int table);

  /** The TCP sockets of the namespace by inet_diag, with tcp_info. */
  List<TcpSocket> tcpSockets();

  /**
   * SOCK_DESTROY for every matching socket: its peer sees RST, its owner ECONNABORTED. Returns how
   * many.
   */
  int destroyTcp(Predicate<TcpSocket> which);

  record Interface(
      int index, String name, boolean loopback, boolean up, List<InetAddress> addresses) {}

  /**
   * One inet_diag row. state as TCP_ESTABLISHED = 1 …; bytes as tcp_info counts them, rtt as srtt.
   */
  record TcpSocket(
      InetAddress local,
      int localPort,
      InetAddress remote,
      int remotePort,
      int state,
      int mark,
      long cookie,
      long inode,
      long bytesAcked,
      long bytesReceived,
      int rttMicros) {}
}
