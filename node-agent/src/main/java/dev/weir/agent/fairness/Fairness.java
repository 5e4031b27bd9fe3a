package dev.weir.agent.fairness;

import dev.weir.agent.capture.Pod;
import dev.weir.agent.log.Log;
import dev.weir.agent.metrics.Exposition;
import dev.weir.agent.metrics.MetricSource;
import io.netty.channel.EventLoop;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.function.LongSupplier;
import java.util.function.Supplier;
import java.util.function.ToLongFunction;

/** The door: the accounts of this node's pods, and what they may have. */
public final class Fairness implements MetricSource, AutoCloseable {
  private final Limits limits;
  private final Pace pace;
  private final MemoryWatch watch;
  private final Map<EventLoop, Turns> turns = new ConcurrentHashMap<>();
  private final List<Load> loads = new CopyOnWriteArrayList<>();
  private final LoopTimes times = LoopTimes.ofThisProcess();
  private final Map<EventLoop, Long> hadBefore = new HashMap<>();
  private final Set<PodAccount> accounts = ConcurrentHashMap.newKeySet();

  /**
   * @param pinnedBytes direct memory that buffers in use occupy
   */
  public Fairness(Limits limits, LongSupplier pinnedBytes, Pace pace, Log log) {
    this.limits = limits;
    this.pace = pace;
    this.watch = new MemoryWatch(limits, pinnedBytes, () -> accounts, log);
  }

  /** Begins to watch memory. */
  public Fairness start() {
    watch.start();
    return this;
  }

  public PodAccount open(Supplier<Pod> pod, PodAccount.Buffers buffers) {
    PodAccount account = new PodAccount(this, pod, buffers, System.nanoTime());
    accounts.add(account);
    return account;
  }

  /** The pod is gone, and its connections. */
  public void close(PodAccount account) {
    accounts.remove(account);
  }

  @Override
  public void close() {
    watch.close();
  }

  public Limits limits() {
    return limits;
  }

  Turns turns(EventLoop loop) {
    return turns.computeIfAbsent(loop, each -> Turns.of(each, pace, loads));
  }

  /** How much of the time the loop that works most has a processor, in thousandths. */
  public int worked() {
    return turns.values().stream().mapToInt(Turns::worked).max().orElse(0);
  }

  boolean isTight() {
    return watch.isTight();
  }

  /** Bytes that buffers of all pods held when it was looked last. */
  public long bufferedBytes() {
    return watch.usedBytes();
  }

  public synchronized List<PodUsage> usage() {
    turns.forEach(this::bill);
    // One that was opted out and in again has two accounts while old connections last.
    Map<String, PodUsage> byPod = new HashMap<>();
    for (PodAccount account : accounts) {
      PodUsage usage = account.usage();
      byPod.merge(usage.label(), usage, PodUsage::plus);
    }
    List<PodUsage> all = new ArrayList<>(byPod.values());
    all.sort(Comparator.comparing(PodUsage::namespace).thenComparing(PodUsage::name));
    return all;
  }

  /** What a loop's clock measured is spread over what its thread had of a processor. */
  private void bill(EventLoop loop, Turns of) {
    Map<Share, Long> worked = new HashMap<>();
    long sum = 0;
    for (PodAccount account : accounts) {
      Share share = account.known(loop);
      if (share != null) {
        long since = share.workedSince();
        worked.put(share, since);
        sum += since;
      }
    }
    long had = times.cpuNanos(of.thread());
    long before = hadBefore.getOrDefault(loop, 0L);
    double part = had < 0 || sum <= had - before ? 1 : (double) (had - before) / sum;
    hadBefore.put(loop, had);
    worked.forEach((share, since) -> share.bill(since, part));
  }

  @Override
  public void write(Exposition out) {
    List<PodUsage> all = usage();
    counter(
        out,
        all,
        "weir_pod_cpu_nanoseconds_total",
        "Time that event loops worked for the pod.",
        PodUsage::cpuNanos);
    out.family("weir_pod_bytes_total", Exposition.Kind.COUNTER, "Bytes relayed, by direction.");
    for (PodUsage each : all) {
      out.sample("weir_pod_bytes_total", labels(each) + ",direction=\"received\"", each.received());
      out.sample("weir_pod_bytes_total", labels(each) + ",direction=\"sent\"", each.sent());
    }
    gauge(
        out, all, "weir_pod_connections", "Connections through the agent.", PodUsage::connections);
    gauge(out, all, "weir_pod_streams", "Streams in tunnels.", PodUsage::streams);
    gauge(out, all, "weir_pod_buffered_bytes", "Bytes that nobody took yet.", PodUsage::buffered);
    counter(out, all, "weir_pod_handshakes_total", "TLS handshakes begun.", PodUsage::handshakes);
    counter(
        out,
        all,
        "weir_pod_shed_total",
        "Connections, handshakes and streams refused or cut because the pod had too much; reasons"
            + " are in weir_refusals_total.",
        PodUsage::shed);
    counter(
        out,
        all,
        "weir_pod_queue_delay_microseconds_total",
        "What the pod's work waited for other pods' turns.",
        PodUsage::waitedMicros);
    out.family(
        "weir_loop_busy_permille",
        Exposition.Kind.GAUGE,
        "Thousandths of the time that an event loop works in rounds so long that"
            + " whoever else is on it waits.");
    turns.forEach((_, each) -> {
      // One that has done nothing yet has no thread.
      if (!each.thread().isEmpty()) {
        out.sample(
            "weir_loop_busy_permille", Exposition.labels("loop", each.thread()), each.load());
      }
    });
    out.single(
        "weir_buffered_bytes",
        Exposition.Kind.GAUGE,
        "Bytes that buffers hold for all pods.",
        bufferedBytes());
    out.single(
        "weir_buffer_limit_bytes",
        Exposition.Kind.GAUGE,
        "Bytes from which the heaviest pod is shed.",
        limits.bufferBytes());
  }

  private static void counter(
      Exposition out,
      List<PodUsage> all,
      String name,
      String help,
      ToLongFunction<PodUsage> value) {
    family(out, all, name, Exposition.Kind.COUNTER, help, value);
  }

  private static void gauge(
      Exposition out,
      List<PodUsage> all,
      String name,
      String help,
      ToLongFunction<PodUsage> value) {
    family(out, all, name, Exposition.Kind.GAUGE, help, value);
  }

  private static void family(
      Exposition out,
      List<PodUsage> all,
      String name,
      Exposition.Kind kind,
      String help,
      ToLongFunction<PodUsage> value) {
    out.family(name, kind, help);
    for (PodUsage each : all) {
      out.sample(name, labels(each), value.applyAsLong(each));
    }
  }

  private static String labels(PodUsage usage) {
    return Exposition.labels("namespace", usage.namespace(), "pod", usage.name());
  }
}
