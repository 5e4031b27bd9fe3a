package dev.weir.agent.dns;

import static org.assertj.core.api.Assertions.assertThat;

import dev.weir.agent.capture.Pod;
import dev.weir.agent.config.MeshView;
import dev.weir.agent.config.Meshes;
import dev.weir.agent.log.Level;
import dev.weir.agent.log.Log;
import dev.weir.agent.log.Logs;
import dev.weir.agent.transport.PodSockets;
import dev.weir.agent.transport.Transport;
import dev.weir.api.dns.Dns;
import dev.weir.api.dns.DnsAnswer;
import dev.weir.api.dns.DnsQuery;
import dev.weir.api.dns.DnsQuestion;
import dev.weir.api.dns.DnsRecord;
import dev.weir.api.dns.DnsReply;
import dev.weir.api.model.PodSettings;
import dev.weir.ffi.Fd;
import dev.weir.ffi.Kernel;
import dev.weir.testing.NeedsRoot;
import io.netty.channel.ChannelHandler;
import io.netty.channel.EventLoop;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.socket.DatagramChannel;
import io.netty.channel.socket.ServerSocketChannel;
import io.netty.channel.socket.SocketChannel;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.DatagramPacket;
import java.net.DatagramSocket;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.channels.Channels;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * The same DNS on the sockets that it has in a pod: those of another network namespace, on each
 * transport.
 */
@NeedsRoot
@Timeout(60)
class PodNetworkDnsTest {
  private final Kernel kernel = Kernel.instance();

  @ParameterizedTest
  @ValueSource(strings = {"epoll", "io_uring"})
  void aPodIsAnsweredOverBothFamiliesAndProtocolsAndItsServerIsAskedFromInside(String transportName)
      throws Exception {
    Transport transport = Transport.named(transportName);
    Log log = new Logs(System.err, InstantSource.system(), Level.INFO).room("test");
    EventLoopGroup loops =
        transport.loops(1, Thread.ofPlatform().daemon().name("loop-", 0).factory());
    try (Fd network = kernel.namespaces().newNetwork();
        FakeServer upstream = kernel.namespaces().inNetwork(network, FakeServer::new);
        PodSockets sockets = new PodSockets(transport, kernel.namespaces(), log).start()) {
      List<DnsRecord> many = new ArrayList<>();
      for (int i = 0; i < 100; i++) {
        many.add(
            new DnsRecord.Address("www.example.com", 5, InetAddress.ofLiteral("192.0.2." + i)));
      }
      upstream.answers(query -> DnsAnswer.of(many).encode(query, 512));
      upstream.answersTcp(query -> DnsAnswer.of(many).encode(query, Dns.MAX_TCP_BYTES));
      PodDns dns =
          new PodDns(
              Meshes.fixed(MeshView.of(List.of(Meshes.service("web", "10.96.0.7")), List.of())),
              "cluster.local",
              List.of(upstream.address()),
              loops,
              (_, _) -> {},
              log);
      Pod pod =
          new Pod(
              1,
              "uid",
              "shop",
              "front",
              "front",
              "id",
              1,
              network,
              kernel.namespaces().cookie(network),
              List.of(),
              PodSettings.DEFAULT);
      try (PodDns.Serving serving = dns.serve(pod, inPod(sockets, network))) {
        assertThat(serving.listeners())
            .containsExactly(
                "udp 127.0.0.1:15053", "tcp 127.0.0.1:15053", "udp [::1]:15053", "tcp [::1]:15053");
        for (String loopback : List.of("127.0.0.1", "::1")) {
          assertThat(DnsReply.parse(udp(network, loopback, "web.shop.svc.cluster.local")).answers())
              .hasSize(1);
          assertThat(DnsReply.parse(tcp(network, loopback, "web.shop.svc.cluster.local")).answers())
              .hasSize(1);
        }
        assertThat(DnsReply.parse(udp(network, "127.0.0.1", "www.example.com")).truncated())
            .isTrue();
        assertThat(DnsReply.parse(tcp(network, "127.0.0.1", "www.example.com")).answers())
            .hasSize(100);
      }
      // The ports are free again: the next agent, or the same pod opted in once more, binds them.
      dns.serve(pod, inPod(sockets, network)).close();
    } finally {
      loops.shutdownGracefully(0, 1, TimeUnit.SECONDS).awaitUninterruptibly(10, TimeUnit.SECONDS);
    }
  }

  private byte[] udp(Fd network, String loopback, String name) throws IOException {
    try (DatagramSocket client =
        kernel
            .namespaces()
            .inNetwork(
                network,
                () -> {
                  try {
                    return new DatagramSocket();
                  } catch (IOException e) {
                    throw new UncheckedIOException(e);
                  }
                })) {
      client.setSoTimeout(20_000);
      byte[] message = DnsQuery.encode(1, new DnsQuestion(name, Dns.A, Dns.CLASS_IN));
      client.send(
          new DatagramPacket(
              message, message.length, InetAddress.ofLiteral(loopback), PodDns.PORT));
      DatagramPacket packet = new DatagramPacket(new byte[5000], 5000);
      client.receive(packet);
      return Arrays.copyOf(packet.getData(), packet.getLength());
    }
  }

  private byte[] tcp(Fd network, String loopback, String name) throws IOException {
    try (java.nio.channels.SocketChannel client =
        kernel
            .namespaces()
            .inNetwork(
                network,
                () -> {
                  try {
                    return java.nio.channels.SocketChannel.open();
                  } catch (IOException e) {
                    throw new UncheckedIOException(e);
                  }
                })) {
      client.connect(new InetSocketAddress(InetAddress.ofLiteral(loopback), PodDns.PORT));
      byte[] message = DnsQuery.encode(1, new DnsQuestion(name, Dns.A, Dns.CLASS_IN));
      DataOutputStream out = new DataOutputStream(Channels.newOutputStream(client));
      out.writeShort(message.length);
      out.write(message);
      DataInputStream in = new DataInputStream(Channels.newInputStream(client));
      return in.readNBytes(in.readUnsignedShort());
    }
  }

  private static DnsSockets inPod(PodSockets sockets, Fd network) {
    return new DnsSockets() {
      @Override
      public DatagramChannel datagram(
          EventLoop loop, InetSocketAddress address, ChannelHandler handler) {
        return sockets.datagram(network, loop, address, handler);
      }

      @Override
      public ServerSocketChannel listen(
          EventLoop loop, InetSocketAddress address, ChannelHandler handler) {
        return sockets.listen(network, loop, address, handler);
      }

      @Override
      public void stopTaking(DatagramChannel socket) {
        PodSockets.stopTaking(socket);
      }

      @Override
      public void dial(EventLoop loop, Taker taker) {
        sockets.channel(
            network,
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
