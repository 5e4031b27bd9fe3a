package dev.weir.agent;

import dev.weir.agent.capture.Pod;
import dev.weir.agent.capture.PodListener;
import dev.weir.agent.dns.DnsSockets;
import dev.weir.agent.dns.PodDns;
import dev.weir.agent.transport.PodSockets;
import io.netty.channel.ChannelHandler;
import io.netty.channel.EventLoop;
import io.netty.channel.socket.DatagramChannel;
import io.netty.channel.socket.ServerSocketChannel;
import io.netty.channel.socket.SocketChannel;
import java.net.InetSocketAddress;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/** Gives each enrolled pod its DNS, on sockets of its own namespace. */
final class DnsOfPods implements PodListener {
  private final PodDns dns;
  private final PodSockets sockets;
  private final Map<Integer, PodDns.Serving> served = new ConcurrentHashMap<>();

  DnsOfPods(PodDns dns, PodSockets sockets) {
    this.dns = dns;
    this.sockets = sockets;
  }

  @Override
  public void enrolled(Pod pod) {
    served.put(pod.number(), dns.serve(pod, socketsOf(pod)));
  }

  @Override
  public void changed(Pod before, Pod now) {
    // Names are looked up by the pod's namespace, which does not change.
  }

  @Override
  public void withdrawn(Pod pod) {
    PodDns.Serving gone = served.remove(pod.number());
    if (gone != null) {
      gone.close();
    }
  }

  /** Another agent answers new questions; what was asked here is answered. */
  void drain() {
    served.values().forEach(each -> each.drain());
  }

  /** Questions and connections that are open. Waits for event loops. */
  int liveCount() {
    int count = 0;
    for (PodDns.Serving each : served.values()) {
      count += each.liveCount();
    }
    return count;
  }

  List<String> listeners(Pod pod) {
    PodDns.Serving serving = served.get(pod.number());
    return serving == null ? List.of() : serving.listeners();
  }

  private DnsSockets socketsOf(Pod pod) {
    return new DnsSockets() {
      @Override
      public DatagramChannel datagram(
          EventLoop loop, InetSocketAddress address, ChannelHandler handler) {
        return sockets.datagram(pod.netns(), loop, address, handler);
      }

      @Override
      public ServerSocketChannel listen(
          EventLoop loop, InetSocketAddress address, ChannelHandler handler) {
        return sockets.listen(pod.netns(), loop, address, handler);
      }

      @Override
      public void stopTaking(DatagramChannel socket) {
        PodSockets.stopTaking(socket);
      }

      @Override
      public void dial(EventLoop loop, Taker taker) {
        sockets.channel(
            pod.netns(),
            loop,
            new PodSockets.ChannelTaker() {
              @Override
              public void socket(SocketChannel channel) {
                taker.socket(channel);
              }

              @Override
              public void none(Throwable why) {
                taker.none(why);
              }
            });
      }
    };
  }
}
