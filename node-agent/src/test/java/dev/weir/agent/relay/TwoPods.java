package dev.weir.agent.relay;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import dev.weir.agent.authz.Authz;
import dev.weir.agent.capture.JoinedSockets;
import dev.weir.agent.capture.Original;
import dev.weir.agent.capture.Pod;
import dev.weir.agent.capture.Verdicts;
import dev.weir.agent.config.Mesh;
import dev.weir.agent.config.MeshView;
import dev.weir.agent.fairness.Fairness;
import dev.weir.agent.fairness.Lanes;
import dev.weir.agent.fairness.Limits;
import dev.weir.agent.fairness.Pace;
import dev.weir.agent.fairness.PodUsage;
import dev.weir.agent.identity.TestIdentities;
import dev.weir.agent.log.Level;
import dev.weir.agent.log.Log;
import dev.weir.agent.log.Logs;
import dev.weir.agent.metrics.Exposition;
import dev.weir.agent.route.Router;
import dev.weir.agent.telemetry.AccessLog;
import dev.weir.agent.telemetry.Refusal;
import dev.weir.agent.telemetry.Refusals;
import dev.weir.agent.telemetry.Telemetry;
import dev.weir.agent.transport.PodSockets;
import dev.weir.agent.transport.Transport;
import dev.weir.agent.tunnel.Tunnels;
import dev.weir.api.model.ApplicationTunnel;
import dev.weir.api.model.PodSettings;
import dev.weir.ffi.Fd;
import dev.weir.ffi.Kernel;
import dev.weir.ffi.Netlink;
import io.netty.buffer.PooledByteBufAllocator;
import io.netty.channel.EventLoopGroup;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.StandardProtocolFamily;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.InstantSource;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Consumer;
import java.util.function.LongPredicate;
import java.util.function.Supplier;

/**
 * Two network namespaces joined by a veth pair, both enrolled with real relays on a real transport.
 * In place of the kernel's programs a client connects to its pod's outbound listener itself, and
 * {@link #target} is what it is taken to have asked for.
 */
public final class TwoPods implements AutoCloseable {
  static final int AF_INET = 2;
  static final int AF_INET6 = 10;
  private static final int TABLE = 15006;
  private static final int PREFERENCE = 15006;

  public final Pod client;
  public final Pod server;
  final Relays relays;
  final Tunnels tunnels;
  final Fairness fairness;
  final Telemetry telemetry;
  final PooledByteBufAllocator allocator =
      new PooledByteBufAllocator(true, 0, 2, 8192, 6, 0, 0, false);
  final Map<Refusal, Integer> refused = new ConcurrentHashMap<>();
  final ConcurrentLinkedQueue<String> allowed = new ConcurrentLinkedQueue<>();
  volatile InetSocketAddress target = new InetSocketAddress(0);
  volatile InetSocketAddress asked = new InetSocketAddress(0);
  private final Map<Integer, InetSocketAddress> askedBy = new ConcurrentHashMap<>();
  volatile MeshView view = Meshes.twoPods();
  final Authz authz = new Authz();

  /** Whether the server's pod is known as one of this node. */
  volatile boolean sameNode;

  /** Which sockets count as joined with a program's. */
  volatile LongPredicate joined = _ -> false;

  /** Whether the pods are such as ask for that. */
  volatile boolean mayBeJoined;

  /** Who is certified as whom, where the pods talk through tunnels. */
  final TestIdentities identities = new TestIdentities();

  /** Whether the server counts as a pod of another node, behind a tunnel. */
  final boolean tunnelled;

  /** The access log, of connections that failed. */
  private final ByteArrayOutputStream failures = new ByteArrayOutputStream();

  private final Kernel kernel = Kernel.instance();
  private final Fd clientNetwork;
  private final Fd serverNetwork;
  private final EventLoopGroup loops;
  private final PodSockets sockets;
  private final AccessLog accessLog;
  private final Supplier<Relays> making;
  private static final AtomicInteger NUMBERS = new AtomicInteger();

  /**
   * @param way a transport's name, and {@code +tunnel} where connections are to go through one
   */
  public TwoPods(String way) {
    this(way, Limits.standard(64 << 20));
  }

  TwoPods(String way, Limits limits) {
    Duration connectNext = Duration.ofMillis(300);
    Duration connectLast = Duration.ofMillis(600);
    tunnelled = way.endsWith("+tunnel");
    sameNode = !tunnelled;
    String transportName = tunnelled ? way.substring(0, way.indexOf('+')) : way;
    clientNetwork = kernel.namespaces().newNetwork();
    serverNetwork = kernel.namespaces().newNetwork();
    in(clientNetwork, () -> kernel.netlink().addVeth("eth0", "eth0", serverNetwork));
    client = pod("client", clientNetwork, "10.9.0.1", "fd09::1");
    server = pod("server", serverNetwork, "10.9.0.2", "fd09::2");
    if (tunnelled) {
      view = MeshView.of(List.of(), List.of(Meshes.of(client), Meshes.of(server)));
    }
    Transport transport = Transport.named(transportName);
    Log log = new Logs(System.err, InstantSource.system(), Level.INFO).room("test");
    loops = transport.loops(4, Thread.ofPlatform().name("loop-", 0).daemon().factory());
    sockets = new PodSockets(transport, kernel.namespaces(), log).start();
    Mesh mesh =
        new Mesh() {
          @Override
          public MeshView current() {
            return view;
          }

          @Override
          public void onChange(Consumer<MeshView> listener) {
            listener.accept(view);
          }
        };
    Verdicts verdicts =
        new Verdicts() {
          @Override
          public void allow(Pod source, Pod destination, int port) {
            allowed.add(source.name() + ">" + destination.name() + ":" + port);
          }

          @Override
          public void review() {}

          @Override
          public void evict(Pod destination) {}

          @Override
          public void evictIdentity(String identity) {}
        };
    Refusals refusals = (pod, reason) -> refused.merge(reason, 1, Integer::sum);
    accessLog =
        new AccessLog(
            new PrintStream(failures, true, StandardCharsets.UTF_8),
            InstantSource.system(),
            AccessLog.Mode.FAILURES,
            AccessLog.Format.TEXT);
    Tuning standard =
        Tuning.standard(
            allocator,
            kernel.sockets(),
            new JoinedSockets() {
              @Override
              public boolean contains(long cookie) {
                return joined.test(cookie);
              }

              @Override
              public boolean mayBeIn(Pod pod) {
                return mayBeJoined;
              }
            });
    fairness = new Fairness(limits, allocator::pinnedDirectMemory, Pace.STEADY, log);
    tunnels = new Tunnels(identities, mesh, allocator, 2_000, refusals, log);
    telemetry = new Telemetry(mesh, accessLog);
    making =
        () ->
            new Relays(
                "node-1",
                new Lanes(loops, fairness),
                sockets,
                tunnels,
                fairness,
                new Router(this::podAt, new SplittableRandom(7)),
                mesh,
                (pod, caller) -> {
                  InetSocketAddress own = askedBy.get(caller.getPort());
                  return own == null ? new Original(asked, target, 0) : new Original(own, own, 0);
                },
                verdicts,
                authz,
                telemetry,
                refusals,
                new Tuning(allocator, connectNext, connectLast, standard.splicing()),
                log);
    relays = making.get();
    relays.enrolled(client);
    relays.enrolled(server);
  }

  /** Another agent's, beside the first; it does not accept yet. */
  Relays successor() {
    Relays successor = making.get();
    successor.acceptLater();
    successor.enrolled(client);
    successor.enrolled(server);
    return successor;
  }

  private @org.jspecify.annotations.Nullable Pod podAt(InetAddress address) {
    if (!sameNode) {
      return null;
    }
    return server.addresses().contains(address)
        ? server
        : client.addresses().contains(address) ? client : null;
  }

  private Pod pod(String name, Fd network, String v4, String v6) {
    InetAddress four = InetAddress.ofLiteral(v4);
    InetAddress six = InetAddress.ofLiteral(v6);
    in(
        network,
        () -> {
          Netlink netlink = kernel.netlink();
          // No duplicate address detection: an address would be unusable for a second.
          write("/proc/sys/net/ipv6/conf/eth0/accept_dad", "0");
          write("/proc/sys/net/ipv4/tcp_fwmark_accept", "1");
          write("/proc/sys/net/ipv4/fwmark_reflect", "1");
          write("/proc/sys/net/ipv6/fwmark_reflect", "1");
          write("/proc/sys/net/ipv4/tcp_tw_reuse", "1");
          int eth0 = eth0(netlink);
          netlink.addAddress(eth0, four, 24);
          netlink.addAddress(eth0, six, 64);
          netlink.setUp(eth0);
          for (int family : new int[] {AF_INET, AF_INET6}) {
            netlink.addMarkRule(family, PodSockets.MARK_DELIVER, TABLE, PREFERENCE);
            netlink.addLocalDefaultRoute(family, TABLE);
          }
        });
    int number = NUMBERS.incrementAndGet();
    return new Pod(
        number,
        "uid-" + number,
        "test",
        name,
        name,
        "spiffe://cluster.local/ns/test/sa/" + name,
        number,
        network,
        kernel.namespaces().cookie(network),
        List.of(four, six),
        PodSettings.DEFAULT);
  }

  private static int eth0(Netlink netlink) {
    return netlink.interfaces().stream()
        .filter(each -> each.name().equals("eth0"))
        .findFirst()
        .orElseThrow()
        .index();
  }

  /** Gives the client's namespace one more address, for somebody else who is there. */
  void alsoAt(InetAddress address) {
    in(
        clientNetwork,
        () -> {
          Netlink netlink = kernel.netlink();
          netlink.addAddress(eth0(netlink), address, 24);
        });
  }

  /** Runs nft in the server's namespace; what it prints. */
  String nft(String commands) {
    return Nft.run(serverNetwork, commands);
  }

  private static void write(String path, String value) {
    try {
      Files.writeString(Path.of(path), value);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private void in(Fd network, Runnable work) {
    in(
        network,
        () -> {
          work.run();
          return Boolean.TRUE;
        });
  }

  private <T> T in(Fd network, Supplier<T> work) {
    return kernel.namespaces().inNetwork(network, work);
  }

  /** A server program's listener in the server's pod; connections are made to it from now on. */
  public ServerSocketChannel listen() throws IOException {
    return listen(server, "10.9.0.2", 50);
  }

  ServerSocketChannel listen(Pod pod, String address, int backlog) throws IOException {
    ServerSocketChannel listener =
        listenAt(pod, new InetSocketAddress(InetAddress.ofLiteral(address), 0), backlog);
    ask((InetSocketAddress) listener.getLocalAddress());
    return listener;
  }

  public ServerSocketChannel listenAt(Pod pod, InetSocketAddress at, int backlog)
      throws IOException {
    ServerSocketChannel listener =
        in(
            pod.netns(),
            () -> {
              try {
                return ServerSocketChannel.open(
                    at.getAddress() instanceof java.net.Inet4Address
                        ? StandardProtocolFamily.INET
                        : StandardProtocolFamily.INET6);
              } catch (IOException e) {
                throw new UncheckedIOException(e);
              }
            });
    try {
      listener.bind(at, backlog);
    } catch (IOException e) {
      listener.close();
      throw e;
    }
    return listener;
  }

  /** In place of the server's agent. */
  ServerSocketChannel strangerAtTheTunnelPort() {
    relays.withdrawn(server);
    InetSocketAddress port = new InetSocketAddress(InetAddress.ofLiteral("10.9.0.2"), 15008);
    return await().ignoreExceptions().until(() -> listenAt(server, port, 50), listener -> true);
  }

  /** What is sent to one who does not read soon waits in the agents, and not in the kernel. */
  void smallKernelBuffers() {
    for (Fd network : List.of(clientNetwork, serverNetwork)) {
      in(
          network,
          () -> {
            write("/proc/sys/net/ipv4/tcp_wmem", "4096 16384 65536");
            write("/proc/sys/net/ipv4/tcp_rmem", "4096 16384 65536");
          });
    }
  }

  /** In the client's pod, as a container runtime does where the cluster has no IPv6. */
  void switchIpv6Off() {
    in(clientNetwork, () -> write("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1"));
  }

  /** Gives a pod another application tunnel. */
  public void settings(Pod pod, @org.jspecify.annotations.Nullable ApplicationTunnel tunnel) {
    relays.changed(
        pod,
        new Pod(
            pod.number(),
            pod.uid(),
            pod.namespace(),
            pod.name(),
            pod.serviceAccount(),
            pod.identity(),
            pod.identityNumber(),
            pod.netns(),
            pod.cookie(),
            pod.addresses(),
            pod.settings().withApplicationTunnel(tunnel)));
  }

  public void ask(InetSocketAddress address) {
    target = address;
    asked = address;
  }

  public SocketChannel connect() throws IOException {
    return connect("127.0.0.1", StandardProtocolFamily.INET);
  }

  /** The same of a connection that asks for this, whatever others are taken to ask for. */
  SocketChannel connectTo(InetSocketAddress address) throws IOException {
    SocketChannel channel = unconnected(client, StandardProtocolFamily.INET);
    channel.bind(new InetSocketAddress(InetAddress.ofLiteral("127.0.0.1"), 0));
    askedBy.put(((InetSocketAddress) channel.getLocalAddress()).getPort(), address);
    channel.connect(new InetSocketAddress(InetAddress.ofLiteral("127.0.0.1"), 15001));
    return channel;
  }

  /** A client program's connection, as the kernel's programs would have turned it to the agent. */
  SocketChannel connect(String loopback, StandardProtocolFamily family) throws IOException {
    SocketChannel channel = unconnected(client, family);
    channel.connect(new InetSocketAddress(InetAddress.ofLiteral(loopback), 15001));
    return channel;
  }

  /**
   * A client program's connection ends by a reset: of its first read, or of connect() where the
   * agent was so quick.
   */
  void assertRefused() {
    assertThatThrownBy(
            () -> {
              try (SocketChannel channel = connect()) {
                throw new AssertionError("read " + channel.read(ByteBuffer.allocate(1)));
              }
            })
        .isInstanceOf(IOException.class);
  }

  /** Bytes that wait in the agent, or in the kernel for it, when the watch looked last. */
  long buffered() {
    return fairness.usage().stream().mapToLong(PodUsage::buffered).sum();
  }

  SocketChannel unconnected(Pod pod, StandardProtocolFamily family) {
    return in(
        pod.netns(),
        () -> {
          try {
            return SocketChannel.open(family);
          } catch (IOException e) {
            throw new UncheckedIOException(e);
          }
        });
  }

  /** What the tunnels say of themselves. */
  long counter(String series) {
    Exposition out = new Exposition();
    tunnels.write(out);
    return out.toString()
        .lines()
        .filter(line -> line.startsWith(series + " "))
        .mapToLong(line -> Long.parseLong(line.substring(series.length() + 1)))
        .findFirst()
        .orElseThrow(() -> new AssertionError("no counter " + series));
  }

  String failures() {
    return failures.toString(StandardCharsets.UTF_8);
  }

  /** The access log is written by a thread of its own. */
  void awaitFailure(String text) {
    await().untilAsserted(() -> assertThat(failures()).contains(text));
  }

  /** Aborts what is open, sees that nothing of it is held, and closes. */
  void endHoldingNothing() {
    try {
      relays.abortAll();
      await()
          .atMost(Duration.ofSeconds(10))
          .untilAsserted(() -> {
            assertThat(relays.liveCount()).as("open connections").isZero();
            assertThat(tunnels.count()).as("open tunnels").isZero();
            assertThat(allocator.pinnedDirectMemory()).as("bytes in buffers").isZero();
          });
    } finally {
      close();
    }
  }

  @Override
  public void close() {
    relays.abortAll();
    relays.withdrawn(client);
    relays.withdrawn(server);
    loops.shutdownGracefully(0, 5, TimeUnit.SECONDS).awaitUninterruptibly(10, TimeUnit.SECONDS);
    sockets.close();
    accessLog.close();
    clientNetwork.close();
    serverNetwork.close();
  }
}
