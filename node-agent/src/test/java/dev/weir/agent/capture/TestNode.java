package dev.weir.agent.capture;

import dev.weir.agent.log.Level;
import dev.weir.agent.log.Log;
import dev.weir.agent.log.Logs;
import dev.weir.api.model.PodSettings;
import dev.weir.ffi.Fd;
import dev.weir.ffi.Kernel;
import dev.weir.ffi.Netlink;
import dev.weir.testing.Cgroup2;
import java.io.Closeable;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.StandardProtocolFamily;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import java.util.stream.Stream;
import org.awaitility.Awaitility;
import org.jspecify.annotations.Nullable;

/**
 * Two pods on one veth pair, a cgroup that this process moves into, pins, and captures one after
 * the other on them. Sockets are made in the pods by this very process.
 */
final class TestNode implements AutoCloseable {
  static final Kernel KERNEL = Kernel.instance();
  static final InetAddress CLIENT4 = InetAddress.ofLiteral("10.99.0.1");
  static final InetAddress SERVER4 = InetAddress.ofLiteral("10.99.0.2");
  static final InetAddress CLIENT6 = InetAddress.ofLiteral("fd99::1");
  static final InetAddress SERVER6 = InetAddress.ofLiteral("fd99::2");

  private final Path cgroup;
  private final Path bpffs;
  final Fd client = KERNEL.namespaces().newNetwork();
  final Fd server = KERNEL.namespaces().newNetwork();
  private final Map<String, PodSettings> settings = new ConcurrentHashMap<>();
  private final List<Closeable> sockets = new ArrayList<>();
  private @Nullable KernelCapture capture;
  final Listeners listeners = new Listeners();
  final Flows flows = new Flows();

  TestNode() {
    String name = "weir-capture-test-" + ProcessHandle.current().pid();
    this.cgroup = Cgroup2.root().orElseThrow().resolve(name);
    this.bpffs = Path.of("/sys/fs/bpf").resolve(name);
    try {
      Files.createDirectories(cgroup);
      join(cgroup);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    KERNEL
        .namespaces()
        .inNetwork(
            client,
            () -> {
              KERNEL.netlink().addVeth("eth0", "eth0", server);
              return true;
            });
    address(client, CLIENT4, CLIENT6);
    address(server, SERVER4, SERVER6);
  }

  private static void join(Path cgroup) throws IOException {
    Files.writeString(cgroup.resolve("cgroup.procs"), "" + ProcessHandle.current().pid());
  }

  private static void address(Fd netns, InetAddress four, InetAddress six) {
    KERNEL
        .namespaces()
        .inNetwork(
            netns,
            () -> {
              try {
                // No duplicate address detection: the address is to be there now.
                Files.writeString(Path.of("/proc/sys/net/ipv6/conf/eth0/accept_dad"), "0");
              } catch (IOException e) {
                throw new UncheckedIOException(e);
              }
              int device =
                  KERNEL.netlink().interfaces().stream()
                      .filter(one -> one.name().equals("eth0"))
                      .mapToInt(Netlink.Interface::index)
                      .findFirst()
                      .orElseThrow();
              KERNEL.netlink().addAddress(device, four, 24);
              KERNEL.netlink().addAddress(device, six, 64);
              KERNEL.netlink().setUp(device);
              return true;
            });
  }

  /** A new agent's capture; a former one must have been closed. */
  KernelCapture start() {
    Log log = new Logs(System.err, InstantSource.system(), Level.DEBUG).room("capture");
    KernelCapture now =
        (KernelCapture)
            Capture.open(new CaptureOptions("node", cgroup, bpffs, List.of()), KERNEL, log);
    capture = now;
    now.addListener(listeners);
    now.flows().sink(flows);
    now.replacePods(directory());
    now.start(
        new Capture.ChargeListener() {
          @Override
          public void taken() {}

          @Override
          public void lost() {}
        });
    return now;
  }

  /** Kills the agent, as far as the kernel can tell. */
  void stop() {
    if (capture != null) {
      capture.close();
      capture = null;
    }
    listeners.closeAll();
  }

  private PodDirectory directory() {
    Map<String, PodSettings> now = new HashMap<>(settings);
    return (namespace, name) ->
        Optional.of(
            TestWorkloads.workload(namespace, name, now.getOrDefault(name, PodSettings.DEFAULT)));
  }

  void settings(String pod, PodSettings now) {
    settings.put(pod, now);
    if (capture != null) {
      capture.replacePods(directory());
    }
  }

  Pod enrol(Fd netns, String name) {
    Fd copy = KERNEL.namespaces().open(Path.of("/proc/self/fd/" + netns.number()));
    return join(
        running().enroller().add(new Enroller.PodName("uid-" + name, "test", name, name), copy));
  }

  Pod enrolClient() {
    return enrol(client, "client");
  }

  Pod enrolServer() {
    return enrol(server, "server");
  }

  void remove(String name) {
    var _ = join(running().enroller().remove("uid-" + name));
  }

  KernelCapture running() {
    if (capture == null) {
      throw new IllegalStateException("no agent runs");
    }
    return capture;
  }

  static <T> T join(CompletionStage<T> stage) {
    return stage.toCompletableFuture().orTimeout(10, TimeUnit.SECONDS).join();
  }

  ServerSocketChannel listen(Fd netns, InetAddress address, int port) {
    return keep(
        KERNEL
            .namespaces()
            .inNetwork(
                netns,
                () -> {
                  try {
                    return ServerSocketChannel.open(family(address))
                        .bind(new InetSocketAddress(address, port));
                  } catch (IOException e) {
                    throw new UncheckedIOException(e);
                  }
                }));
  }

  /** Connects from inside a namespace, v4 by an AF_INET socket. */
  SocketChannel connect(Fd netns, InetAddress address, int port) throws IOException {
    return connect(netns, family(address), address, port);
  }

  SocketChannel connect(Fd netns, StandardProtocolFamily family, InetAddress address, int port)
      throws IOException {
    SocketChannel socket =
        keep(
            KERNEL
                .namespaces()
                .inNetwork(
                    netns,
                    () -> {
                      try {
                        return SocketChannel.open(family);
                      } catch (IOException e) {
                        throw new UncheckedIOException(e);
                      }
                    }));
    try {
      socket.socket().connect(new InetSocketAddress(address, port), 3_000);
    } catch (IOException e) {
      System.err.println("refusals: " + (capture == null ? "no agent" : capture.drops()));
      throw e;
    }
    return socket;
  }

  private static StandardProtocolFamily family(InetAddress address) {
    return address.getAddress().length == 4
        ? StandardProtocolFamily.INET
        : StandardProtocolFamily.INET6;
  }

  private <T extends Closeable> T keep(T socket) {
    sockets.add(socket);
    return socket;
  }

  static void await(String what, BooleanSupplier condition) {
    Awaitility.await(what)
        .atMost(Duration.ofSeconds(5))
        .pollInterval(Duration.ofMillis(20))
        .until(condition::getAsBoolean);
  }

  /** BPF objects and namespaces that this process holds. */
  static long descriptors() {
    try (Stream<Path> all = Files.list(Path.of("/proc/self/fd"))) {
      return all.filter(
              fd -> {
                try {
                  String target = Files.readSymbolicLink(fd).toString();
                  return target.startsWith("anon_inode:bpf") || target.startsWith("net:");
                } catch (IOException e) {
                  // The descriptor of the listing itself.
                  return false;
                }
              })
          .count();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  long pins() {
    try (Stream<Path> all = Files.walk(bpffs)) {
      return all.count();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Takes the pod's interface away, as a CNI does when the pod is deleted. */
  void unplug(Fd netns) throws IOException, InterruptedException {
    Process gone =
        new ProcessBuilder(
                "nsenter",
                "--net=/proc/%d/fd/%d".formatted(ProcessHandle.current().pid(), netns.number()),
                "ip",
                "link",
                "delete",
                "eth0")
            .inheritIO()
            .start();
    if (!gone.waitFor(5, TimeUnit.SECONDS) || gone.exitValue() != 0) {
      throw new IOException("ip link delete eth0 failed");
    }
  }

  /** As if the node had been torn down and made again under the same name. */
  void replaceCgroup() throws IOException {
    join(Cgroup2.root().orElseThrow());
    Files.delete(cgroup);
    Files.createDirectory(cgroup);
    join(cgroup);
  }

  Path bpffs() {
    return bpffs;
  }

  @Override
  public void close() throws IOException {
    for (Closeable socket : sockets) {
      socket.close();
    }
    listeners.closeAll();
    if (capture == null) {
      start();
    }
    running().uninstall();
    client.close();
    server.close();
    join(Cgroup2.root().orElseThrow());
    Files.deleteIfExists(cgroup);
  }

  /** The in-pod listeners that a relay would open. */
  static final class Listeners implements PodListener {
    final Map<Integer, ServerSocketChannel> outbound4 = new ConcurrentHashMap<>();
    final Map<Integer, ServerSocketChannel> outbound6 = new ConcurrentHashMap<>();
    final List<String> heard = new ArrayList<>();
    volatile @Nullable String refusal;

    @Override
    public void enrolled(Pod pod) {
      String why = refusal;
      if (why != null) {
        throw new IllegalStateException(why);
      }
      outbound4.put(pod.number(), open(pod, "127.0.0.1"));
      outbound6.put(pod.number(), open(pod, "::1"));
      synchronized (heard) {
        heard.add("enrolled " + pod.name());
      }
    }

    private static ServerSocketChannel open(Pod pod, String loopback) {
      InetAddress address = InetAddress.ofLiteral(loopback);
      return KERNEL
          .namespaces()
          .inNetwork(
              pod.netns(),
              () -> {
                try {
                  return ServerSocketChannel.open(family(address))
                      .bind(new InetSocketAddress(address, 15_001));
                } catch (IOException e) {
                  throw new UncheckedIOException(e);
                }
              });
    }

    @Override
    public void changed(Pod before, Pod now) {
      synchronized (heard) {
        heard.add("changed " + now.name());
      }
    }

    @Override
    public void withdrawn(Pod pod) {
      close(outbound4.remove(pod.number()));
      close(outbound6.remove(pod.number()));
      synchronized (heard) {
        heard.add("withdrawn " + pod.name());
      }
    }

    boolean heard(String what) {
      synchronized (heard) {
        return heard.contains(what);
      }
    }

    void closeAll() {
      outbound4.values().forEach(Listeners::close);
      outbound6.values().forEach(Listeners::close);
      outbound4.clear();
      outbound6.clear();
    }

    private static void close(@Nullable ServerSocketChannel channel) {
      try {
        if (channel != null) {
          channel.close();
        }
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }
  }

  /** Remembers what telemetry would be told. */
  static final class Flows implements FlowSink {
    final List<KernelFlow> opened = new CopyOnWriteArrayList<>();
    final Map<KernelFlow, FlowBytes> progressed = new ConcurrentHashMap<>();
    final Map<KernelFlow, FlowBytes> closed = new ConcurrentHashMap<>();
    final List<KernelFlow> failed = new CopyOnWriteArrayList<>();

    @Override
    public void opened(KernelFlow flow) {
      opened.add(flow);
    }

    @Override
    public void progressed(KernelFlow flow, FlowBytes total) {
      progressed.put(flow, total);
    }

    @Override
    public void closed(KernelFlow flow, FlowBytes total) {
      closed.put(flow, total);
    }

    @Override
    public void failed(KernelFlow flow) {
      failed.add(flow);
    }
  }
}
