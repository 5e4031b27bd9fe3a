package dev.weir.agent.fairness;

import dev.weir.agent.capture.Pod;
import dev.weir.agent.telemetry.Refusal;
import io.netty.channel.EventLoop;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.LongAdder;
import java.util.function.Consumer;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/** What one pod has and has had of this agent. Any thread. */
public final class PodAccount {
  private final Fairness fairness;
  private final Supplier<Pod> pod;
  private final Buffers buffers;
  private final Rate servedRate;
  private final Rate calledRate;
  private final Map<EventLoop, Share> shares = new ConcurrentHashMap<>();
  private final AtomicInteger connections = new AtomicInteger();
  private final AtomicInteger streams = new AtomicInteger();
  private final LongAdder opened = new LongAdder();
  private final LongAdder handshakes = new LongAdder();
  private final LongAdder shed = new LongAdder();
  private volatile @Nullable Refusal squeezed;
  private volatile long bufferedBytes;

  /** What the pod's connections hold. Asked by the watch's thread. */
  public interface Buffers {
    /** What its tunnels hold that no connection alone can be told to hold. */
    long shared();

    void forEach(Consumer<Holder> visitor);
  }

  PodAccount(Fairness fairness, Supplier<Pod> pod, Buffers buffers, long now) {
    this.fairness = fairness;
    this.pod = pod;
    this.buffers = buffers;
    this.servedRate = new Rate(fairness.limits().handshakes(), now);
    this.calledRate = new Rate(fairness.limits().handshakes(), now);
  }

  public Pod pod() {
    return pod.get();
  }

  /** The pod's turns on an event loop. */
  public Share on(EventLoop loop) {
    Share share = shares.get(loop);
    return share != null
        ? share
        : shares.computeIfAbsent(loop, each -> new Share(this, fairness.turns(each)));
  }

  long quantum() {
    return Turns.QUANTUM_NANOS * pod().settings().weight() / 100;
  }

  /** One more connection begins, whether it may or not: {@link #connectionEnded} follows. */
  public @Nullable Refusal connectionBegan() {
    opened.increment();
    int open = connections.incrementAndGet();
    return open > fairness.limits().connections() ? shed(Refusal.OVERLOAD_CONNECTIONS) : room();
  }

  /** One that began is made, and lives on as a second one until the first is ended. */
  public void connectionCarriedOn() {
    connections.incrementAndGet();
  }

  public void connectionEnded() {
    connections.decrementAndGet();
  }

  /** How many there are. */
  int connections() {
    return connections.get();
  }

  /** How many have begun, ever. */
  long opened() {
    return opened.sum();
  }

  /** Whether the pod may have one more stream in a tunnel; null if so. */
  public @Nullable Refusal stream() {
    return streams.get() >= fairness.limits().streams() ? shed(Refusal.OVERLOAD_STREAMS) : null;
  }

  public void streamBegan() {
    streams.incrementAndGet();
  }

  public void streamEnded() {
    streams.decrementAndGet();
  }

  /**
   * Whether one more handshake may be made for the pod; null if so, and then it counts. Those that
   * come to it and those that it begins have a rate each: a flood does not keep it from calling.
   *
   * @param serving it comes to the pod
   * @param first nothing else is under way with the peer, so it is not the one that floods: the
   *     rate does not hold it up
   */
  public @Nullable Refusal handshake(boolean serving, boolean first) {
    if (fairness.isTight()) {
      return shed(Refusal.OVERLOAD_MEMORY);
    }
    if (!(serving ? servedRate : calledRate).take(System.nanoTime()) && !first) {
      return shed(Refusal.OVERLOAD_HANDSHAKES);
    }
    handshakes.increment();
    return room();
  }

  /** Why nothing new may begin for the pod while its buffers are being emptied. */
  private @Nullable Refusal room() {
    Refusal why = squeezed;
    return why == null ? null : shed(why);
  }

  private Refusal shed(Refusal reason) {
    shed.increment();
    return reason;
  }

  /** What waits for the pod's turn found no room. */
  public void overrun() {
    shed.increment();
  }

  /** What may be held for the pod before it loses connections. */
  public long bufferLimitBytes() {
    return fairness.limits().podBufferBytes();
  }

  // ---- the watch

  Buffers buffers() {
    return buffers;
  }

  void buffered(long bytes) {
    bufferedBytes = bytes;
  }

  long buffered() {
    return bufferedBytes;
  }

  @Nullable Refusal squeezed() {
    return squeezed;
  }

  void squeeze(@Nullable Refusal why) {
    squeezed = why;
  }

  void cut(Holder holder, Refusal reason) {
    shed.increment();
    holder.cut(reason);
  }

  // ---- who looks

  /** The pod's turns on an event loop, if it has had any. */
  @Nullable Share known(EventLoop loop) {
    return shares.get(loop);
  }

  /** Time of a loop's work for all pods. */
  long usedOn(EventLoop loop) {
    return fairness.turns(loop).used();
  }

  PodUsage usage() {
    long cpuNanos = 0;
    long[] sums = new long[Share.COUNTERS];
    for (Share share : shares.values()) {
      cpuNanos += share.cpuNanos();
      for (int i = 0; i < sums.length; i++) {
        sums[i] += share.count(i);
      }
    }
    long[] waits = new long[Share.WAITS];
    System.arraycopy(sums, Share.FIRST_WAIT, waits, 0, waits.length);
    Pod now = pod();
    return new PodUsage(
        now.namespace(),
        now.name(),
        now.settings().weight(),
        cpuNanos,
        sums[Share.IN],
        sums[Share.OUT],
        connections.get(),
        opened.sum(),
        streams.get(),
        handshakes.sum(),
        bufferedBytes,
        shed.sum(),
        sums[Share.WAITED],
        waits);
  }
}
