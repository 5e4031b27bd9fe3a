package dev.weir.agent.telemetry;

import org.jspecify.annotations.Nullable;

/** One connection's counters, found when it opened. Owned by the connection's event loop. */
public final class ConnectionMeter {
  private final Telemetry telemetry;
  private final ConnectionFacts facts;
  private final TcpSeries first;
  private final @Nullable TcpSeries second;
  private final Edge edge;
  private final long openedNanos;
  private long sent;
  private long received;
  private boolean closed;

  ConnectionMeter(
      Telemetry telemetry,
      ConnectionFacts facts,
      TcpSeries first,
      @Nullable TcpSeries second,
      Edge edge,
      long openedNanos) {
    this.telemetry = telemetry;
    this.facts = facts;
    this.first = first;
    this.second = second;
    this.edge = edge;
    this.openedNanos = openedNanos;
    first.opened();
    if (second != null) {
      second.opened();
    }
    edge.opened();
  }

  /** Bytes that went from the client towards the server. */
  public void sent(long bytes) {
    sent += bytes;
    first.fromClient(bytes);
    if (second != null) {
      second.fromClient(bytes);
    }
    edge.sent(bytes);
  }

  /** Bytes that went from the server towards the client. */
  public void received(long bytes) {
    received += bytes;
    first.fromServer(bytes);
    if (second != null) {
      second.fromServer(bytes);
    }
    edge.received(bytes);
  }

  /** A smoothed round trip as the kernel measured it, where somebody looked. */
  public void rtt(int micros) {
    edge.rtt(micros);
  }

  /** Once; a second call changes nothing, so that two racing ends need no agreement. */
  public void closed(Outcome outcome, @Nullable String error) {
    if (closed) {
      return;
    }
    closed = true;
    first.closed(outcome);
    if (second != null) {
      second.closed(outcome);
    }
    edge.closed(outcome);
    telemetry.ended(facts, openedNanos, sent, received, outcome, error);
  }
}
