package dev.weir.ffi;

import java.net.InetAddress;
import java.net.UnknownHostException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Predicate;

/**
 * Messages by hand: rtnetlink(7) and sock_diag(7) are a dozen structs, and a library for them would
 * be larger than this.
 */
final class LinuxNetlink implements Netlink {
  private static final int AF_INET = 2;
  private static final int AF_INET6 = 10;

  private static final int NETLINK_ROUTE = 0;
  private static final int NETLINK_SOCK_DIAG = 4;

  private static final short RTM_NEWLINK = 16;
  private static final short RTM_GETLINK = 18;
  private static final short RTM_NEWADDR = 20;
  private static final short RTM_GETADDR = 22;
  private static final short RTM_NEWROUTE = 24;
  private static final short RTM_DELROUTE = 25;
  private static final short RTM_NEWRULE = 32;
  private static final short RTM_DELRULE = 33;
  private static final short SOCK_DIAG_BY_FAMILY = 20;
  private static final short SOCK_DESTROY = 21;

  private static final int IFF_UP = 1;
  private static final int IFF_LOOPBACK = 8;
  private static final short IFLA_IFNAME = 3;
  private static final short IFLA_LINKINFO = 18;
  private static final short IFLA_NET_NS_FD = 28;
  private static final short IFLA_INFO_KIND = 1;
  private static final short IFLA_INFO_DATA = 2;
  private static final short VETH_INFO_PEER = 1;
  private static final short IFA_ADDRESS = 1;
  private static final short IFA_LOCAL = 2;
  private static final int IFA_F_NODAD = 2;
  private static final short FRA_PRIORITY = 6;
  private static final short FRA_FWMARK = 10;
  private static final short FRA_TABLE = 15;
  private static final int FR_ACT_TO_TBL = 1;
  private static final short RTA_OIF = 4;
  private static final short RTA_TABLE = 15;
  private static final int RTPROT_STATIC = 4;
  private static final int RTN_LOCAL = 2;
  private static final int RT_SCOPE_UNIVERSE = 0;
  private static final int RT_SCOPE_HOST = 254;
  private static final int LOOPBACK = 1;

  private static final int IPPROTO_TCP = 6;
  private static final int INET_DIAG_INFO = 2;
  private static final int INET_DIAG_MARK = 15;
  private static final int ALL_STATES = -1;

  /** Offsets in struct tcp_info: uapi/linux/tcp.h only ever appends. */
  private static final int TCPI_RTT = 68;

  private static final int TCPI_BYTES_ACKED = 120;
  private static final int TCPI_BYTES_RECEIVED = 128;

  private final NetlinkSockets sockets;

  LinuxNetlink(Calls calls, Memory memory) {
    this.sockets = new NetlinkSockets(calls, memory);
  }

  @Override
  public List<Interface> interfaces() {
    Map<Integer, Interface> found = new LinkedHashMap<>();
    sockets.dump(
        NETLINK_ROUTE,
        () -> {
          found.clear();
          return new NetlinkMessage(RTM_GETLINK).bytes(16);
        },
        link -> addInterface(found, link),
        "list interfaces");
    Map<Integer, List<InetAddress>> addresses = new LinkedHashMap<>();
    sockets.dump(
        NETLINK_ROUTE,
        () -> {
          addresses.clear();
          return new NetlinkMessage(RTM_GETADDR).bytes(8);
        },
        address -> addAddress(addresses, address),
        "list addresses");
    return found.values().stream()
        .map(each ->
            new Interface(
                each.index(),
                each.name(),
                each.loopback(),
                each.up(),
                List.copyOf(addresses.getOrDefault(each.index(), List.of()))))
        .toList();
  }

  /** struct ifinfomsg: family, type, index, flags, change. */
  private static void addInterface(Map<Integer, Interface> found, ByteBuffer link) {
    int index = link.getInt(4);
    int flags = link.getInt(8);
    NetlinkMessage.attributes(
        link.slice(16, link.limit() - 16).order(ByteOrder.nativeOrder()),
        (type, value) -> {
          if (type == IFLA_IFNAME) {
            String name = NetlinkMessage.text(value);
            found.put(
                index,
                new Interface(
                    index, name, (flags & IFF_LOOPBACK) != 0, (flags & IFF_UP) != 0, List.of()));
          }
        });
  }

  /**
   * struct ifaddrmsg: family, prefixlen, flags, scope, index. On a point-to-point link IFA_LOCAL is
   * ours and IFA_ADDRESS the peer's.
   */
  private static void addAddress(Map<Integer, List<InetAddress>> addresses, ByteBuffer message) {
    int index = message.getInt(4);
    Map<Short, InetAddress> seen = new LinkedHashMap<>();
    NetlinkMessage.attributes(
        message.slice(8, message.limit() - 8).order(ByteOrder.nativeOrder()),
        (type, value) -> {
          if (type == IFA_LOCAL || type == IFA_ADDRESS) {
            seen.put(type, address(value, 0, value.remaining()));
          }
        });
    InetAddress ours = seen.containsKey(IFA_LOCAL) ? seen.get(IFA_LOCAL) : seen.get(IFA_ADDRESS);
    if (ours != null) {
      addresses.computeIfAbsent(index, _ -> new ArrayList<>()).add(ours);
    }
  }

  @Override
  public void setUp(int ifindex) {
    NetlinkMessage message =
        new NetlinkMessage(RTM_NEWLINK).interfaceHeader(ifindex, IFF_UP, IFF_UP);
    sockets.request(NETLINK_ROUTE, message, 0, "set interface %d up".formatted(ifindex));
  }

  @Override
  public void addVeth(String name, String peerName, Fd peerNamespace) {
    NetlinkMessage message =
        new NetlinkMessage(RTM_NEWLINK).interfaceHeader(0, 0, 0).string(IFLA_IFNAME, name);
    int info = message.open(IFLA_LINKINFO);
    message.string(IFLA_INFO_KIND, "veth");
    int data = message.open(IFLA_INFO_DATA);
    int peer = message.open(VETH_INFO_PEER);
    message
        .interfaceHeader(0, 0, 0)
        .string(IFLA_IFNAME, peerName)
        .integer(IFLA_NET_NS_FD, peerNamespace.number());
    message.close(peer).close(data).close(info);
    sockets.request(
        NETLINK_ROUTE,
        message,
        NetlinkMessage.CREATE | NetlinkMessage.EXCLUSIVE,
        "add veth %s with peer %s".formatted(name, peerName));
  }

  @Override
  public void addAddress(int ifindex, InetAddress address, int prefixLength) {
    byte[] bytes = address.getAddress();
    int family = bytes.length == 4 ? AF_INET : AF_INET6;
    // An address of ours is unique by construction, and duplicate address detection would keep it
    // unusable for a second.
    int flags = family == AF_INET6 ? IFA_F_NODAD : 0;
    NetlinkMessage message =
        new NetlinkMessage(RTM_NEWADDR)
            .octets(family, prefixLength, flags, RT_SCOPE_UNIVERSE)
            .integer(ifindex)
            .raw(IFA_LOCAL, bytes)
            .raw(IFA_ADDRESS, bytes);
    sockets.request(
        NETLINK_ROUTE,
        message,
        NetlinkMessage.CREATE | NetlinkMessage.EXCLUSIVE,
        "add address %s/%d to interface %d"
            .formatted(address.getHostAddress(), prefixLength, ifindex));
  }

  @Override
  public void addMarkRule(int family, int mark, int table, int preference) {
    sockets.requestUnless(
        Errno.EEXIST,
        NETLINK_ROUTE,
        markRule(RTM_NEWRULE, family, mark, table, preference),
        NetlinkMessage.CREATE | NetlinkMessage.EXCLUSIVE,
        "add rule fwmark 0x%x lookup %d pref %d".formatted(mark, table, preference));
  }

  @Override
  public void deleteMarkRule(int family, int mark, int table, int preference) {
    sockets.requestUnless(
        Errno.ENOENT,
        NETLINK_ROUTE,
        markRule(RTM_DELRULE, family, mark, table, preference),
        0,
        "delete rule fwmark 0x%x lookup %d pref %d".formatted(mark, table, preference));
  }

  /** struct fib_rule_hdr: family, dst_len, src_len, tos, table, two reserved, action, flags. */
  private static NetlinkMessage markRule(
      short type, int family, int mark, int table, int preference) {
    return new NetlinkMessage(type)
        .octets(family, 0, 0, 0)
        .octets(0, 0, 0, FR_ACT_TO_TBL)
        .integer(0)
        .integer(FRA_PRIORITY, preference)
        .integer(FRA_FWMARK, mark)
        .integer(FRA_TABLE, table);
  }

  @Override
  public void addLocalDefaultRoute(int family, int table) {
    sockets.requestUnless(
        Errno.EEXIST,
        NETLINK_ROUTE,
        localDefault(RTM_NEWROUTE, family, table),
        NetlinkMessage.CREATE | NetlinkMessage.EXCLUSIVE,
        "add route local default dev lo table %d".formatted(table));
  }

  @Override
  public void deleteLocalDefaultRoute(int family, int table) {
    sockets.requestUnless(
        Errno.ESRCH,
        NETLINK_ROUTE,
        localDefault(RTM_DELROUTE, family, table),
        0,
        "delete route local default dev lo table %d".formatted(table));
  }

  /**
   * struct rtmsg: family, dst_len, src_len, tos, table, protocol, scope, type, flags. Table numbers
   * over 255 go in the attribute only.
   */
  private static NetlinkMessage localDefault(short type, int family, int table) {
    return new NetlinkMessage(type)
        .octets(family, 0, 0, 0)
        .octets(0, RTPROT_STATIC, family == AF_INET ? RT_SCOPE_HOST : RT_SCOPE_UNIVERSE, RTN_LOCAL)
        .integer(0)
        .integer(RTA_TABLE, table)
        .integer(RTA_OIF, LOOPBACK);
  }

  @Override
  public List<TcpSocket> tcpSockets() {
    return rows().stream().map(Row::socket).toList();
  }

  @Override
  public int destroyTcp(Predicate<TcpSocket> which) {
    int destroyed = 0;
    for (Row row : rows()) {
      if (which.test(row.socket()) && destroy(row)) {
        destroyed++;
      }
    }
    return destroyed;
  }

  /** A socket that closed since it was listed is ENOENT, and that is as good. */
  private boolean destroy(Row row) {
    NetlinkMessage message =
        new NetlinkMessage(SOCK_DESTROY)
            .octets(row.family(), IPPROTO_TCP, 0, 0)
            .integer(ALL_STATES)
            .append(row.id());
    TcpSocket socket = row.socket();
    return sockets.requestUnless(
        Errno.ENOENT,
        NETLINK_SOCK_DIAG,
        message,
        0,
        "destroy %s:%d -> %s:%d"
            .formatted(
                socket.local().getHostAddress(),
                socket.localPort(),
                socket.remote().getHostAddress(),
                socket.remotePort()));
  }

  /**
   * The socket, and what the kernel wants to hear to find it again: its family (v4-mapped sockets
   * are v6) and its inet_diag_sockid.
   */
  @SuppressWarnings("ArrayRecordComponent") // compared by nobody
  private record Row(int family, byte[] id, TcpSocket socket) {}

  private List<Row> rows() {
    List<Row> rows = new ArrayList<>(dumpTcp(AF_INET));
    rows.addAll(dumpTcp(AF_INET6));
    return rows;
  }

  private List<Row> dumpTcp(int family) {
    List<Row> rows = new ArrayList<>();
    sockets.dump(
        NETLINK_SOCK_DIAG,
        () -> {
          rows.clear();
          return new NetlinkMessage(SOCK_DIAG_BY_FAMILY)
              .octets(family, IPPROTO_TCP, 1 << (INET_DIAG_INFO - 1), 0)
              .integer(ALL_STATES)
              .bytes(48);
        },
        reply -> rows.add(row(reply)),
        "list TCP sockets");
    return rows;
  }

  /**
   * struct inet_diag_msg: family, state, timer, retrans, sockid[48], expires, rqueue, wqueue, uid,
   * inode.
   */
  private static Row row(ByteBuffer reply) {
    int family = reply.get(0);
    int size = family == AF_INET ? 4 : 16;
    byte[] id = new byte[48];
    reply.get(4, id);
    ByteBuffer network = reply.slice(4, 48).order(ByteOrder.BIG_ENDIAN);
    int[] mark = new int[1];
    long[] counters = new long[3];
    NetlinkMessage.attributes(
        reply.slice(72, reply.limit() - 72).order(ByteOrder.nativeOrder()),
        (type, value) -> {
          if (type == INET_DIAG_MARK) {
            mark[0] = value.getInt(0);
          } else if (type == INET_DIAG_INFO
              && value.remaining() >= TCPI_BYTES_RECEIVED + Long.BYTES) {
            counters[0] = value.getLong(TCPI_BYTES_ACKED);
            counters[1] = value.getLong(TCPI_BYTES_RECEIVED);
            counters[2] = value.getInt(TCPI_RTT);
          }
        });
    long cookie = Integer.toUnsignedLong(reply.getInt(4 + 40)) | (long) reply.getInt(4 + 44) << 32;
    TcpSocket socket =
        new TcpSocket(
            address(network, 4, size),
            Short.toUnsignedInt(network.getShort(0)),
            address(network, 20, size),
            Short.toUnsignedInt(network.getShort(2)),
            reply.get(1),
            mark[0],
            cookie,
            Integer.toUnsignedLong(reply.getInt(68)),
            counters[0],
            counters[1],
            (int) counters[2]);
    return new Row(family, id, socket);
  }

  private static InetAddress address(ByteBuffer from, int offset, int size) {
    byte[] bytes = new byte[size];
    from.get(offset, bytes);
    try {
      return InetAddress.getByAddress(bytes);
    } catch (UnknownHostException e) {
      throw new IllegalArgumentException(
          "address: %d bytes (expected: 4 or 16)".formatted(size), e);
    }
  }
}
