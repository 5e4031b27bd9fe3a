package dev.weir.agent.relay;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.weir.agent.capture.Pod;
import dev.weir.agent.fairness.Limits;
import dev.weir.agent.fairness.PodUsage;
import dev.weir.agent.telemetry.Refusal;
import dev.weir.testing.NeedsRoot;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.StandardProtocolFamily;
import java.net.StandardSocketOptions;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Two pods on one agent, of which one wants too much. */
@NeedsRoot
@Timeout(60)
final class FairnessTest {
  private static final int MEBIBYTE = 1 << 20;

  private static PodUsage usage(TwoPods pods, Pod pod) {
    return pods.fairness.usage().stream()
        .filter(each -> each.name().equals(pod.name()))
        .findFirst()
        .orElseThrow();
  }

  /** From the other pod, to a listener in the first one. */
  private static void assertNeighbourIsServed(TwoPods pods) throws IOException {
    try (ServerSocketChannel listener = pods.listen(pods.client, "10.9.0.1", 5);
        SocketChannel caller = pods.unconnected(pods.server, StandardProtocolFamily.INET)) {
      caller.connect(new InetSocketAddress(InetAddress.ofLiteral("127.0.0.1"), 15001));
      try (SocketChannel answerer = listener.accept()) {
        caller.write(ByteBuffer.wrap(new byte[] {7}));
        ByteBuffer heard = ByteBuffer.allocate(1);
        assertThat(answerer.read(heard)).isEqualTo(1);
        assertThat(heard.get(0)).isEqualTo((byte) 7);
      }
    }
  }

  private static void close(List<SocketChannel> channels) throws IOException {
    for (SocketChannel each : channels) {
      each.close();
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"epoll", "io_uring"})
  void aFloodOfOnePodIsShedAndItsNeighbourIsNot(String way) throws IOException {
    Limits limits = new Limits(8, 100, 100, 64 * MEBIBYTE, 64 * MEBIBYTE);
    try (TwoPods pods = new TwoPods(way, limits);
        ServerSocketChannel listener = pods.listen()) {
      List<SocketChannel> open = new ArrayList<>();
      for (int i = 0; i < 8; i++) {
        open.add(pods.connect());
        open.add(listener.accept());
      }
      for (int i = 0; i < 20; i++) {
        pods.assertRefused();
      }
      await()
          .untilAsserted(
              () -> assertThat(pods.refused).containsEntry(Refusal.OVERLOAD_CONNECTIONS, 20));
      assertThat(usage(pods, pods.client).shed()).isEqualTo(20);
      assertNeighbourIsServed(pods);
      assertThat(usage(pods, pods.server).cpuNanos()).isPositive();
      close(open);
      await().untilAsserted(() -> assertThat(usage(pods, pods.client).connections()).isZero());
      try (ServerSocketChannel again = pods.listen();
          SocketChannel client = pods.connect();
          SocketChannel server = again.accept()) {
        assertThat(server.isConnected()).isTrue();
        assertThat(client.isConnected()).isTrue();
      }
    }
  }

  @Test
  void whoHoldsTooMuchLosesItAndItsNeighbourNothing() throws IOException {
    Limits limits = new Limits(1000, 1000, 100, MEBIBYTE, 64 * MEBIBYTE);
    try (TwoPods pods = new TwoPods("epoll", limits);
        ServerSocketChannel listener = pods.listen()) {
      pods.fairness.start();
      List<SocketChannel> open = new ArrayList<>();
      for (int i = 0; i < 40; i++) {
        SocketChannel client = pods.connect();
        open.add(client);
        SocketChannel server = listener.accept();
        open.add(server);
        // Else the kernel alone holds megabytes of each, and the machine's limit on that is soon
        // met.
        client.setOption(StandardSocketOptions.SO_SNDBUF, 16 * 1024);
        server.setOption(StandardSocketOptions.SO_RCVBUF, 4 * 1024);
        client.configureBlocking(false);
      }
      // Nobody reads at the other end, so what is written stays with the agent.
      await()
          .atMost(Duration.ofSeconds(20))
          .until(() -> {
            for (int i = 0; i < open.size(); i += 2) {
              writeAll(open.get(i));
            }
            return pods.refused.containsKey(Refusal.OVERLOAD_BUFFERS);
          });
      assertThat(pods.refused).doesNotContainKey(Refusal.OVERLOAD_MEMORY);
      assertNeighbourIsServed(pods);
      close(open);
    }
  }

  /** As much as the way takes; a connection that was cut takes nothing. */
  private static void writeAll(SocketChannel channel) {
    ByteBuffer block = ByteBuffer.allocate(64 * 1024);
    try {
      while (channel.write(block.clear()) > 0) {
        // More may fit.
      }
    } catch (IOException e) {
      assertThat(e).hasMessageMatching("(?i).*(reset|broken pipe|closed).*");
    }
  }

  @Test
  void handshakesBeyondTheRateAreRefusedByName() throws IOException {
    Limits limits = new Limits(1000, 1000, 1, 64 * MEBIBYTE, 64 * MEBIBYTE);
    try (TwoPods pods = new TwoPods("epoll+tunnel", limits)) {
      try (ServerSocketChannel listener = pods.listen()) {
        List<SocketChannel> open = new ArrayList<>();
        // Each loop where the pod is at home needs a tunnel of its own, and only one may be made.
        for (int i = 0; i < 4; i++) {
          open.add(pods.connect());
        }
        await()
            .untilAsserted(() -> assertThat(pods.refused).containsKey(Refusal.OVERLOAD_HANDSHAKES));
        open.add(listener.accept());
        assertThat(usage(pods, pods.client).streams()).isPositive();
        assertThat(usage(pods, pods.client).handshakes()).isEqualTo(1);
        close(open);
      }
      // Those that nobody accepted have ended with the listener.
      await()
          .untilAsserted(() -> {
            for (Pod pod : List.of(pods.client, pods.server)) {
              assertThat(usage(pods, pod).streams()).isZero();
              assertThat(usage(pods, pod).connections()).isZero();
            }
          });
    }
  }
}
