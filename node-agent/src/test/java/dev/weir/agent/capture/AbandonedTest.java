package dev.weir.agent.capture;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.weir.agent.relay.Nft;
import dev.weir.agent.relay.TwoPods;
import dev.weir.ffi.Kernel;
import dev.weir.testing.NeedsRoot;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Real deliveries, of which one loses the agent's end unheard. */
@NeedsRoot
@Timeout(60)
final class AbandonedTest {
  private final Kernel kernel = Kernel.instance();

  @Test
  void whatLostItsAgentIsEndedAndAllElseGoesOn() throws IOException {
    try (TwoPods pods = new TwoPods("epoll");
        ServerSocketChannel first = pods.listen();
        SocketChannel _ = pods.connect();
        SocketChannel abandoned = first.accept();
        ServerSocketChannel second = pods.listen();
        SocketChannel client = pods.connect();
        SocketChannel server = second.accept()) {
      assertThat(Abandoned.end(kernel, pods.server)).isZero();
      int port = first.socket().getLocalPort();
      int lost =
          Nft.endUnheard(
              pods.server.netns(),
              socket ->
                  socket.remotePort() == port && pods.server.addresses().contains(socket.remote()));
      assertThat(lost).isEqualTo(1);
      assertThat(Abandoned.end(kernel, pods.server)).isEqualTo(1);
      assertThatThrownBy(() -> abandoned.read(ByteBuffer.allocate(1)))
          .isInstanceOf(IOException.class);
      assertThat(Abandoned.end(kernel, pods.server)).isZero();
      client.write(ByteBuffer.wrap("x".getBytes(StandardCharsets.US_ASCII)));
      assertThat(server.read(ByteBuffer.allocate(1))).isEqualTo(1);
    }
  }
}
