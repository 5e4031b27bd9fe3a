package dev.weir.agent.capture;

import dev.weir.agent.log.Log;
import dev.weir.bpf.Layouts;
import dev.weir.bpf.Programs;
import dev.weir.ffi.Kernel;
import java.net.InetAddress;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicBoolean;
import org.jspecify.annotations.Nullable;

/** {@link Capture} on the real kernel: puts the parts together and owns their threads. */
final class KernelCapture implements Capture {
  private static final Duration WATCH_INTERFACES = Duration.ofSeconds(5);
  private static final long UNINSTALL_SECONDS = 10;
  private static final Duration SELF_TEST_ENDS_WITHIN = Duration.ofSeconds(2);
  private static final Duration LET_GO_WITHIN = Duration.ofMillis(700);
  // More than the numbers that a living predecessor can give before it hands over.
  private static final int NUMBERS_LEFT_FREE = 1_024;

  private final Kernel kernel;
  private final Log log;
  private final CaptureThread thread;
  private final KernelState state;
  private final PodBook book = new PodBook();
  private final Heartbeat heartbeat;
  private final KernelJoinedSockets joinedSockets;
  private final KernelOriginals originals;
  private final KernelServices services;
  private final KernelVerdicts verdicts;
  private final KernelFlowReader flows;
  private final Pods pods;
  private final AtomicBoolean closed = new AtomicBoolean();
  private final Thread selfTest =
      Thread.ofPlatform().name("weir-self-test").daemon().unstarted(this::selfTest);
  private @Nullable volatile ChargeListener chargeListener;
  private volatile Joining joining =
      new Joining(Joining.State.TESTING, "the self-test has not ended", List.of());

  KernelCapture(CaptureOptions options, Kernel kernel, byte[] elf, Log log) {
    this.kernel = kernel;
    this.log = log;
    this.state = KernelState.open(kernel, options.cgroup(), options.bpffs(), elf, log);
    this.thread = new CaptureThread(log);
    this.heartbeat =
        new Heartbeat(
            state.map(Programs.CONTROL).mmap(),
            new Heartbeat.Charge() {
              @Override
              public void taken() {
                takeOver();
              }

              @Override
              public void letGo() {
                handOver();
              }
            });
    this.originals = new KernelOriginals(state.map(Programs.ORIGINALS));
    this.services =
        new KernelServices(
            thread,
            state.map(Programs.SERVICES),
            state.map(Programs.ENDPOINTS),
            heartbeat::inCharge,
            log);
    FlowCutter cutter = new FlowCutter(kernel, state.map(Programs.FLOWS), book, log);
    this.verdicts =
        new KernelVerdicts(thread, state.map(Programs.VERDICTS), book, cutter, heartbeat, log);
    this.flows =
        new KernelFlowReader(
            kernel,
            state.map(Programs.FLOWS),
            state.map(Programs.DROPS),
            state.map(Programs.EVENTS),
            book,
            log);
    PodLinks links =
        new PodLinks(
            kernel,
            state.pods(),
            state.program(Programs.INGRESS),
            state.program(Programs.EGRESS),
            log);
    this.pods =
        new Pods(
            thread,
            kernel,
            state,
            book,
            links,
            verdicts,
            cutter,
            heartbeat,
            options.nodeAddresses(),
            log);
    this.joinedSockets = new KernelJoinedSockets(state.map(Programs.JOINABLE), pods.askedToJoin());
    if (state.adopted()) {
      adopt();
    }
  }

  /** Before anything runs on another thread. */
  private void adopt() {
    pods.adopt();
    services.adopt();
    // Numbers that anything still mentions must not come to mean another pod.
    state
        .map(Programs.VERDICTS)
        .forEach((key, value) -> {
          Layouts.VerdictKey verdict = Layouts.VerdictKey.of(key);
          book.seen(verdict.pod(), verdict.identity());
        });
    state
        .map(Programs.FLOWS)
        .forEach((key, value) -> {
          Layouts.Flow flow = Layouts.Flow.of(value);
          book.seen(Math.max(flow.sourcePod(), flow.destinationPod()), 0);
        });
    state.map(Programs.DROPS).forEach((key, value) -> book.seen(Layouts.DropKey.of(key).pod(), 0));
    book.skip(NUMBERS_LEFT_FREE);
    if (heartbeat.joining()) {
      // The kernel is the one that a former agent tested: pods stay joined until this one knows
      // better.
      var _ = thread.call(() -> trust(true));
    }
  }

  /** On the heartbeat's thread: from here on this agent writes and reads what agents share. */
  private void takeOver() {
    flows.read();
    thread.run(
        "take charge",
        () -> {
          services.takeCharge();
          pods.takeCharge();
          verdicts.reviewNow();
        });
    if (joining.state() != Joining.State.TESTING) {
      heartbeat.joining(joining.state() == Joining.State.ON);
    }
    listener().taken();
    log.info("in charge of this node", "adopted", state.adopted());
  }

  /** On the heartbeat's thread. What the capture thread had begun is done when this returns. */
  private void handOver() {
    flows.letGo(LET_GO_WITHIN);
    CompletableFuture<Boolean> begun = thread.call(() -> true);
    try {
      begun.get(LET_GO_WITHIN.toMillis(), TimeUnit.MILLISECONDS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    } catch (ExecutionException | TimeoutException e) {
      log.warn("handed over while work was under way", "cause", String.valueOf(e.getMessage()));
    }
    listener().lost();
    log.info("another agent is in charge of this node now");
  }

  private ChargeListener listener() {
    return Objects.requireNonNull(chargeListener, "not started");
  }

  private boolean trust(boolean on) {
    pods.trustJoining(on);
    return on;
  }

  @Override
  public void addListener(PodListener listener) {
    pods.addListener(listener);
  }

  @Override
  public void admission(Admission admission) {
    verdicts.admission(admission);
  }

  @Override
  public void start(ChargeListener charge) {
    chargeListener = charge;
    heartbeat.start();
    flows.start();
    thread.every(Pods.TICK, "look after pods", pods::tick);
    thread.every(Pods.TICK, "review what was connecting", verdicts::tick);
    thread.every(WATCH_INTERFACES, "look for new interfaces", pods::watchInterfaces);
  }

  @Override
  public void takeCharge() {
    heartbeat.ask();
  }

  @Override
  public boolean inCharge() {
    return heartbeat.inCharge();
  }

  @Override
  public boolean isSucceeded() {
    // By the pin, since a successor of another layout has maps of its own.
    byte[] value = state.pinned(Programs.CONTROL, Layouts.allocate(Integer.BYTES).array());
    return value != null && heartbeat.tellsOfAnother(value);
  }

  @Override
  public boolean hasHeir() {
    return heartbeat.hasHeir();
  }

  @Override
  public void retire() {
    heartbeat.retire();
  }

  @Override
  public synchronized void tryJoining() {
    if (selfTest.getState() == Thread.State.NEW && !closed.get()) {
      selfTest.start();
    }
  }

  private void selfTest() {
    Joining result = new JoiningTrial(thread, kernel, state, book, flows, log).run();
    if (closed.get()) {
      // Cut short, which says nothing about the kernel.
      return;
    }
    boolean on = result.state() == Joining.State.ON;
    heartbeat.joining(on);
    var _ = thread.call(() -> trust(on));
    joining = result;
    if (on) {
      log.info("sockets may be joined on this kernel", "checks", result.checks().size());
    } else {
      log.warn("sockets are not joined on this node", "cause", result.reason());
    }
  }

  @Override
  public void replacePods(PodDirectory directory) {
    thread.run("settings of pods", () -> pods.replaceDirectory(directory));
  }

  @Override
  public Enroller enroller() {
    return pods;
  }

  @Override
  public int pending() {
    return pods.pending();
  }

  @Override
  public Originals originals() {
    return originals;
  }

  @Override
  public JoinedSockets joinedSockets() {
    return joinedSockets;
  }

  @Override
  public Verdicts verdicts() {
    return verdicts;
  }

  @Override
  public ServiceTable services() {
    return services;
  }

  @Override
  public KernelFlows flows() {
    return flows;
  }

  @Override
  public List<Pod> pods() {
    return book.pods();
  }

  @Override
  public @Nullable Pod podAt(InetAddress address) {
    return book.at(address);
  }

  @Override
  public List<KernelDrop> drops() {
    List<KernelDrop> now = new ArrayList<>();
    if (closed.get()) {
      return now;
    }
    state
        .map(Programs.DROPS)
        .forEach((key, value) -> {
          Layouts.DropKey drop = Layouts.DropKey.of(key);
          if (!flows.ignores(drop.pod())) {
            now.add(
                new KernelDrop(
                    drop.pod() == 0 ? null : book.remembered(drop.pod()),
                    Reason.of(drop.reason()),
                    KernelFlowReader.sum(value)));
          }
        });
    return now;
  }

  @Override
  public Joining joining() {
    return joining;
  }

  /** Once closed is set, none begins. */
  private synchronized void endSelfTest() {
    if (selfTest.getState() == Thread.State.NEW) {
      return;
    }
    selfTest.interrupt();
    try {
      selfTest.join(SELF_TEST_ENDS_WITHIN);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  @Override
  public void close() {
    if (closed.getAndSet(true)) {
      return;
    }
    endSelfTest();
    heartbeat.close();
    flows.close();
    await(thread.call(this::closePods));
    thread.close();
    state.close();
  }

  private boolean closePods() {
    pods.close();
    return true;
  }

  @Override
  public void uninstall() {
    if (closed.getAndSet(true)) {
      return;
    }
    endSelfTest();
    heartbeat.close();
    flows.close();
    await(
        thread.call(() -> {
          pods.uninstall();
          state.uninstall();
          return closePods();
        }));
    thread.close();
    state.close();
  }

  private void await(CompletableFuture<?> work) {
    try {
      work.get(UNINSTALL_SECONDS, TimeUnit.SECONDS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    } catch (ExecutionException | CompletionException | TimeoutException e) {
      log.error("not taken away cleanly", "cause", e.getMessage());
    }
  }
}
