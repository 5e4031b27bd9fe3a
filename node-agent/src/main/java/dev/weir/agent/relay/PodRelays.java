package dev.weir.agent.relay;

import dev.weir.agent.capture.Pod;
import dev.weir.agent.log.Log;
import dev.weir.agent.transport.PodSupply;
import dev.weir.agent.tunnel.PodTunnels;
import dev.weir.agent.tunnel.Tunnels;
import io.netty.channel.ChannelFuture;
import io.netty.channel.socket.ServerSocketChannel;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Consumer;

/**
 * What serves one enrolled pod: its listeners, its sockets to connect with, and its connections.
 */
final class PodRelays {
  private final PodSupply supply;
  private final PodTunnels tunnels;
  private final Log log;
  private final Set<Relay> live = ConcurrentHashMap.newKeySet();
  // Deliveries share the pod's namespace with what clients sent themselves: a delivery from a port
  // that the same client calls from is the same connection to the kernel, and one of the two never
  // stands (seen, once some hundred were open). Clients call from 32768 up (ip_local_port_range),
  // so
  // deliveries come from below.
  private static final int FIRST_PORT = 1024;
  private static final int PORTS = 32768 - FIRST_PORT;

  private final AtomicInteger dialling = new AtomicInteger();
  private final AtomicInteger delivered = new AtomicInteger();
  private volatile boolean deleted;
  private volatile Pod pod;
  private volatile List<ServerSocketChannel> listeners = List.of();

  PodRelays(Pod pod, PodSupply supply, Tunnels tunnels, Log log) {
    this.pod = pod;
    this.supply = supply;
    this.tunnels = tunnels.of(this::pod, supply);
    this.log = log;
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

  void listeners(List<ServerSocketChannel> now) {
    listeners = now;
  }

  List<ServerSocketChannel> listeners() {
    return listeners;
  }

  void began(Relay relay) {
    live.add(relay);
    if (deleted) {
      // Its server answered while the pod was going.
      relay.abortLater();
    }
  }

  void ended(Relay relay) {
    live.remove(relay);
  }

  void forEachLive(Consumer<Relay> visitor) {
    live.forEach(visitor);
  }

  /** The port to deliver the next connection from; one after the other, so each rests longest. */
  int nextPort() {
    return FIRST_PORT + Math.floorMod(delivered.getAndIncrement(), PORTS);
  }

  /** A connection is accepted and its server sought. */
  void dialBegan() {
    dialling.incrementAndGet();
  }

  /** It has become a relay, or nothing. */
  void dialEnded() {
    dialling.decrementAndGet();
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
  }

  /**
   * What the listeners have accepted has been handed on when their closing has ended. Tunnels end
   * after their last stream.
   */
  List<ChannelFuture> stopListening() {
    tunnels.drain();
    return listeners.stream().map(ServerSocketChannel::close).toList();
  }
}
