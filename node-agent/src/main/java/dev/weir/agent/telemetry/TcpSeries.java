package dev.weir.agent.telemetry;

import java.util.EnumMap;
import java.util.Objects;
import java.util.concurrent.atomic.AtomicLong;

/** The counters of one label set of {@code istio_tcp_*}. */
final class TcpSeries {
  private final String labels;
  private final AtomicLong opened = new AtomicLong();
  private final AtomicLong fromClient = new AtomicLong();
  private final AtomicLong fromServer = new AtomicLong();
  private final EnumMap<Outcome, AtomicLong> closed = new EnumMap<>(Outcome.class);

  /** All labels but {@code response_flags}, rendered once. */
  TcpSeries(String labels) {
    this.labels = labels;
    for (Outcome outcome : Outcome.values()) {
      closed.put(outcome, new AtomicLong());
    }
  }

  String labels() {
    return labels;
  }

  void opened() {
    opened.incrementAndGet();
  }

  void closed(Outcome outcome) {
    counter(outcome).incrementAndGet();
  }

  void fromClient(long bytes) {
    fromClient.addAndGet(bytes);
  }

  void fromServer(long bytes) {
    fromServer.addAndGet(bytes);
  }

  long openedTotal() {
    return opened.get();
  }

  long closedTotal(Outcome outcome) {
    return counter(outcome).get();
  }

  long fromClientTotal() {
    return fromClient.get();
  }

  long fromServerTotal() {
    return fromServer.get();
  }

  private AtomicLong counter(Outcome outcome) {
    // Filled for every outcome by the constructor, and only read since.
    return Objects.requireNonNull(closed.get(outcome));
  }
}
