package dev.weir.control.ca;

import dev.weir.api.json.Json;
import dev.weir.control.log.Brake;
import dev.weir.control.log.Log;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.time.Instant;
import java.time.InstantSource;
import java.util.EnumMap;
import java.util.Map;
import java.util.concurrent.atomic.AtomicLong;
import org.jspecify.annotations.Nullable;

/**
 * Whom one service refused: a counter for each cause, the last one in words, the log. Any thread.
 */
public final class Refusals {
  /** More lines than this in a second say nothing new; the counters go on. */
  private static final int MOST_LINES_A_SECOND = 20;

  private final String message;
  private final InstantSource clock;
  private final Log log;
  private final Brake brake = new Brake(MOST_LINES_A_SECOND);
  private final Map<Refusal.Cause, AtomicLong> counts = new EnumMap<>(Refusal.Cause.class);
  private volatile Json last = Json.object().build();

  /**
   * @param message what the log says that was refused
   */
  public Refusals(String message, InstantSource clock, Log log) {
    this.message = message;
    this.clock = clock;
    this.log = log;
    for (Refusal.Cause cause : Refusal.Cause.values()) {
      counts.put(cause, new AtomicLong());
    }
  }

  /**
   * @param caller as its token says; empty where that is not known
   * @param identity that was asked for; empty where none was
   */
  public void refused(
      Refusal refusal, String caller, String identity, @Nullable SocketAddress from) {
    AtomicLong counter = counts.get(refusal.why());
    if (counter != null) {
      counter.incrementAndGet();
    }
    Instant now = clock.instant();
    String address =
        from instanceof InetSocketAddress inet ? inet.getAddress().getHostAddress() : "";
    last =
        Json.object()
            .with("time", now.toString())
            .with("cause", refusal.why().label())
            .with("message", String.valueOf(refusal.getMessage()))
            .with("caller", caller)
            .with("address", address)
            .with("identity", identity)
            .build();
    if (brake.lets(now)) {
      log.warn(
          message,
          "cause",
          refusal.why().label(),
          "caller",
          caller,
          "address",
          address,
          "identity",
          identity,
          "reason",
          String.valueOf(refusal.getMessage()));
    }
  }

  /** By cause; those that never happened are left out. */
  public Json counts() {
    Json.Builder all = Json.object();
    counts.forEach((cause, count) -> {
      if (count.get() > 0) {
        all.with(cause.label(), count.get());
      }
    });
    return all.build();
  }

  public Json last() {
    return last;
  }
}
