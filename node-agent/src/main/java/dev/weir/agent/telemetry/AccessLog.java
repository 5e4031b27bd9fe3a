package dev.weir.agent.telemetry;

import dev.weir.api.model.Service;
import dev.weir.api.model.Workload;
import java.io.PrintStream;
import java.time.InstantSource;
import java.time.temporal.ChronoUnit;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.atomic.AtomicLong;
import org.jspecify.annotations.Nullable;

/**
 * One line for a connection that ended. Event loops put lines into a bounded queue and one thread,
 * begun by the first line, writes them: a full pipe behind stderr costs lines, which are counted,
 * never data.
 */
public final class AccessLog implements AutoCloseable {
  private static final int MAX_QUEUED = 4096;

  /** Which connections get a line. */
  public enum Mode {
    OFF,
    FAILURES,
    ALL;

    public static Optional<Mode> parse(String word) {
      for (Mode mode : values()) {
        if (mode.name().equals(word.toUpperCase(Locale.ROOT))) {
          return Optional.of(mode);
        }
      }
      return Optional.empty();
    }
  }

  /** How lines are written. */
  public enum Format {
    TEXT,
    JSON;

    public static Optional<Format> parse(String word) {
      for (Format format : values()) {
        if (format.name().equals(word.toUpperCase(Locale.ROOT))) {
          return Optional.of(format);
        }
      }
      return Optional.empty();
    }
  }

  private final PrintStream out;
  private final InstantSource clock;
  private final BlockingQueue<String> queue = new ArrayBlockingQueue<>(MAX_QUEUED);
  private final AtomicLong dropped = new AtomicLong();
  private volatile Mode mode;
  private volatile Format format;
  private volatile @Nullable Thread writer;

  public AccessLog(PrintStream out, InstantSource clock, Mode mode, Format format) {
    this.out = out;
    this.clock = clock;
    this.mode = mode;
    this.format = format;
  }

  public Mode mode() {
    return mode;
  }

  public Format format() {
    return format;
  }

  public void mode(Mode now) {
    mode = now;
  }

  public void format(Format now) {
    format = now;
  }

  /** Lines for which the queue had no room. */
  public long dropped() {
    return dropped.get();
  }

  void ended(
      ConnectionFacts facts,
      long nanos,
      long sent,
      long received,
      Outcome outcome,
      @Nullable String error) {
    Mode now = mode;
    if (now == Mode.OFF || (now == Mode.FAILURES && outcome == Outcome.ENDED && error == null)) {
      return;
    }
    put(line(facts, nanos, sent, received, outcome, error));
  }

  void wouldDeny(ConnectionFacts facts, List<String> policies) {
    if (mode == Mode.OFF) {
      return;
    }
    StringBuilder line = new StringBuilder(512);
    boolean json = begin(line, "warn", "connection would be denied");
    parties(line, json, facts);
    field(line, json, "policy", String.join(",", policies));
    put(ended(line, json));
  }

  private void put(String line) {
    if (!queue.offer(line)) {
      dropped.incrementAndGet();
    }
    if (writer == null) {
      begin();
    }
  }

  String line(
      ConnectionFacts facts,
      long nanos,
      long sent,
      long received,
      Outcome outcome,
      @Nullable String error) {
    boolean failed = outcome != Outcome.ENDED || error != null;
    String why = error != null ? error : failed ? "flags " + outcome.flags() : "";
    StringBuilder line = new StringBuilder(512);
    boolean json =
        begin(
            line,
            !failed ? "info" : nanos == 0 ? "warn" : "error",
            nanos == 0 && failed ? "connection failed" : "connection complete");
    parties(line, json, facts);
    number(line, json, "bytes_sent", sent);
    number(line, json, "bytes_recv", received);
    field(line, json, "duration", nanos / 1_000_000 + "ms");
    field(line, json, "error", why);
    return ended(line, json);
  }

  /** Returns whether the line is JSON, as all of it must be. */
  private boolean begin(StringBuilder line, String level, String message) {
    boolean json = format == Format.JSON;
    String time = clock.instant().truncatedTo(ChronoUnit.MICROS).toString();
    if (json) {
      line.append('{');
      field(line, true, "time", time);
      field(line, true, "level", level);
      field(line, true, "scope", "access");
      field(line, true, "message", message);
    } else {
      line.append(time).append(' ').append(level).append(" access ").append(message);
    }
    return json;
  }

  private static String ended(StringBuilder line, boolean json) {
    return json ? line.append('}').toString() : line.toString();
  }

  private static void parties(StringBuilder line, boolean json, ConnectionFacts facts) {
    Workload source = facts.source().workload();
    Workload destination = facts.destination().workload();
    Service service = facts.service();
    field(line, json, "src.addr", Telemetry.text(facts.source().address()));
    field(line, json, "src.workload", facts.source().pod());
    field(line, json, "src.namespace", facts.source().namespace());
    field(line, json, "src.identity", source == null ? "" : source.identity());
    field(line, json, "src.cluster", source == null ? "" : source.cluster());
    field(line, json, "dst.addr", Telemetry.text(facts.destination().address()));
    field(line, json, "dst.service", service == null ? "" : service.hostname());
    field(line, json, "dst.workload", facts.destination().pod());
    field(line, json, "dst.namespace", facts.destination().namespace());
    field(line, json, "dst.identity", destination == null ? "" : destination.identity());
    field(line, json, "dst.cluster", destination == null ? "" : destination.cluster());
    field(
        line, json, "direction", facts.reporter() == Reporter.DESTINATION ? "inbound" : "outbound");
  }

  @Override
  public void close() {
    Thread running = writer;
    if (running != null) {
      running.interrupt();
    }
  }

  private synchronized void begin() {
    if (writer == null) {
      writer = Thread.ofPlatform().daemon().name("access-log").start(this::write);
    }
  }

  private void write() {
    try {
      while (true) {
        out.println(queue.take());
      }
    } catch (InterruptedException e) {
      // Closing: what is queued still goes out.
      for (String line = queue.poll(); line != null; line = queue.poll()) {
        out.println(line);
      }
    }
  }

  /** Empty fields are left out, as ztunnel does. */
  private static void field(StringBuilder line, boolean json, String name, String value) {
    if (value.isEmpty()) {
      return;
    }
    if (json) {
      if (line.length() > 1) {
        line.append(',');
      }
      line.append('"').append(name).append("\":");
    } else {
      line.append(' ').append(name).append('=');
    }
    quoted(line, value);
  }

  private static void number(StringBuilder line, boolean json, String name, long value) {
    if (json) {
      line.append(",\"").append(name).append("\":").append(value);
    } else {
      line.append(' ').append(name).append('=').append(value);
    }
  }

  /**
   * Escaped as JSON in both formats: what comes from outside cannot end a value, a line, or steer a
   * terminal.
   */
  private static void quoted(StringBuilder line, String value) {
    line.append('"');
    for (int i = 0; i < value.length(); i++) {
      char c = value.charAt(i);
      if (c == '"' || c == '\\') {
        line.append('\\').append(c);
      } else if (c < ' ' || (c >= 0x7f && c < 0xa0) || c == '\u2028' || c == '\u2029') {
        line.append("\\u")
            .append(Character.forDigit(c >> 12 & 15, 16))
            .append(Character.forDigit(c >> 8 & 15, 16));
        line.append(Character.forDigit(c >> 4 & 15, 16)).append(Character.forDigit(c & 15, 16));
      } else {
        line.append(c);
      }
    }
    line.append('"');
  }
}
