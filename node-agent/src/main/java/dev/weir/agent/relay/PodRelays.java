package dev.weir.agent.relay;

import dev.weir.agent.capture.Pod;
import dev.weir.agent.fairness.Fairness;
import dev.weir.agent.fairness.Holder;
import dev.weir.agent.fairness.Home;
import dev.weir.agent.fairness.Lanes;
import dev.weir.agent.fairness.PodAccount;
import dev.weir.agent.log.Log;
import dev.weir.agent.telemetry.Refusal;
import dev.weir.agent.telemetry.Refusals;
import dev.weir.agent.transport.PodPort;
import dev.weir.agent.transport.PodSupply;
import dev.weir.agent.tunnel.PodTunnels;
import dev.weir.agent.tunnel.Tunnels;
import io.netty.util.concurrent.Future;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * What serves one enrolled pod: its listeners, its sockets to connect with, and its connections.
 */
final class PodRelays {
  private final PodSupply supply;
  private final PodTunnels tunnels;
  private final Fairness fairness;
  private final Refusals refusals;
  private final PodAccount account;
  private final Home home;
  private final Log log;
  private final Set<Relay> live = ConcurrentHashMap.newKeySet();
  // Deliveries share the pod's namespace with what clients sent themselves: a delivery from a port
  // that the same client calls from is the same connection to the kernel, and one of the two never
  // stands (seen, once some hundred were open). Clients call from 32768 up (ip_local_port_range),
  // so deliveries come from below; where that is set to begin lower, Linux calls from ports as even
  // or odd as the first of them, which nearly always is even (__inet_hash_connect).
  private static final int FIRST_PORT = 1024;
  private static final int PORTS = (32768 - FIRST_PORT) / 2;

  private final AtomicInteger dialling = new AtomicInteger();

  // Not where the agent before this one began: what it still delivers may be there.
  private final AtomicInteger delivered =
      new AtomicInteger(ThreadLocalRandom.current().nextInt(PORTS));
  private volatile boolean deleted;
  private volatile Pod pod;
  private volatile List<PodPort> listeners = List.of();

  PodRelays(
      Pod pod,
      PodSupply supply,
      Tunnels tunnels,
      Fairness fairness,
      Lanes lanes,
      Refusals refusals,
      Log log) {
    this.pod = pod;
    this.supply = supply;
    this.fairness = fairness;
    this.refusals = refusals;
    this.account = fairness.open(this::pod, new Held());
    this.home = lanes.home(account);
    this.tunnels = tunnels.of(account, supply);
    this.log = log;
  }

  /** What the pod's connections hold; those between two pods are the caller's. */
  private final class Held implements PodAccount.Buffers {
    @Override
    public long shared() {
      return tunnels.buffered();
    }

    @Override
    public void forEach(Consumer<Holder> visitor) {
      for (Relay relay : live) {
        if (relay.beganIn(PodRelays.this)) {
          visitor.accept(relay);
        }
      }
    }
  }

  PodAccount account() {
    return account;
  }

  /** Where its connections live. */
  Home home() {
    return home;
  }

  /** A connection of the pod had to go, or could not come. */
  void shed(Refusal reason) {
    refusals.count(pod, reason);
  }

  Pod pod() {
    return pod;
  }

  void changed(Pod now) {
    pod = now;
  }

  PodSupply supply() {
    return supply;
  }

  PodTunnels tunnels() {
    return tunnels;
  }

  Log log() {
    return log;
  }

  void listeners(List<PodPort> now) {
    listeners = now;
  }

  List<PodPort> listeners() {
    return listeners;
  }

  void began(Relay relay) {
    live.add(relay);
    if (relay.beganIn(this)) {
      account.connectionCarriedOn();
    }
    if (deleted) {
      // Its server answered while the pod was going.
      relay.abortLater();
    }
  }

  void ended(Relay relay) {
    if (live.remove(relay) && relay.beganIn(this)) {
      account.connectionEnded();
    }
  }

  void forEachLive(Consumer<Relay> visitor) {
    live.forEach(visitor);
  }

  /**
   * The port to deliver the next connection from; one after the other, so each rests longest.
   *
   * @param even one that is not the first choice
   */
  int nextPort(boolean even) {
    int turn = Math.floorMod(delivered.getAndIncrement(), PORTS);
    return FIRST_PORT + 2 * turn + (even ? 0 : 1);
  }

  /**
   * A connection is accepted and its server sought.
   *
   * @return why the pod may not have it; it has begun all the same
   */
  @Nullable Refusal dialBegan() {
    dialling.incrementAndGet();
    return account.connectionBegan();
  }

  /** It has become a relay, or nothing. */
  void dialEnded() {
    dialling.decrementAndGet();
    account.connectionEnded();
  }

  /** Of what is open, that which came in here: a connection between two pods counts once. */
  int acceptedCount() {
    int count = dialling.get();
    for (Relay relay : live) {
      if (relay.beganIn(this)) {
        count++;
      }
    }
    return count;
  }

  int liveCount() {
    return live.size() + dialling.get();
  }

  /** Resets every connection, each on its own loop, and those that are only being made. */
  void abortAll() {
    deleted = true;
    live.forEach(Relay::abortLater);
    tunnels.abort();
    fairness.close(account);
  }

  /**
   * What the listeners have accepted has been handed on when their closing has ended. Tunnels end
   * after their last stream.
   */
  List<Future<?>> stopListening() {
    tunnels.drain();
    List<Future<?>> closing = new ArrayList<>();
    listeners.forEach(port -> closing.add(port.close()));
    return closing;
  }
}
