package dev.weir.agent.capture;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.weir.agent.relay.TwoPods;
import dev.weir.api.model.ApplicationTunnel;
import dev.weir.ffi.Kernel;
import dev.weir.testing.NeedsRoot;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Counted by a real kernel, of real deliveries. */
@NeedsRoot
@Timeout(60)
final class PodCensusTest {
  private static PodCensus census(Pod pod) {
    Kernel kernel = Kernel.instance();
    return kernel
        .namespaces()
        .inNetwork(pod.netns(), () -> PodCensus.of(kernel.netlink().tcpSockets(), pod.addresses()));
  }

  @Test
  void aDeliveryHasOneEndOfTheAgentAndOneOfTheProgram() throws IOException {
    try (TwoPods pods = new TwoPods("epoll");
        ServerSocketChannel listener = pods.listen()) {
      try (SocketChannel client = pods.connect();
          SocketChannel server = listener.accept()) {
        assertThat(census(pods.server)).isEqualTo(new PodCensus(1, 1));
        assertThat(client.isConnected() && server.isConnected()).isTrue();
      }
      await().until(() -> census(pods.server).others() == 0);
    }
  }

  @Test
  void aProgramBehindAnApplicationTunnelIsOneToo() throws IOException {
    try (TwoPods pods = new TwoPods("epoll+tunnel");
        ServerSocketChannel listener =
            pods.listenAt(
                pods.server,
                new InetSocketAddress(InetAddress.ofLiteral("127.0.0.1"), 15088),
                50)) {
      pods.settings(pods.server, new ApplicationTunnel(15088));
      pods.ask(new InetSocketAddress(InetAddress.ofLiteral("10.9.0.2"), 8080));
      try (SocketChannel client = pods.connect();
          SocketChannel server = listener.accept()) {
        assertThat(client.isConnected()).isTrue();
        // The tunnel, and the delivery's own end.
        assertThat(census(pods.server)).isEqualTo(new PodCensus(2, 1));
        assertThat(server.isConnected()).isTrue();
      }
    }
  }
}
