package dev.weir.agent;

import dev.weir.agent.admin.Admin;
import dev.weir.agent.admin.AdminOptions;
import dev.weir.agent.admin.AdminSources;
import dev.weir.agent.admin.Standing;
import dev.weir.agent.authz.Authz;
import dev.weir.agent.capture.Capture;
import dev.weir.agent.capture.CaptureOptions;
import dev.weir.agent.capture.Pod;
import dev.weir.agent.config.MeshView;
import dev.weir.agent.config.XdsClient;
import dev.weir.agent.config.XdsOptions;
import dev.weir.agent.dns.PodDns;
import dev.weir.agent.enrolment.ZdsClient;
import dev.weir.agent.fairness.Fairness;
import dev.weir.agent.fairness.Lanes;
import dev.weir.agent.fairness.Pace;
import dev.weir.agent.identity.ControlLine;
import dev.weir.agent.identity.IdentityOptions;
import dev.weir.agent.identity.LineLoop;
import dev.weir.agent.identity.SelfIssued;
import dev.weir.agent.identity.Wallet;
import dev.weir.agent.log.Log;
import dev.weir.agent.log.Logs;
import dev.weir.agent.relay.Relays;
import dev.weir.agent.relay.Tuning;
import dev.weir.agent.route.Router;
import dev.weir.agent.telemetry.AccessLog;
import dev.weir.agent.telemetry.Telemetry;
import dev.weir.agent.transport.PodSockets;
import dev.weir.agent.transport.Transport;
import dev.weir.agent.tunnel.Tunnels;
import dev.weir.ffi.Kernel;
import dev.weir.ffi.KernelException;
import dev.weir.ffi.Scheduling;
import dev.weir.ffi.Threads;
import io.netty.buffer.ByteBufAllocator;
import io.netty.buffer.PooledByteBufAllocator;
import io.netty.channel.EventLoopGroup;
import io.netty.util.NetUtil;
import java.net.InetSocketAddress;
import java.time.Duration;
import java.time.InstantSource;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ThreadFactory;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Supplier;
import java.util.random.RandomGenerator;
import org.jspecify.annotations.Nullable;

/**
 * All rooms of one agent, started in an order that costs little and stopped in one that loses
 * nothing.
 */
final class Agent implements AutoCloseable {
  static final String VERSION = "0.1.0";

  // The least that the kernel takes.
  private static final long SLICE_NANOS = TimeUnit.MICROSECONDS.toNanos(100);

  // More than a quick loop has, and less than programs have that asked for nothing (1.4 to 3 ms):
  // with 4 ms every message to a program interrupted a stream, which cost a seventh of its speed.
  // What it has at a time, the agent's scheduling group is ahead of the others, and its quick loops
  // wait for that (seen in traces). Streams went as fast with 1 ms.
  private static final long BUSY_SLICE_NANOS = TimeUnit.MICROSECONDS.toNanos(300);

  private static final int LEAST_NICE = -20;
  private static final int AHEAD = 10;

  private static final long LOOK_NANOS = TimeUnit.MILLISECONDS.toNanos(20);
  private static final long QUEUES_ARE_READ_NANOS = TimeUnit.MILLISECONDS.toNanos(250);

  // As long as the lab waits for an agent; a rollout waits longer, and ends us when it is ready.
  private static final long HEIR_SERVES_WITHIN_NANOS = TimeUnit.SECONDS.toNanos(30);

  // Without a control plane the agent is not ready for long; joining is worth knowing of.
  private static final long TEST_UNREADY_NANOS = TimeUnit.SECONDS.toNanos(5);

  // Whoever has waited for this agent comes in its first seconds, when compilers already have half
  // of the processors.
  private static final long CALLERS_FIRST_NANOS = TimeUnit.SECONDS.toNanos(4);

  // With much to do it has no leisure for long, and the same holds.
  private static final long TEST_ANYHOW_NANOS = TimeUnit.SECONDS.toNanos(8);

  private static final long LEISURE_NANOS = TimeUnit.MILLISECONDS.toNanos(500);

  // Thousandths of the time of a loop: a few hundred connections a second.
  private static final int AT_LEISURE = 100;

  // Without certificates nobody is reached through tunnels. A CA that is down must not keep the
  // agent from all the rest.
  private static final long CERTIFICATES_COME_WITHIN_NANOS = TimeUnit.SECONDS.toNanos(10);

  private static final long ACCEPT_AGAIN_NANOS = TimeUnit.SECONDS.toNanos(1);

  private final Options options;
  private final Log log;
  private final Transport transport;
  private final Tunnels tunnels;
  private final Relays relays;
  private final LocalPolicy policy;
  private final DnsOfPods names;
  private final Capture capture;
  private final ZdsClient zds;
  private final Admin admin;
  private final XdsClient xds;
  private final Wallet wallet;
  private final Fairness fairness;
  private final Supplier<Practice> practising;

  /** What has started, last first. */
  private final Deque<AutoCloseable> started = new ArrayDeque<>();

  private volatile boolean awaitsCertificates;
  private volatile boolean accepting = true;
  private volatile boolean serving;
  private volatile boolean draining;
  private volatile long drainsUntil;
  private boolean uninstalling;

  /**
   * Starts everything; what fails takes back what had started, and says why.
   *
   * @param quit begins an orderly end of the process
   */
  Agent(Options options, AdminOptions doors, Kernel kernel, Logs logs, Runnable quit) {
    this.options = options;
    this.awaitsCertificates = options.identity() != null;
    this.log = logs.room("agent");
    try {
      // The kernel's side and the two libraries know nothing of each other until here, and each
      // takes a third of the start.
      CompletableFuture<Capture> capturing =
          inParallel(
              "open-capture",
              () ->
                  Capture.open(
                      new CaptureOptions(
                          options.node(),
                          options.cgroup(),
                          options.bpffs(),
                          options.nodeAddresses()),
                      kernel,
                      logs.room("capture")));
      CompletableFuture<Following> connecting =
          inParallel("open-xds", () -> Following.open(options, logs));
      this.transport = Transport.named(options.transport());
      Pace pace = pace(kernel.threads());
      EventLoopGroup loops = transport.loops(options.workers(), loopThreads(pace));
      started.push(() -> endLoops(loops));
      PodSockets sockets =
          new PodSockets(transport, kernel.namespaces(), logs.room("transport")).start();
      started.push(sockets);
      Following following = result(connecting);
      started.push(following);
      this.xds = following.xds();
      AccessLog accessLog =
          new AccessLog(
              System.out, InstantSource.system(), AccessLog.Mode.FAILURES, AccessLog.Format.TEXT);
      started.push(accessLog);
      Telemetry telemetry = new Telemetry(xds, accessLog);
      telemetry.add(xds);
      this.wallet =
          new Wallet(
              options.identity(),
              following.authority(),
              InstantSource.system(),
              new LoopRandom(),
              logs.room("identity"));
      started.push(wallet);
      telemetry.add(wallet);
      Authz authz = new Authz();
      telemetry.add(authz);
      this.policy = new LocalPolicy(xds, authz, telemetry);
      this.capture = result(capturing);
      started.push(this::closeCapture);
      this.fairness =
          new Fairness(options.limits(), Agent::pinnedBytes, pace, logs.room("fairness")).start();
      started.push(fairness);
      telemetry.add(fairness);
      this.tunnels =
          new Tunnels(
              options.selfTestOnly() ? new SelfIssued() : wallet,
              xds,
              ByteBufAllocator.DEFAULT,
              options.nearMicros(),
              telemetry,
              logs.room("tunnel"));
      telemetry.add(tunnels);
      this.relays =
          new Relays(
              options.node(),
              new Lanes(loops, fairness),
              sockets,
              tunnels,
              fairness,
              new Router(capture::podAt, new LoopRandom()),
              xds,
              capture.originals(),
              capture.verdicts(),
              authz,
              telemetry,
              telemetry,
              Tuning.standard(ByteBufAllocator.DEFAULT, kernel.sockets(), capture.joinedSockets()),
              logs.room("relay"));
      this.practising =
          () -> new Practice(kernel, loops, sockets, options.limits(), options.nearMicros(), logs);
      PodDns dns =
          new PodDns(
              xds,
              options.clusterDomain(),
              options.dnsUpstream(),
              loops,
              telemetry,
              logs.room("dns"));
      telemetry.add(dns);
      this.names = new DnsOfPods(dns, sockets);
      this.zds =
          new ZdsClient(options.zds(), capture.enroller(), kernel.sockets(), logs.room("zds"));
      this.admin =
          Admin.open(
              doors,
              new AdminSources(
                  xds,
                  xds::state,
                  telemetry,
                  authz,
                  fairness,
                  capture::pods,
                  this::listeners,
                  capture::drops,
                  capture::joining,
                  capture.flows()::refresh,
                  wallet::certificates,
                  wallet::crl,
                  transport.name(),
                  this::notReady,
                  this::standing,
                  quit,
                  logs),
              logs.room("admin"));
      started.push(admin);
      // First: who a pod is must be known before anything is served for it.
      capture.addListener(wallet);
      capture.addListener(relays);
      capture.addListener(names);
      capture.flows().sink(telemetry);
      capture.admission(policy);
      capture.start(charge());
      if (!capture.inCharge()) {
        // Two that listen share what comes; the former one has certificates, this one none yet.
        accepting = false;
        relays.acceptLater();
      }
      xds.onChange(this::follow);
      zds.start();
      started.push(zds);
    } catch (RuntimeException e) {
      close();
      throw e;
    }
  }

  /**
   * A small message must not wait until a busy node's other programs have had their three
   * milliseconds each: whoever asks for short slices gets no more of a processor, but sooner. A
   * loop that has little to do also comes before others, and does no harm, having little to do. One
   * that is busy is as nice as the agent was started, and its longer slices let those that are not
   * interrupt it.
   */
  private static Pace pace(Threads threads) {
    Scheduling own = threads.scheduling();
    if (own == null) {
      return Pace.STEADY;
    }
    Scheduling quick = new Scheduling(Math.max(LEAST_NICE, own.nice() - AHEAD), SLICE_NANOS);
    Scheduling asStarted = new Scheduling(own.nice(), SLICE_NANOS);
    Scheduling patient = new Scheduling(own.nice(), BUSY_SLICE_NANOS);
    return new Pace() {
      @Override
      public void busy(boolean busy) {
        // Where the kernel takes none of it, it schedules as it always did.
        boolean _ =
            busy
                ? threads.schedule(patient)
                : threads.schedule(quick) || threads.schedule(asStarted);
      }

      @Override
      public long cpuNanos() {
        return threads.cpuNanos();
      }
    };
  }

  private static ThreadFactory loopThreads(Pace pace) {
    ThreadFactory named = Thread.ofPlatform().daemon().name("loop-", 0).factory();
    return loop ->
        named.newThread(() -> {
          pace.busy(false);
          loop.run();
        });
  }

  private static long pinnedBytes() {
    return ByteBufAllocator.DEFAULT instanceof PooledByteBufAllocator pooled
        ? pooled.pinnedDirectMemory()
        : 0;
  }

  /**
   * What follows the control plane.
   *
   * @param authority the line to the CA, which may be the same; null where there is none
   */
  private record Following(
      LineLoop loop, ControlLine line, @Nullable ControlLine authority, XdsClient xds)
      implements AutoCloseable {
    static Following open(Options options, Logs logs) {
      String address =
          options.nodeAddresses().isEmpty()
              ? "127.0.0.1"
              : options.nodeAddresses().getFirst().getHostAddress();
      LineLoop loop = LineLoop.open();
      ControlLine line = null;
      try {
        line = ControlLine.open(options.xds(), loop, InstantSource.system());
        IdentityOptions identity = options.identity();
        ControlLine authority =
            identity == null
                ? null
                : identity.line().equals(options.xds())
                    ? line
                    : ControlLine.open(identity.line(), loop, InstantSource.system());
        XdsClient xds =
            XdsClient.open(
                XdsOptions.of(options.node(), address, VERSION).in(options.network()),
                line,
                logs.room("config"));
        return new Following(loop, line, authority, xds);
      } catch (RuntimeException e) {
        if (line != null) {
          line.close();
        }
        loop.close();
        throw e;
      }
    }

    @Override
    public void close() {
      xds.close();
      if (authority != null) {
        authority.close();
      }
      line.close();
      loop.close();
    }
  }

  private interface Opening<T> {
    T open();
  }

  private static <T> CompletableFuture<T> inParallel(String name, Opening<T> opening) {
    CompletableFuture<T> result = new CompletableFuture<>();
    Thread.ofPlatform()
        .daemon()
        .name(name)
        .start(() -> {
          try {
            result.complete(opening.open());
          } catch (RuntimeException | LinkageError e) {
            result.completeExceptionally(e);
          }
        });
    return result;
  }

  private static <T> T result(CompletableFuture<T> future) {
    try {
      return future.join();
    } catch (CompletionException e) {
      if (e.getCause() instanceof RuntimeException cause) {
        throw cause;
      }
      throw e;
    }
  }

  /** The loops share no generator, so that none waits for another. */
  private static final class LoopRandom implements RandomGenerator {
    @Override
    public long nextLong() {
      return ThreadLocalRandom.current().nextLong();
    }
  }

  /** On the config thread. */
  private void follow(MeshView view) {
    capture.replacePods(view);
    if (view.synced()) {
      // Before, nothing is said yet: what a former agent left in the kernel holds.
      capture.services().replace(view.serviceAddresses());
      if (policy.changes(view, capture.pods())) {
        capture.verdicts().review();
        relays.judge(view);
      }
    }
    relays.endDeleted(view);
    wallet.controlPlaneSpoke();
  }

  private List<String> listeners(Pod pod) {
    List<String> all = new ArrayList<>();
    for (InetSocketAddress each : relays.listeners(pod)) {
      all.add("tcp " + NetUtil.toSocketAddressString(each));
    }
    all.addAll(names.listeners(pod));
    return all;
  }

  Capture capture() {
    return capture;
  }

  Relays relays() {
    return relays;
  }

  /** See {@link XdsClient#assume}. */
  void assume(MeshView view) {
    xds.assume(view);
  }

  InetSocketAddress adminAddress() {
    return admin.address();
  }

  /** Instead of close: leaves nothing in the kernel. */
  void uninstall() {
    uninstalling = true;
    close();
  }

  String transport() {
    return transport.name();
  }

  /** Why traffic should not come yet, or no more. */
  List<String> notReady() {
    List<String> reasons = notPrepared();
    if (reasons.isEmpty() && !serving) {
      // Seen: one that was told to be ready while it waited for a dead one's last beat to be old.
      reasons.add(
          "connections in pods are not accepted yet: another agent serves them or has just died,"
              + " or a port cannot be had (see the log)");
    }
    return reasons;
  }

  private List<String> notPrepared() {
    List<String> reasons = unprepared();
    long missing = awaitsCertificates ? podsWithoutCertificate() : 0;
    if (missing > 0) {
      reasons.add(missing + " pods have no certificate yet");
    }
    return reasons;
  }

  private long podsWithoutCertificate() {
    return capture.pods().stream().filter(pod -> wallet.current(pod.identity()) == null).count();
  }

  private List<String> unprepared() {
    List<String> reasons = new ArrayList<>();
    if (!zds.snapshotSeen()) {
      reasons.add("no snapshot of this node's pods from " + options.zds());
    }
    if (!xds.current().synced()) {
      reasons.add("no answer from the control plane at " + options.xds().target());
    }
    int pending = capture.pending();
    if (pending > 0) {
      reasons.add(pending + " pods are not yet enrolled");
    }
    if (draining) {
      reasons.add("draining");
    }
    return reasons;
  }

  /**
   * Waits until the agent is ready and says so, with what it took; then for leisure to test
   * joining.
   */
  void awaitReady(long startNanos) {
    while (!draining && !unprepared().isEmpty()) {
      LockSupport.parkNanos(LOOK_NANOS);
      if (System.nanoTime() - startNanos > TEST_UNREADY_NANOS) {
        capture.tryJoining();
      }
      acceptIfAlone();
    }
    long preparedNanos = System.nanoTime();
    awaitCertificates();
    practise();
    while (!draining && !accepts()) {
      LockSupport.parkNanos(ACCEPT_AGAIN_NANOS);
    }
    if (!draining) {
      long readyNanos = System.nanoTime();
      serving = true;
      capture.takeCharge();
      log.info(
          "ready",
          "node",
          options.node(),
          "version",
          VERSION,
          "transport",
          transport.name(),
          "pods",
          capture.pods().size(),
          "ms",
          TimeUnit.NANOSECONDS.toMillis(readyNanos - startNanos),
          "certificates-ms",
          TimeUnit.NANOSECONDS.toMillis(readyNanos - preparedNanos));
      // Last: it takes half a second of a core, and until it has passed flows are direct.
      awaitLeisure();
      if (!draining) {
        capture.tryJoining();
      }
    }
  }

  /** Until compilers and whoever has waited for this agent leave processors for something else. */
  private void awaitLeisure() {
    long began = System.nanoTime();
    long passed = 0;
    while (!draining
        && (passed < CALLERS_FIRST_NANOS
            || (passed < TEST_ANYHOW_NANOS && fairness.worked() > AT_LEISURE))) {
      LockSupport.parkNanos(LEISURE_NANOS);
      passed = System.nanoTime() - began;
    }
  }

  /** A former agent that has died accepts nothing any more. */
  private void acceptIfAlone() {
    if (!accepting && capture.inCharge()) {
      var _ = accepts();
    }
  }

  /** Opens what was not opened beside a former agent: whether all pods are listened for. */
  private boolean accepts() {
    if (!accepting) {
      try {
        relays.accept();
        accepting = true;
      } catch (PodSockets.SocketException e) {
        log.error("cannot listen in a pod; trying again", "reason", message(e));
      }
    }
    return accepting;
  }

  private void awaitCertificates() {
    long deadline = System.nanoTime() + CERTIFICATES_COME_WITHIN_NANOS;
    while (!draining && !notPrepared().isEmpty() && System.nanoTime() - deadline < 0) {
      LockSupport.parkNanos(LOOK_NANOS);
      acceptIfAlone();
    }
    if (!draining && awaitsCertificates && podsWithoutCertificate() > 0) {
      log.warn(
          "ready without certificates: tunnels are refused until they come",
          "pods",
          podsWithoutCertificate());
    }
    awaitsCertificates = false;
  }

  /** While a former agent serves, there is time to become quick. */
  private void practise() {
    if (accepting || options.practice().isZero()) {
      return;
    }
    long began = System.nanoTime();
    try (Practice practice = practising.get()) {
      practice.play(() -> {
        acceptIfAlone();
        return !draining && !accepting && System.nanoTime() - began < options.practice().toNanos();
      });
      log.info(
          "practised",
          "calls",
          practice.answered(),
          "ms",
          TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - began));
    } catch (KernelException | PodSockets.SocketException | IllegalStateException e) {
      log.warn("cannot practise: the first seconds will be slow", "reason", message(e));
    }
  }

  private Capture.ChargeListener charge() {
    return new Capture.ChargeListener() {
      // The first time, or again since a successor died.
      @Override
      public void taken() {
        zds.comeBack();
      }

      @Override
      public void lost() {
        zds.stayAway();
      }
    };
  }

  private Standing standing() {
    long left = draining ? drainsUntil - System.nanoTime() : 0;
    return new Standing(
        draining
            ? Standing.State.DRAINING
            : serving ? Standing.State.READY : Standing.State.STARTING,
        capture.inCharge(),
        relays.liveCount(),
        TimeUnit.NANOSECONDS.toSeconds(Math.max(0, left)));
  }

  /**
   * Takes no more connections and lets those that are open end.
   *
   * @param succeeded for how long at most where another agent has taken over
   * @param alone the same where there is none
   */
  void drain(Duration succeeded, Duration alone) {
    awaitHeir();
    boolean another = capture.isSucceeded();
    Duration atMost = another ? succeeded : alone;
    long deadline = System.nanoTime() + atMost.toNanos();
    drainsUntil = deadline;
    draining = true;
    capture.retire();
    zds.stayAway();
    log.info(
        "draining",
        "connections",
        relays.liveCount(),
        "seconds",
        atMost.toSeconds(),
        "successor",
        another);
    relays.drain();
    if (another) {
      names.drain();
      admin.leavePorts();
      // What is in a queue is read before it is asked whether anything is left.
      LockSupport.parkNanos(QUEUES_ARE_READ_NANOS);
    }
    while (isBusy(another) && System.nanoTime() - deadline < 0) {
      LockSupport.parkNanos(LOOK_NANOS);
    }
    int left = relays.liveCount();
    if (left > 0) {
      log.warn("connections are reset: they did not end in time", "connections", left);
      relays.abortAll();
    } else {
      log.info("drained");
    }
  }

  private boolean isBusy(boolean another) {
    // A tunnel ends after its last stream, once all that was written has left.
    return relays.liveCount() > 0 || tunnels.count() > 0 || (another && names.liveCount() > 0);
  }

  /** One that starts beside this agent takes over, if only it is given the time. */
  private void awaitHeir() {
    long deadline = System.nanoTime() + HEIR_SERVES_WITHIN_NANOS;
    if (capture.inCharge() && capture.hasHeir()) {
      log.info("told to end: another agent is starting and will take over");
    }
    while (capture.inCharge() && capture.hasHeir() && System.nanoTime() - deadline < 0) {
      LockSupport.parkNanos(LOOK_NANOS);
    }
  }

  private void closeCapture() {
    if (uninstalling) {
      capture.uninstall();
    } else {
      capture.close();
    }
  }

  private static void endLoops(EventLoopGroup loops) {
    loops.shutdownGracefully(0, 1, TimeUnit.SECONDS).awaitUninterruptibly(2, TimeUnit.SECONDS);
  }

  @Override
  public void close() {
    AutoCloseable each;
    while ((each = started.poll()) != null) {
      try {
        each.close();
      } catch (Exception e) {
        // The others must still be closed; the process is ending.
        log.warn("closing failed", "what", each.getClass().getSimpleName(), "reason", message(e));
      }
    }
  }

  private static String message(Exception e) {
    @Nullable String text = e.getMessage();
    return text == null ? e.toString() : text;
  }
}
