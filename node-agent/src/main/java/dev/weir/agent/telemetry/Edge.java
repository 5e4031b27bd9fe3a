package dev.weir.agent.telemetry;

import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;

/**
 * One caller, one callee, one path. Event loops only ever add to totals. Once a minute the totals
 * are noted in a ring, so the last hour is now less what stood there an hour ago: no bucket to be
 * rotated under a writer, nothing lost.
 */
final class Edge {
  static final int MINUTES = 60;
  private static final int OPENED = 0;
  private static final int FAILED = 1;
  private static final int SENT = 2;
  private static final int RECEIVED = 3;
  private static final int FIELDS = 4;

  /** What an edge is told apart by. */
  record Key(
      String sourceNamespace,
      String sourceWorkload,
      String sourcePod,
      String namespace,
      String service,
      String workload,
      String pod,
      String address,
      Path path) {}

  /** The last hour. */
  record Window(long opened, long open, long failed, long sent, long received, int rttMicros) {
    boolean isIdle() {
      return opened == 0 && open == 0 && failed == 0 && sent == 0 && received == 0;
    }
  }

  private final Key key;
  private final AtomicLong[] totals = new AtomicLong[FIELDS];
  private final AtomicLong open = new AtomicLong();
  private final AtomicInteger rttMicros = new AtomicInteger();

  /** Totals at the end of each of the last 60 minutes; guarded by this. */
  private final long[] noted = new long[MINUTES * FIELDS];

  private int next;

  Edge(Key key) {
    this.key = key;
    for (int i = 0; i < FIELDS; i++) {
      totals[i] = new AtomicLong();
    }
  }

  Key key() {
    return key;
  }

  void opened() {
    totals[OPENED].incrementAndGet();
    open.incrementAndGet();
  }

  void failed() {
    totals[FAILED].incrementAndGet();
  }

  void sent(long bytes) {
    totals[SENT].addAndGet(bytes);
  }

  void received(long bytes) {
    totals[RECEIVED].addAndGet(bytes);
  }

  /**
   * Smoothed by an eighth, as TCP does (RFC 6298). Two writers at once lose one sample, which is no
   * loss.
   */
  void rtt(int micros) {
    int before = rttMicros.get();
    rttMicros.set(before == 0 ? micros : before + (micros - before) / 8);
  }

  void closed(Outcome outcome) {
    open.decrementAndGet();
    if (outcome != Outcome.ENDED) {
      failed();
    }
  }

  synchronized void minutePassed() {
    for (int i = 0; i < FIELDS; i++) {
      noted[next * FIELDS + i] = totals[i].get();
    }
    next = (next + 1) % MINUTES;
  }

  synchronized Window window() {
    int oldest = next * FIELDS;
    return new Window(
        totals[OPENED].get() - noted[oldest + OPENED],
        open.get(),
        totals[FAILED].get() - noted[oldest + FAILED],
        totals[SENT].get() - noted[oldest + SENT],
        totals[RECEIVED].get() - noted[oldest + RECEIVED],
        rttMicros.get());
  }
}
