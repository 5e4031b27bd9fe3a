package dev.weir.agent;

import dev.weir.agent.authz.Authz;
import dev.weir.agent.capture.InPodRouting;
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
import dev.weir.agent.identity.SelfIssued;
import dev.weir.agent.log.Log;
import dev.weir.agent.log.Logs;
import dev.weir.agent.relay.Relays;
import dev.weir.agent.relay.Tuning;
import dev.weir.agent.route.Ports;
import dev.weir.agent.route.Router;
import dev.weir.agent.telemetry.AccessLog;
import dev.weir.agent.telemetry.Telemetry;
import dev.weir.agent.transport.PodSockets;
import dev.weir.agent.tunnel.Tunnels;
import dev.weir.api.model.Tunnel;
import dev.weir.ffi.Fd;
import dev.weir.ffi.Kernel;
import io.netty.buffer.ByteBufAllocator;
import io.netty.channel.EventLoopGroup;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.time.Duration;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;

/**
 * What an agent does before it takes over from another: calls through tunnels between two
 * namespaces of its own, on the loops that will serve the pods, until the JVM has compiled what a
 * connection runs. The former agent serves meanwhile, so nobody waits for it; and nobody's
 * connections are what the compilers learn from afterwards.
 *
 * <p>It plays the same scene again and again: pods come, call each other, and go. What has only
 * been seen once is not compiled, and the first real pod's tunnel would throw away the code that
 * took a tunnel for something that is always there already.
 *
 * <p>Nothing of it is the kernel programs' business: its callers go to their pod's outbound port
 * themselves.
 */
final class Practice implements AutoCloseable {
  // By then a connection costs what it always will, or nearly.
  private static final int SCENES = 40;

  private static final int CALLERS = 8;

  /** Of each caller in a scene. The last of the first one's asks for a long answer. */
  private static final int CALLS = 64;

  private static final int LONG_BYTES = 4 << 20;
  private static final byte SHORT = 0;
  private static final byte LONG = 1;

  private static final int CHUNK = 64 << 10;
  private static final long STACK_BYTES = 256 << 10;
  private static final long LOOK_NANOS = TimeUnit.MILLISECONDS.toNanos(10);
  private static final Duration SCENE_ENDS_WITHIN = Duration.ofMillis(500);

  private static final InetSocketAddress DOOR =
      new InetSocketAddress(InetAddress.ofLiteral("127.0.0.1"), Ports.OUTBOUND);

  private final Kernel kernel;
  private final EventLoopGroup loops;
  private final PodSockets sockets;
  private final Limits limits;
  private final int nearMicros;
  private final Log log;
  private final Tuning tuning;
  private final Mesh mesh = new Still(TwoNetworks.view(Tunnel.HBONE, TwoNetworks.TUNNELLED));
  private final SelfIssued identities = new SelfIssued();
  private final TwoNetworks networks;
  private final ServerSocketChannel listener;
  private final InetSocketAddress server;
  private final AtomicInteger answered = new AtomicInteger();
  private volatile boolean ending;

  /** A mesh that does not change. */
  private record Still(MeshView current) implements Mesh {
    @Override
    public void onChange(Consumer<MeshView> heard) {
      heard.accept(current);
    }
  }

  /** No kernel program carries anything here. */
  private static final class NoVerdicts implements Verdicts {
    @Override
    public void allow(Pod source, Pod destination, int port) {}

    @Override
    public void review() {}

    @Override
    public void evict(Pod destination) {}

    @Override
    public void evictIdentity(String identity) {}
  }

  private static final class NoneJoined implements JoinedSockets {
    @Override
    public boolean contains(long cookie) {
      return false;
    }

    @Override
    public boolean mayBeIn(Pod pod) {
      return false;
    }
  }

  /**
   * @throws IllegalStateException where there is no stage for it
   */
  Practice(
      Kernel kernel,
      EventLoopGroup loops,
      PodSockets sockets,
      Limits limits,
      int nearMicros,
      Logs logs) {
    this.kernel = kernel;
    this.loops = loops;
    this.sockets = sockets;
    this.limits = limits;
    this.nearMicros = nearMicros;
    this.log = logs.room("practice");
    this.tuning = Tuning.standard(ByteBufAllocator.DEFAULT, kernel.sockets(), new NoneJoined());
    this.networks = new TwoNetworks(kernel);
    try {
      new InPodRouting(kernel).setUp(networks.server(), false);
      this.listener = networks.listener();
      listener.bind(new InetSocketAddress(TwoNetworks.SERVER, 0));
      this.server = (InetSocketAddress) listener.getLocalAddress();
    } catch (IOException | RuntimeException e) {
      networks.close();
      throw new IllegalStateException("no stage to practise on: " + e.getMessage(), e);
    }
    thread("practice-server", this::serve);
  }

  /**
   * Plays as long as there is something to be had from it, and it may. Waits: not for event loops.
   *
   * @param may asked often
   */
  void play(BooleanSupplier may) {
    for (int scene = 0; scene < SCENES && !ending && may.getAsBoolean(); scene++) {
      scene(may);
    }
  }

  /** Calls that were answered in full. */
  int answered() {
    return answered.get();
  }

  private void scene(BooleanSupplier may) {
    AccessLog accessLog =
        new AccessLog(
            System.out, InstantSource.system(), AccessLog.Mode.OFF, AccessLog.Format.TEXT);
    Telemetry telemetry = new Telemetry(mesh, accessLog);
    // The loops' threads are paced by those whom they serve.
    Fairness fairness = new Fairness(limits, () -> 0, Pace.STEADY, log);
    Tunnels tunnels = new Tunnels(identities, mesh, tuning.allocator(), nearMicros, telemetry, log);
    Relays relays =
        new Relays(
            "",
            new Lanes(loops, fairness),
            sockets,
            tunnels,
            fairness,
            new Router(_ -> null, new SplittableRandom()),
            mesh,
            (_, _) -> new Original(server, server, 0),
            new NoVerdicts(),
            new Authz(),
            telemetry,
            telemetry,
            tuning,
            log);
    List<Pod> pods =
        List.of(
            pod(1, "client", networks.client(), TwoNetworks.CLIENT),
            pod(2, "server", networks.server(), TwoNetworks.SERVER));
    try {
      pods.forEach(relays::enrolled);
      call(may);
    } finally {
      relays.drain();
      relays.abortAll();
      await(() -> relays.liveCount() == 0 && tunnels.count() == 0);
      pods.forEach(relays::withdrawn);
      fairness.close();
      accessLog.close();
    }
  }

  private Pod pod(int number, String name, Fd network, InetAddress address) {
    return new Pod(
        number,
        name,
        TwoNetworks.NAMESPACE,
        name,
        name,
        mesh.current().pod(TwoNetworks.NAMESPACE, name).orElseThrow().identity(),
        number,
        network,
        kernel.namespaces().cookie(network),
        List.of(address),
        TwoNetworks.TUNNELLED);
  }

  private void call(BooleanSupplier may) {
    AtomicBoolean stop = new AtomicBoolean();
    List<Thread> callers = new ArrayList<>();
    for (int i = 0; i < CALLERS; i++) {
      boolean first = i == 0;
      callers.add(thread("practice-caller", () -> callOften(first, stop)));
    }
    while (callers.stream().anyMatch(Thread::isAlive)) {
      if (!may.getAsBoolean() && stop.compareAndSet(false, true)) {
        await(() -> callers.stream().noneMatch(Thread::isAlive));
        return;
      }
      LockSupport.parkNanos(LOOK_NANOS);
    }
  }

  private static Thread thread(String name, Runnable body) {
    return Thread.ofPlatform().daemon().name(name).stackSize(STACK_BYTES).start(body);
  }

  private static void await(BooleanSupplier condition) {
    long began = System.nanoTime();
    while (!condition.getAsBoolean() && System.nanoTime() - began < SCENE_ENDS_WITHIN.toNanos()) {
      LockSupport.parkNanos(LOOK_NANOS);
    }
  }

  private void callOften(boolean first, AtomicBoolean stop) {
    ByteBuffer bytes = ByteBuffer.allocateDirect(CHUNK);
    for (int i = 1; i <= CALLS && !ending && !stop.get(); i++) {
      try (SocketChannel socket = networks.socket()) {
        call(socket, first && i == CALLS, bytes);
        answered.incrementAndGet();
      } catch (IOException | RuntimeException e) {
        if (!ending && !stop.get()) {
          ending = true;
          log.warn("ended early: a call failed", "reason", String.valueOf(e.getMessage()));
        }
      }
    }
  }

  private static void call(SocketChannel socket, boolean askForMuch, ByteBuffer bytes)
      throws IOException {
    socket.connect(DOOR);
    bytes.clear().put(askForMuch ? LONG : SHORT).flip();
    socket.write(bytes);
    long expected = askForMuch ? LONG_BYTES : 1;
    long seen = 0;
    int count;
    while ((count = socket.read(bytes.clear())) >= 0) {
      seen += count;
    }
    if (seen != expected) {
      throw new IOException("%d bytes of %d came back".formatted(seen, expected));
    }
  }

  private void serve() {
    ByteBuffer bytes = ByteBuffer.allocateDirect(CHUNK);
    while (!ending) {
      SocketChannel accepted;
      try {
        accepted = listener.accept();
      } catch (IOException e) {
        if (!ending) {
          ending = true;
          log.warn("ended early: cannot accept", "reason", String.valueOf(e.getMessage()));
        }
        return;
      }
      try (SocketChannel socket = accepted) {
        if (socket.read(bytes.clear().limit(1)) == 1) {
          long left = bytes.get(0) == LONG ? LONG_BYTES : 1;
          while (left > 0) {
            left -= socket.write(bytes.clear().limit((int) Math.min(left, CHUNK)));
          }
        }
      } catch (IOException e) {
        // Its caller hears of it.
        log.debug("a call ended early", "reason", String.valueOf(e.getMessage()));
      }
    }
  }

  @Override
  public void close() {
    ending = true;
    try {
      listener.close();
    } catch (IOException e) {
      log.debug("closing", "reason", String.valueOf(e.getMessage()));
    }
    networks.close();
  }
}
