package dev.weir.agent;

import dev.weir.agent.admin.AdminOptions;
import dev.weir.agent.capture.CaptureException;
import dev.weir.agent.capture.Enroller.PodName;
import dev.weir.agent.capture.Joining;
import dev.weir.agent.log.Log;
import dev.weir.agent.log.Logs;
import dev.weir.api.json.Json;
import dev.weir.api.model.FastPath;
import dev.weir.api.model.PodSettings;
import dev.weir.api.model.Tunnel;
import dev.weir.ffi.Fd;
import dev.weir.ffi.Kernel;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.CompletionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;

/**
 * A whole agent on a cgroup, a bpffs folder and namespaces of its own that are gone afterwards:
 * what {@code --self-test-only} runs. A connection from one namespace to the other goes the way of
 * any captured one, so it tells what this kernel can do; and since it loads the classes that an
 * agent needs, the same run trains the cache that makes starts fast.
 */
final class Rehearsal {
  private static final Path BPFFS = Path.of("/sys/fs/bpf");
  private static final Duration AT_MOST = Duration.ofSeconds(15);
  private static final long LOOK_NANOS = TimeUnit.MILLISECONDS.toNanos(20);

  // Enough for the relay to be more than a class that was looked at once.
  private static final int CONNECTIONS = 50;

  // What they run is the hottest code of an agent, and its profile goes into the cache too.
  private static final int TUNNELLED_CONNECTIONS = 400;

  private final Options options;
  private final Logs logs;
  private final Log log;
  private final Kernel kernel = Kernel.instance();

  Rehearsal(Options options, Logs logs) {
    this.options = options;
    this.logs = logs;
    this.log = logs.room("self-test");
  }

  /** Prints what was found; false where an agent could not work here. */
  boolean run() {
    Path cgroupRoot = cgroupRoot();
    Path home = cgroupRoot.resolve(ownCgroup());
    try {
      Stage.sweep(cgroupRoot, BPFFS).forEach(each -> log.info("swept up", "self-test", each));
      Stage stage = Stage.enter(cgroupRoot, BPFFS);
      try {
        return run(stage.cgroup(), stage.bpffs());
      } finally {
        Stage.join(home);
        stage.delete();
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private boolean run(Path cgroup, Path bpffs) {
    InetAddress loopback = InetAddress.ofLiteral("127.0.0.1");
    AdminOptions doors =
        new AdminOptions(
            options.node(),
            Agent.VERSION,
            new InetSocketAddress(loopback, 0),
            new InetSocketAddress(loopback, 0),
            new InetSocketAddress(loopback, 0),
            null);
    Agent agent =
        new Agent(options.on(cgroup, bpffs), doors, kernel, logs, () -> log.info("asked to end"));
    boolean relayed;
    boolean tunnelled;
    Joining joining;
    try (TwoNetworks networks = new TwoNetworks(kernel)) {
      // Whom no control plane has told of nobody may call.
      agent.assume(TwoNetworks.view(Tunnel.NONE, PodSettings.DEFAULT));
      enrol(agent, "client", networks, networks.client());
      enrol(agent, "server", networks, networks.server());
      relayed = relay(networks, CONNECTIONS);
      agent.assume(TwoNetworks.view(Tunnel.HBONE, TwoNetworks.TUNNELLED));
      tunnelled = isTunnelled(agent) && relay(networks, TUNNELLED_CONNECTIONS);
      for (String page : List.of("/status", "/edges", "/config_dump", "/metrics")) {
        get(agent.adminAddress(), page);
      }
      joining = awaitJoining(agent);
    } finally {
      agent.drain(Duration.ZERO, Duration.ZERO);
      agent.uninstall();
    }
    System.out.println(report(agent.transport(), relayed, tunnelled, joining).toPrettyJson());
    return relayed && tunnelled;
  }

  private Json report(String transport, boolean relayed, boolean tunnelled, Joining joining) {
    List<Json> checks = new ArrayList<>();
    for (Joining.Check check : joining.checks()) {
      checks.add(
          Json.object()
              .with("name", check.name())
              .with("passed", check.passed())
              .with("detail", check.detail())
              .with("millis", check.millis())
              .build());
    }
    return Json.object()
        .with("version", Agent.VERSION)
        .with("transport", transport)
        .with("relayed", relayed)
        .with("tunnelled", tunnelled)
        .with(
            "joining",
            Json.object()
                .with("state", joining.state().name().toLowerCase(Locale.ROOT))
                .with("reason", joining.reason())
                .with("checks", Json.of(checks))
                .build())
        .build();
  }

  /** Waits until both pods are to be called through tunnels alone. */
  private static boolean isTunnelled(Agent agent) {
    long deadline = System.nanoTime() + AT_MOST.toNanos();
    while (agent.capture().pods().stream()
        .anyMatch(pod -> pod.settings().fastPath() != FastPath.OFF)) {
      if (System.nanoTime() - deadline > 0) {
        return false;
      }
      LockSupport.parkNanos(LOOK_NANOS);
    }
    return true;
  }

  private void enrol(Agent agent, String name, TwoNetworks networks, Fd network) {
    // The enroller owns what it is given; ours holds the namespace until the end.
    Fd given = networks.in(network, () -> kernel.namespaces().current());
    try {
      agent
          .capture()
          .enroller()
          .add(new PodName(name, TwoNetworks.NAMESPACE, name, "default"), given)
          .toCompletableFuture()
          .orTimeout(AT_MOST.toSeconds(), TimeUnit.SECONDS)
          .join();
    } catch (CompletionException e) {
      if (e.getCause() instanceof CaptureException cause) {
        throw cause;
      }
      throw e;
    }
  }

  /** Connections from pod to pod, captured, relayed out and in; whether all came through. */
  private boolean relay(TwoNetworks networks, int connections) {
    try (ServerSocketChannel listener = networks.listener()) {
      listener.bind(new InetSocketAddress(TwoNetworks.SERVER, 0));
      for (int i = 0; i < connections; i++) {
        try (SocketChannel near = networks.socket()) {
          near.connect(listener.getLocalAddress());
          try (SocketChannel far = listener.accept()) {
            near.write(ByteBuffer.wrap(new byte[] {1}));
            near.shutdownOutput();
            ByteBuffer seen = ByteBuffer.allocate(2);
            while (far.read(seen) >= 0) {
              // To the end.
            }
            InetSocketAddress from = (InetSocketAddress) far.getRemoteAddress();
            if (seen.position() != 1 || !from.getAddress().equals(TwoNetworks.CLIENT)) {
              log.error("relay", "bytes", seen.position(), "from", from.getAddress());
              return false;
            }
          }
        }
      }
      return true;
    } catch (IOException e) {
      log.error("a connection between two pods failed", "reason", String.valueOf(e.getMessage()));
      return false;
    }
  }

  private void get(InetSocketAddress door, String page) {
    try (SocketChannel channel = SocketChannel.open(door)) {
      String request = "GET " + page + " HTTP/1.1\r\nHost: self-test\r\nConnection: close\r\n\r\n";
      channel.write(ByteBuffer.wrap(request.getBytes(StandardCharsets.US_ASCII)));
      ByteBuffer answer = ByteBuffer.allocate(4096);
      while (channel.read(answer.clear()) >= 0) {
        // To the end.
      }
    } catch (IOException e) {
      log.warn("admin door", "page", page, "reason", String.valueOf(e.getMessage()));
    }
  }

  private static Joining awaitJoining(Agent agent) {
    long deadline = System.nanoTime() + AT_MOST.toNanos();
    agent.capture().tryJoining();
    Joining joining = agent.capture().joining();
    while (joining.state() == Joining.State.TESTING && System.nanoTime() - deadline < 0) {
      LockSupport.parkNanos(LOOK_NANOS);
      joining = agent.capture().joining();
    }
    return joining;
  }

  /** Where cgroup2 is mounted. */
  private static Path cgroupRoot() {
    try {
      for (String line : Files.readAllLines(Path.of("/proc/self/mountinfo"))) {
        List<String> fields = List.of(line.split(" ", -1));
        if (fields.get(fields.indexOf("-") + 1).equals("cgroup2")) {
          return Path.of(fields.get(4));
        }
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    throw new Options.UsageException(
        "no cgroup2 is mounted; mount -t cgroup2 none /sys/fs/cgroup does it");
  }

  /** This process's folder below it, as a relative path. */
  private static String ownCgroup() {
    try {
      for (String line : Files.readAllLines(Path.of("/proc/self/cgroup"))) {
        if (line.startsWith("0::/")) {
          return line.substring(4);
        }
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return "";
  }
}
