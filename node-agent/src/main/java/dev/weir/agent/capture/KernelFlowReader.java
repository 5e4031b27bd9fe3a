package dev.weir.agent.capture;

import dev.weir.agent.log.Log;
import dev.weir.bpf.Layouts;
import dev.weir.ffi.Bpf;
import dev.weir.ffi.Bpf.BpfMap;
import dev.weir.ffi.Kernel;
import dev.weir.ffi.KernelException;
import dev.weir.ffi.Netlink.TcpSocket;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/**
 * Reads what programs report of kernel flows, and asks inet_diag, pod by pod, how far the open ones
 * have come. One platform thread.
 */
final class KernelFlowReader implements KernelFlows, AutoCloseable {
  // Programs wake the reader only when much waits, since waking it for each event costs a busy node
  // 3 %.
  private static final Duration POLL = Duration.ofMillis(100);
  // struct weir_event: kind and reason, tuple, flow, what was counted.
  private static final int EVENT_BYTES = 8 + Layouts.TUPLE_BYTES + Layouts.FLOW_BYTES + 32;
  // Programs report only ends: an event for each beginning too would cost a storm of short
  // connections a tenth of its rate.
  private static final long DISCOVER_NANOS = Duration.ofSeconds(1).toNanos();
  private static final long PROGRESS_NANOS = Duration.ofSeconds(5).toNanos();
  private static final long LOOK_NANOS = TimeUnit.MILLISECONDS.toNanos(5);
  // A flow that was neither in the map nor in the pod has ended, and its event was lost.
  private static final int MISSED_BEFORE_CLOSED = 2;

  private static final FlowSink NOBODY =
      new FlowSink() {
        @Override
        public void opened(KernelFlow flow) {}

        @Override
        public void progressed(KernelFlow flow, FlowBytes total) {}

        @Override
        public void closed(KernelFlow flow, FlowBytes total) {}

        @Override
        public void failed(KernelFlow flow) {}
      };

  private static final class Live {
    final KernelFlow flow;
    final long cookie;
    FlowBytes last = FlowBytes.NONE;
    int missed;

    Live(KernelFlow flow, long cookie) {
      this.flow = flow;
      this.cookie = cookie;
    }
  }

  private final Kernel kernel;
  private final BpfMap flows;
  private final BpfMap drops;
  private final BpfMap events;
  private final PodBook book;
  private final Log log;
  private final Set<Integer> ignoredPods = ConcurrentHashMap.newKeySet();
  private final Map<Layouts.Tuple, Live> live = new ConcurrentHashMap<>();
  private final AtomicReference<@Nullable CountDownLatch> refreshAsked = new AtomicReference<>();
  private final Thread thread;
  private volatile FlowSink sink = NOBODY;
  private volatile boolean stopped;

  // A ring has one reader: that of the agent in charge.
  private volatile boolean wanted;
  private volatile boolean reading;

  KernelFlowReader(
      Kernel kernel, BpfMap flows, BpfMap drops, BpfMap events, PodBook book, Log log) {
    this.kernel = kernel;
    this.flows = flows;
    this.drops = drops;
    this.events = events;
    this.book = book;
    this.log = log;
    this.thread = Thread.ofPlatform().name("weir-flows").daemon().unstarted(this::run);
  }

  /** The self-test's pods are nobody's business. */
  void ignore(int podNumber) {
    ignoredPods.add(podNumber);
  }

  boolean ignores(int podNumber) {
    return ignoredPods.contains(podNumber);
  }

  void start() {
    thread.start();
  }

  /** From now on the events are this agent's to read. */
  void read() {
    wanted = true;
    LockSupport.unpark(thread);
  }

  /** Every event that was read has been told when this returns; the next is another agent's. */
  void letGo(Duration atMost) {
    wanted = false;
    long deadline = System.nanoTime() + atMost.toNanos();
    while (reading && System.nanoTime() - deadline < 0) {
      LockSupport.parkNanos(LOOK_NANOS);
    }
    if (reading) {
      log.warn("the reader of events has not stopped in time");
    }
  }

  @Override
  public void sink(FlowSink sink) {
    this.sink = sink;
  }

  @Override
  public List<KernelFlow> live() {
    List<KernelFlow> now = new ArrayList<>(live.size());
    live.values().forEach(one -> now.add(one.flow));
    return now;
  }

  @Override
  public void refresh() {
    if (!reading) {
      return;
    }
    CountDownLatch mine = new CountDownLatch(1);
    CountDownLatch latch =
        refreshAsked.updateAndGet(standing -> standing == null ? mine : standing);
    try {
      if (latch != null && !latch.await(1, TimeUnit.SECONDS)) {
        log.debug("byte counters not refreshed within a second");
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  @Override
  public long lost() {
    byte[] value =
        drops.lookup(Layouts.allocate(8).putInt(0).putInt(Reason.EVENT_LOST.number()).array());
    return value == null ? 0 : sum(value);
  }

  static long sum(byte[] perCpu) {
    ByteBuffer from = Layouts.read(perCpu);
    long sum = 0;
    while (from.remaining() >= 8) {
      sum += from.getLong();
    }
    return sum;
  }

  private void run() {
    while (!stopped) {
      if (wanted) {
        reading = true;
        try {
          readOn();
        } finally {
          reading = false;
        }
      } else {
        LockSupport.parkNanos(POLL.toNanos());
      }
    }
  }

  private void readOn() {
    try (Bpf.RingBuffer ring = kernel.bpf().ringBuffer(events, this::event)) {
      flows.forEach(this::discovered);
      long discoverAt = System.nanoTime() + DISCOVER_NANOS;
      long progressAt = System.nanoTime() + PROGRESS_NANOS;
      while (!stopped && wanted) {
        ring.poll(POLL);
        CountDownLatch asked = refreshAsked.getAndSet(null);
        if (asked != null || System.nanoTime() - discoverAt >= 0) {
          discoverAt = System.nanoTime() + DISCOVER_NANOS;
          flows.forEach(this::discovered);
        }
        if (asked != null || System.nanoTime() - progressAt >= 0) {
          progressAt = System.nanoTime() + PROGRESS_NANOS;
          progress();
        }
        if (asked != null) {
          asked.countDown();
        }
      }
    } catch (KernelException e) {
      wanted = false;
      log.error("kernel flows are not counted any more", "cause", e.getMessage());
    }
  }

  /**
   * A flow that stands in the map. Where its place still has a predecessor here, whose end is yet
   * to be read, the next look takes it.
   */
  private void discovered(byte[] key, byte[] value) {
    Layouts.Flow flow = Layouts.Flow.of(value);
    if (flow.establishedNanos() == 0 || ignoredPods.contains(flow.sourcePod())) {
      return;
    }
    Layouts.Tuple tuple = Layouts.Tuple.of(key);
    if (!live.containsKey(tuple)) {
      open(tuple, flow);
    }
  }

  private void open(Layouts.Tuple tuple, Layouts.Flow raw) {
    Live now = new Live(describe(tuple, raw), raw.cookie());
    live.put(tuple, now);
    sink.opened(now.flow);
  }

  private void event(ByteBuffer record) {
    if (record.remaining() < EVENT_BYTES) {
      return;
    }
    Layouts.Event event = Layouts.Event.of(record);
    if (ignoredPods.contains(event.flow().sourcePod())) {
      return;
    }
    switch (event.kind()) {
      case Layouts.Event.CLOSED -> {
        Live known = live.get(event.tuple());
        KernelFlow flow;
        if (known != null && known.flow.openedNanos() == event.flow().openedNanos()) {
          live.remove(event.tuple());
          flow = known.flow;
        } else {
          // Opened and closed while nobody looked, or its place already has a successor.
          flow = describe(event.tuple(), event.flow());
          sink.opened(flow);
        }
        sink.closed(
            flow,
            new FlowBytes(event.sent(), event.received(), event.rttMicros(), event.retransmits()));
      }
      case Layouts.Event.FAILED -> sink.failed(describe(event.tuple(), event.flow()));
      default -> {
        // Drops are counted in weir_drops.
      }
    }
  }

  private KernelFlow describe(Layouts.Tuple tuple, Layouts.Flow raw) {
    return new KernelFlow(
        book.remembered(raw.sourcePod()),
        book.remembered(raw.destinationPod()),
        new InetSocketAddress(tuple.client(), tuple.clientPort()),
        new InetSocketAddress(tuple.server(), tuple.serverPort()),
        new InetSocketAddress(raw.asked(), raw.askedPort()),
        raw.service(),
        switch (raw.path()) {
          case Layouts.PATH_DIRECT -> KernelPath.DIRECT;
          case Layouts.PATH_JOINED -> KernelPath.JOINED;
          case Layouts.PATH_EXCLUDED -> KernelPath.EXCLUDED;
          default -> KernelPath.OPEN;
        },
        raw.openedNanos());
  }

  private void progress() {
    Map<Integer, List<Map.Entry<Layouts.Tuple, Live>>> bySource = new HashMap<>();
    Map<Long, Pod> clients = new HashMap<>();
    book.pods().forEach(pod -> clients.put(pod.cookie(), pod));
    for (Map.Entry<Layouts.Tuple, Live> entry : live.entrySet()) {
      Pod client = clients.get(entry.getValue().cookie);
      bySource
          .computeIfAbsent(client == null ? 0 : client.number(), number -> new ArrayList<>())
          .add(entry);
    }
    bySource.forEach((number, mine) -> {
      Map<Layouts.Tuple, TcpSocket> sockets = number == 0 ? Map.of() : sockets(number);
      for (Map.Entry<Layouts.Tuple, Live> entry : mine) {
        progress(entry.getKey(), entry.getValue(), sockets.get(entry.getKey()));
      }
    });
  }

  private Map<Layouts.Tuple, TcpSocket> sockets(int podNumber) {
    Pod pod = book.withNetns(podNumber);
    if (pod == null) {
      return Map.of();
    }
    Map<Layouts.Tuple, TcpSocket> sockets = new HashMap<>();
    try {
      for (TcpSocket socket :
          kernel.namespaces().inNetwork(pod.netns(), () -> kernel.netlink().tcpSockets())) {
        sockets.put(
            new Layouts.Tuple(
                socket.local(), socket.localPort(), socket.remote(), socket.remotePort(), 0),
            socket);
      }
    } catch (KernelException e) {
      // The pod went meanwhile.
      log.debug("sockets not read", "pod", pod.label(), "cause", e.getMessage());
    }
    return sockets;
  }

  private void progress(Layouts.Tuple tuple, Live one, @Nullable TcpSocket socket) {
    byte[] value = flows.lookup(tuple.bytes());
    if (value == null) {
      if (++one.missed >= MISSED_BEFORE_CLOSED && live.remove(tuple, one)) {
        sink.closed(one.flow, one.last);
      }
      return;
    }
    one.missed = 0;
    if (socket == null) {
      return;
    }
    Layouts.Flow raw = Layouts.Flow.of(value);
    // tcp_info counts the SYN among acknowledged bytes.
    one.last =
        new FlowBytes(
            Math.max(0, socket.bytesAcked() - 1) + raw.joinedSent(),
            socket.bytesReceived() + raw.joinedReceived(),
            socket.rttMicros(),
            one.last.retransmits());
    sink.progressed(one.flow, one.last);
  }

  @Override
  public void close() {
    stopped = true;
    try {
      thread.join(TimeUnit.SECONDS.toMillis(2));
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
