package dev.weir.bpf;

import dev.weir.ffi.Bpf.BpfLink;
import dev.weir.ffi.Fd;
import dev.weir.ffi.Kernel;
import dev.weir.ffi.Netlink;
import dev.weir.ffi.Netlink.TcpSocket;
import dev.weir.testing.Cgroup2;
import java.io.Closeable;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.ConnectException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ProtocolFamily;
import java.net.StandardProtocolFamily;
import java.net.StandardSocketOptions;
import java.nio.channels.DatagramChannel;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.BooleanSupplier;
import java.util.function.Predicate;

/**
 * Two pods on one veth pair with every program attached, and this process in the cgroup that the
 * programs see. The agent is a set of listening sockets and a beat.
 */
final class TestPods implements AutoCloseable {
  static final InetAddress CLIENT4 = InetAddress.ofLiteral("10.98.0.1");
  static final InetAddress SERVER4 = InetAddress.ofLiteral("10.98.0.2");
  static final InetAddress CLIENT6 = InetAddress.ofLiteral("fd98::1");
  static final InetAddress SERVER6 = InetAddress.ofLiteral("fd98::2");
  static final InetAddress LOOPBACK4 = InetAddress.ofLiteral("127.0.0.1");
  static final InetAddress LOOPBACK6 = InetAddress.ofLiteral("::1");
  static final int CLIENT = 1;
  static final int SERVER = 2;

  private static final Kernel KERNEL = Loaded.KERNEL;
  private static final int CONNECT_MILLIS = 5_000;

  /** What throws, run where only what does not throw is taken. */
  interface Opening<T> {
    T open() throws IOException;
  }

  final Loaded loaded = new Loaded();
  final Fd client = KERNEL.namespaces().newNetwork();
  final Fd server = KERNEL.namespaces().newNetwork();
  private final Path root = Cgroup2.root().orElseThrow();
  private final Path home;
  private final Path cgroup;
  private final List<BpfLink> links = new ArrayList<>();
  private final List<Closeable> sockets = new ArrayList<>();
  private final List<Closeable> agent = new ArrayList<>();

  TestPods() {
    cgroup = root.resolve("weir-bpf-test-" + ProcessHandle.current().pid());
    try {
      home = root.resolve(cgroupOfThisProcess());
      Files.createDirectories(cgroup);
      enter(cgroup);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    within(
        client,
        () -> {
          KERNEL.netlink().addVeth("eth0", "eth0", server);
          return true;
        });
    device(client, CLIENT4, CLIENT6);
    device(server, SERVER4, SERVER6);
    try (Fd folder = KERNEL.namespaces().open(cgroup)) {
      for (Programs.CgroupProgram each : Programs.CGROUP) {
        links.add(loaded.program(each.name()).attachCgroup(folder.number(), each.attachType()));
      }
    }
    loaded
        .program(Programs.JOIN)
        .attachToMap(loaded.map(Programs.JOINABLE), Programs.SK_MSG_VERDICT);
    loaded.beat();
    introduce(SERVER4);
    introduce(SERVER6);
  }

  /** A fresh link may lose its first packets, and a lost ARP request costs a second. */
  private void introduce(InetAddress address) {
    try {
      connect(client, address, 1);
    } catch (ConnectException _) {
      return; // refused: the other side was reached
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    throw new IllegalStateException("something listens on port 1 of a new namespace");
  }

  private static String cgroupOfThisProcess() throws IOException {
    try (var lines = Files.lines(Path.of("/proc/self/cgroup"))) {
      return lines
          .filter(line -> line.startsWith("0::/"))
          .map(line -> line.substring("0::/".length()))
          .findFirst()
          .orElse("");
    }
  }

  private static void enter(Path cgroup) throws IOException {
    Files.writeString(cgroup.resolve("cgroup.procs"), "" + ProcessHandle.current().pid());
  }

  private void device(Fd netns, InetAddress four, InetAddress six) {
    within(
        netns,
        () -> {
          // No duplicate address detection: the address is to be there now.
          Files.writeString(Path.of("/proc/sys/net/ipv6/conf/eth0/accept_dad"), "0");
          int index = index();
          KERNEL.netlink().addAddress(index, four, 24);
          KERNEL.netlink().addAddress(index, six, 64);
          KERNEL.netlink().setUp(index);
          return index;
        });
  }

  private static int index() {
    return KERNEL.netlink().interfaces().stream()
        .filter(one -> one.name().equals("eth0"))
        .mapToInt(Netlink.Interface::index)
        .findFirst()
        .orElseThrow();
  }

  static <T> T within(Fd netns, Opening<T> work) {
    return KERNEL
        .namespaces()
        .inNetwork(
            netns,
            () -> {
              try {
                return work.open();
              } catch (IOException e) {
                throw new UncheckedIOException(e);
              }
            });
  }

  TestPods enrolClient(int flags) {
    return enrol(client, CLIENT, flags, CLIENT4, CLIENT6);
  }

  TestPods enrolServer(int flags) {
    return enrol(server, SERVER, flags, SERVER4, SERVER6);
  }

  /** Listeners first, the entry last, as the agent does. */
  private TestPods enrol(Fd netns, int number, int flags, InetAddress four, InetAddress six) {
    within(
        netns,
        () -> {
          int index = index();
          links.add(loaded.program(Programs.INGRESS).attachTcx(index, Programs.TCX_INGRESS));
          links.add(loaded.program(Programs.EGRESS).attachTcx(index, Programs.TCX_EGRESS));
          return true;
        });
    loaded.enrol(netns, number, flags, four, six);
    return this;
  }

  /** The agent's listener for what a pod sends: to be accepted from by the test. */
  ServerSocketChannel agentOutbound(Fd netns, InetAddress loopback) {
    return keep(agent, listening(netns, loopback, 15_001));
  }

  /** The same over 127.0.0.1, once more: the agent was restarted. */
  ServerSocketChannel replaceOutbound(Fd netns) throws IOException {
    killAgent();
    return agentOutbound(netns, LOOPBACK4);
  }

  ServerSocketChannel agentInbound(Fd netns) {
    return keep(
        agent, within(netns, () -> ServerSocketChannel.open().bind(new InetSocketAddress(15_006))));
  }

  DatagramChannel agentDns(Fd netns, InetAddress loopback) {
    return keep(
        agent,
        within(
            netns,
            () ->
                DatagramChannel.open(family(loopback))
                    .bind(new InetSocketAddress(loopback, 15_053))));
  }

  void killAgent() throws IOException {
    for (Closeable each : agent) {
      each.close();
    }
    agent.clear();
  }

  ServerSocketChannel listen(Fd netns, InetAddress address, int port) {
    return keep(sockets, listening(netns, address, port));
  }

  private static ServerSocketChannel listening(Fd netns, InetAddress address, int port) {
    return within(
        netns,
        () -> ServerSocketChannel.open(family(address)).bind(new InetSocketAddress(address, port)));
  }

  /** A program's socket that chose its congestion control by itself; the caller closes it. */
  Fd connectWith(String congestion, Fd netns, InetAddress address, int port) {
    Fd socket = within(netns, () -> KERNEL.sockets().open(AF_INET, SOCK_STREAM, 0));
    KERNEL
        .sockets()
        .setOption(socket, SOL_TCP, TCP_CONGESTION, congestion.getBytes(StandardCharsets.US_ASCII));
    KERNEL.sockets().connect(socket, new InetSocketAddress(address, port));
    return socket;
  }

  /** Its congestion control. */
  static String congestion(TcpSocket socket) throws IOException {
    return name(option(socket, SOL_TCP, TCP_CONGESTION, CONGESTION_NAME));
  }

  static String congestion(Fd socket) {
    return name(KERNEL.sockets().option(socket, SOL_TCP, TCP_CONGESTION, CONGESTION_NAME));
  }

  private static String name(byte[] padded) {
    return new String(padded, StandardCharsets.US_ASCII).replace("\0", "");
  }

  SocketChannel connect(Fd netns, InetAddress address, int port) throws IOException {
    return connect(netns, family(address), address, port);
  }

  /** A v4 address by an AF_INET6 socket is how Java and Go connect when left to themselves. */
  SocketChannel connect(Fd netns, ProtocolFamily family, InetAddress address, int port)
      throws IOException {
    SocketChannel socket = keep(sockets, within(netns, () -> SocketChannel.open(family)));
    socket.socket().connect(new InetSocketAddress(address, port), CONNECT_MILLIS);
    return socket;
  }

  /** The same from a port that may have been called from before. */
  SocketChannel connectFrom(
      InetSocketAddress from, Fd netns, InetAddress address, int port, int millis)
      throws IOException {
    SocketChannel socket = keep(sockets, within(netns, () -> SocketChannel.open(family(address))));
    socket.setOption(StandardSocketOptions.SO_REUSEADDR, true).bind(from);
    socket.socket().connect(new InetSocketAddress(address, port), millis);
    return socket;
  }

  SocketChannel accept(ServerSocketChannel from) throws IOException {
    from.socket().setSoTimeout(CONNECT_MILLIS);
    return keep(sockets, from.socket().accept().getChannel());
  }

  DatagramChannel datagrams(Fd netns, ProtocolFamily family) {
    return keep(sockets, within(netns, () -> DatagramChannel.open(family)));
  }

  static ProtocolFamily family(InetAddress address) {
    return address.getAddress().length == 4
        ? StandardProtocolFamily.INET
        : StandardProtocolFamily.INET6;
  }

  private static <T extends Closeable> T keep(List<Closeable> where, T socket) {
    where.add(socket);
    return socket;
  }

  /** The kernel's view of a connection of ours, found by the client's port. */
  static TcpSocket socket(Fd netns, int localPort) {
    return socket(netns, one -> one.localPort() == localPort);
  }

  static TcpSocket socketFrom(Fd netns, int remotePort) {
    return socket(netns, one -> one.remotePort() == remotePort);
  }

  private static TcpSocket socket(Fd netns, Predicate<TcpSocket> which) {
    return within(netns, () -> KERNEL.netlink().tcpSockets()).stream()
        .filter(one -> one.state() != LISTEN)
        .filter(which)
        .findFirst()
        .orElseThrow();
  }

  private static final int LISTEN = 10;

  /** getsockopt on a socket that java.nio holds: its descriptor is found by inode. */
  static byte[] option(TcpSocket socket, int name, int bytes) throws IOException {
    return option(socket, SOL_SOCKET, name, bytes);
  }

  static byte[] option(TcpSocket socket, int level, int name, int bytes) throws IOException {
    String link = "socket:[%d]".formatted(socket.inode());
    try (var open = Files.list(Path.of("/proc/self/fd"))) {
      int number =
          open.filter(
                  each -> {
                    try {
                      return Files.readSymbolicLink(each).toString().equals(link);
                    } catch (IOException _) {
                      return false; // it was the listing's own
                    }
                  })
              .mapToInt(each -> Integer.parseInt(each.getFileName().toString()))
              .findFirst()
              .orElseThrow();
      // Never closed: java.nio owns the descriptor.
      return KERNEL.sockets().option(KERNEL.sockets().adopt(number), level, name, bytes);
    }
  }

  private static final int SOL_SOCKET = 1;
  private static final int SOL_TCP = 6;
  private static final int TCP_CONGESTION = 13;
  private static final int CONGESTION_NAME = 16;
  private static final int AF_INET = 2;
  private static final int SOCK_STREAM = 1;

  static void await(String what, BooleanSupplier condition) {
    long deadline = System.nanoTime() + 10_000_000_000L;
    while (!condition.getAsBoolean()) {
      if (System.nanoTime() - deadline > 0) {
        throw new AssertionError("within 10 s it did not come true that " + what);
      }
      Thread.onSpinWait();
    }
  }

  @Override
  public void close() throws IOException {
    for (Closeable each : sockets) {
      each.close();
    }
    killAgent();
    links.forEach(link -> {
      link.detach();
      link.close();
    });
    loaded.close();
    client.close();
    server.close();
    enter(home);
    Files.delete(cgroup);
  }
}
