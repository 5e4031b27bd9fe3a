package dev.weir.control.port;

import dev.weir.api.json.Json;
import dev.weir.control.log.Brake;
import dev.weir.control.log.Log;
import io.grpc.Grpc;
import io.grpc.Metadata;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerInterceptor;
import io.netty.channel.Channel;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.time.Duration;
import java.time.InstantSource;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Who is connected to one port. A connection is a stranger's until a call on it was admitted. When
 * one stranger more comes than there is room for, the oldest of the address that has most of them
 * goes, so a flood pushes out itself and not an agent that is shaking hands. Any thread.
 */
public final class Connections {
  /** More failed calls than this on one connection are no mistake. */
  private static final int MOST_REFUSED_OF_STRANGER = 16;

  private static final int MOST_LINES_A_SECOND = 2;

  /** Why a connection was ended by this side. */
  enum Ending {
    /** As many are open as may be. */
    FULL,
    /** As many of its address are. */
    ADDRESS_FULL,
    /** A stranger made room for another one. */
    CROWDED_OUT,
    /** A stranger did not say in time who it is. */
    UNADMITTED,
    /** A stranger was refused again and again. */
    REFUSED_TOO_OFTEN;

    String label() {
      return name().toLowerCase(Locale.ROOT).replace('_', '-');
    }
  }

  /** One connection. */
  private static final class Guest {
    final InetSocketAddress from;
    final Channel channel;
    final long sinceNanos;
    int refused;

    Guest(InetSocketAddress from, Channel channel, long sinceNanos) {
      this.from = from;
      this.channel = channel;
      this.sinceNanos = sinceNanos;
    }
  }

  private final Crowd crowd;
  private final InstantSource clock;
  private final Log log;
  private final Brake brake = new Brake(MOST_LINES_A_SECOND);
  private final Map<SocketAddress, Guest> guests = new HashMap<>();
  private final Map<InetAddress, Integer> ofAddress = new HashMap<>();

  /** Oldest first. */
  private final Set<Guest> strangers = new LinkedHashSet<>();

  private final Map<Ending, Long> endings = new EnumMap<>(Ending.class);

  public Connections(Crowd crowd, InstantSource clock, Log log) {
    this.crowd = crowd;
    this.clock = clock;
    this.log = log;
  }

  Duration patience() {
    return crowd.patience();
  }

  /** Whether a connection may stay; who says no closes it. */
  synchronized boolean arrived(Channel channel, InetSocketAddress from) {
    if (guests.size() >= crowd.connections()) {
      ended(Ending.FULL, from);
      return false;
    }
    if (ofAddress.getOrDefault(from.getAddress(), 0) >= crowd.ofOneAddress()) {
      ended(Ending.ADDRESS_FULL, from);
      return false;
    }
    if (strangers.size() >= crowd.strangers()) {
      end(Ending.CROWDED_OUT, oldestOfMost());
    }
    Guest guest = new Guest(from, channel, System.nanoTime());
    guests.put(from, guest);
    ofAddress.merge(from.getAddress(), 1, Integer::sum);
    strangers.add(guest);
    return true;
  }

  private Guest oldestOfMost() {
    Map<InetAddress, Integer> counts = new HashMap<>();
    int most = 0;
    for (Guest each : strangers) {
      most = Math.max(most, counts.merge(each.from.getAddress(), 1, Integer::sum));
    }
    for (Guest each : strangers) {
      if (Objects.equals(counts.get(each.from.getAddress()), most)) {
        return each;
      }
    }
    throw new IllegalStateException("no strangers (expected: " + crowd.strangers() + ")");
  }

  /** A connection has ended, by whichever side. */
  synchronized void left(SocketAddress from, Channel channel) {
    Guest guest = guests.get(from);
    if (guest != null && guest.channel.equals(channel)) {
      forget(guest);
    }
  }

  private void forget(Guest guest) {
    if (guests.remove(guest.from, guest)) {
      ofAddress.computeIfPresent(
          guest.from.getAddress(), (_, count) -> count == 1 ? null : count - 1);
      strangers.remove(guest);
    }
  }

  /** A call from there was admitted: whoever it is, it is no stranger. */
  public synchronized void admitted(@Nullable SocketAddress from) {
    Guest guest = guests.get(from);
    if (guest != null) {
      strangers.remove(guest);
    }
  }

  /** A call from there was refused. */
  public synchronized void refused(@Nullable SocketAddress from) {
    Guest guest = guests.get(from);
    if (guest != null && strangers.contains(guest) && ++guest.refused > MOST_REFUSED_OF_STRANGER) {
      end(Ending.REFUSED_TOO_OFTEN, guest);
    }
  }

  /** Ends strangers whose time is over. */
  synchronized void look() {
    long now = System.nanoTime();
    for (Guest each : List.copyOf(strangers)) {
      if (now - each.sinceNanos < crowd.patience().toNanos()) {
        return;
      }
      end(Ending.UNADMITTED, each);
    }
  }

  private void end(Ending why, Guest guest) {
    forget(guest);
    ended(why, guest.from);
    Channel channel = guest.channel;
    if (!channel.isRegistered()) {
      // Accepted in the same breath as its successor.
      channel.unsafe().closeForcibly();
      return;
    }
    // Not through the pipeline: HTTP/2 there would wait for the stranger's streams to end.
    channel.eventLoop().execute(() -> channel.unsafe().close(channel.unsafe().voidPromise()));
  }

  private void ended(Ending why, InetSocketAddress from) {
    endings.merge(why, 1L, Long::sum);
    if (brake.lets(clock.instant())) {
      log.warn(
          "connection ended",
          "cause",
          why.label(),
          "address",
          from.getAddress().getHostAddress() + ":" + from.getPort());
    }
  }

  /** For a port at which everybody is welcome. */
  public ServerInterceptor admittingAll() {
    return new ServerInterceptor() {
      @Override
      public <Q, A> ServerCall.Listener<Q> interceptCall(
          ServerCall<Q, A> call, Metadata headers, ServerCallHandler<Q, A> next) {
        admitted(call.getAttributes().get(Grpc.TRANSPORT_ATTR_REMOTE_ADDR));
        return next.startCall(call, headers);
      }
    };
  }

  public synchronized Json json() {
    Json.Builder ended = Json.object();
    endings.forEach((why, count) -> ended.with(why.label(), (double) count));
    return Json.object()
        .with("open", guests.size())
        .with("notAdmitted", strangers.size())
        .with("ended", ended.build())
        .build();
  }
}
