package dev.weir.agent.dns;

import dev.weir.agent.capture.Pod;
import dev.weir.agent.config.Mesh;
import dev.weir.agent.log.Log;
import dev.weir.agent.metrics.Exposition;
import dev.weir.agent.metrics.MetricSource;
import dev.weir.agent.telemetry.Refusals;
import io.netty.channel.Channel;
import io.netty.channel.ChannelHandler;
import io.netty.channel.EventLoop;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.socket.DatagramChannel;
import io.netty.channel.socket.ServerSocketChannel;
import io.netty.util.NetUtil;
import io.netty.util.concurrent.Future;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** The door: DNS for every pod that is enrolled. */
public final class PodDns implements MetricSource {
  public static final int PORT = 15053;

  private static final InetAddress LOOPBACK_4 = InetAddress.ofLiteral("127.0.0.1");
  private static final InetAddress LOOPBACK_6 = InetAddress.ofLiteral("::1");
  private static final InetAddress ANY_4 = InetAddress.ofLiteral("0.0.0.0");
  private static final InetAddress ANY_6 = InetAddress.ofLiteral("::");

  private static final long COUNTED_WITHIN_MILLIS = 1_000;

  private final Mesh mesh;
  private final String domain;
  private final List<InetSocketAddress> upstreams;
  private final EventLoopGroup loops;
  private final Refusals refusals;
  private final Log log;
  private final DnsCounters counters = new DnsCounters();

  /**
   * {@code upstreams} as {@link Upstreams} reads them; with none, what the mesh does not know is
   * refused.
   */
  public PodDns(
      Mesh mesh,
      String domain,
      List<InetSocketAddress> upstreams,
      EventLoopGroup loops,
      Refusals refusals,
      Log log) {
    this.mesh = mesh;
    this.domain = domain;
    this.upstreams = List.copyOf(upstreams);
    this.loops = loops;
    this.refusals = refusals;
    this.log = log;
  }

  /** DNS of one pod, until closed. */
  public interface Serving extends AutoCloseable {
    /** What it listens on, as {@code udp 127.0.0.1:15053}. */
    List<String> listeners();

    /** Another agent serves the pod too: takes nothing new and answers what it has. Any thread. */
    void drain();

    /** Questions and connections that are open; waits for the event loop. */
    int liveCount();

    /** Any thread. */
    @Override
    void close();
  }

  /**
   * Serves a pod from now on: all listeners are bound when this returns, or none and it throws.
   * IPv6 is left out where the pod's namespace has none. May wait for the sockets: not for event
   * loops.
   */
  public Serving serve(Pod pod, DnsSockets sockets) {
    EventLoop loop = loops.next();
    List<Channel> channels = new ArrayList<>();
    List<Doors> doors = new ArrayList<>();
    try {
      Upstream upstream = new Upstream(loop, upstreams, sockets, counters);
      if (!upstreams.isEmpty()) {
        Channel asking = asking(loop, sockets, upstream);
        channels.add(asking);
        upstream.channel(asking);
      }
      PodResolver resolver = new PodResolver(pod, mesh, domain, upstream, refusals, counters);
      doors.add(listen(loop, sockets, LOOPBACK_4, resolver, channels));
      try {
        doors.add(listen(loop, sockets, LOOPBACK_6, resolver, channels));
      } catch (RuntimeException e) {
        // IPv6 switched off in the pod: nobody there can ask over it either.
        log.debug(
            "no DNS over IPv6 in the pod",
            "pod",
            pod.label(),
            "reason",
            String.valueOf(e.getMessage()));
      }
      return new Served(loop, sockets, channels, doors, upstream);
    } catch (RuntimeException e) {
      channels.forEach(PodDns::close);
      throw e;
    }
  }

  @Override
  public void write(Exposition out) {
    counters.write(out);
  }

  private Channel asking(EventLoop loop, DnsSockets sockets, Upstream upstream) {
    ChannelHandler handler = upstream.handler();
    boolean v6 =
        upstreams.stream().anyMatch(server -> server.getAddress().getAddress().length == 16);
    return sockets.datagram(loop, new InetSocketAddress(v6 ? ANY_6 : ANY_4, 0), handler);
  }

  /** Where one family's questions come in. */
  private record Doors(
      DatagramChannel udp, ServerSocketChannel tcp, TcpAnswers.Acceptor acceptor) {}

  private static Doors listen(
      EventLoop loop,
      DnsSockets sockets,
      InetAddress loopback,
      PodResolver resolver,
      List<Channel> channels) {
    InetSocketAddress address = new InetSocketAddress(loopback, PORT);
    DatagramChannel udp = sockets.datagram(loop, address, new UdpAnswers(resolver));
    channels.add(udp);
    TcpAnswers.Acceptor acceptor = new TcpAnswers.Acceptor(loop, resolver);
    ServerSocketChannel tcp = sockets.listen(loop, address, acceptor);
    channels.add(tcp);
    return new Doors(udp, tcp, acceptor);
  }

  private static String text(@Nullable InetSocketAddress bound) {
    return bound == null ? "closed" : NetUtil.toSocketAddressString(bound);
  }

  private static void close(@Nullable Channel channel) {
    if (channel != null) {
      var _ = channel.close();
    }
  }

  private record Served(
      EventLoop loop,
      DnsSockets sockets,
      List<Channel> channels,
      List<Doors> doors,
      Upstream upstream)
      implements Serving {
    @Override
    public List<String> listeners() {
      List<String> all = new ArrayList<>();
      for (Doors each : doors) {
        all.add("udp " + text(each.udp.localAddress()));
        all.add("tcp " + text(each.tcp.localAddress()));
      }
      return all;
    }

    @Override
    public void drain() {
      for (Doors each : doors) {
        sockets.stopTaking(each.udp);
        PodDns.close(each.tcp);
      }
    }

    @Override
    public int liveCount() {
      Future<Integer> counted =
          loop.submit(() -> {
            int count = upstream.inFlight();
            for (Doors each : doors) {
              count += each.acceptor.connections();
            }
            return count;
          });
      counted.awaitUninterruptibly(COUNTED_WITHIN_MILLIS);
      Integer count = counted.getNow();
      return count == null ? 1 : count;
    }

    @Override
    public void close() {
      channels.forEach(PodDns::close);
      upstream.close();
    }
  }
}
