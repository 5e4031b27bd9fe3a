package dev.weir.agent.admin;

import static org.assertj.core.api.Assertions.assertThat;

import dev.weir.agent.log.Level;
import dev.weir.agent.log.Logs;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.InstantSource;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(60)
class HttpServerTest {
  private static final byte[] QUESTION =
      "GET / HTTP/1.1\r\nhost: weir\r\nconnection: close\r\n\r\n"
          .getBytes(StandardCharsets.US_ASCII);

  @TempDir Path folder;

  @Test
  void whoLeavesItsPortsWhileACallerGoesStillAnswersOnItsSocket() throws Exception {
    Logs logs = new Logs(System.err, InstantSource.system(), Level.WARN);
    try (HttpServer server = new HttpServer("admin-of-test", logs.room("admin"), () -> {})) {
      InetSocketAddress port =
          (InetSocketAddress)
              server.listen(
                  new InetSocketAddress(InetAddress.getLoopbackAddress(), 0),
                  _ -> {
                    // So the connection that is answered is closed in the very round in which
                    // ports are left.
                    server.leavePorts();
                    return HttpResponse.text(200, "by port");
                  });
      Path file = folder.resolve("admin.sock");
      server.listen(file, _ -> HttpResponse.text(200, "by socket"));
      server.start();
      assertThat(askPort(port)).endsWith("by port\n");
      assertThat(askSocket(file)).endsWith("by socket\n");
    }
  }

  private static String askPort(InetSocketAddress port) throws IOException {
    try (Socket socket = new Socket(port.getAddress(), port.getPort())) {
      socket.getOutputStream().write(QUESTION);
      return new String(socket.getInputStream().readAllBytes(), StandardCharsets.US_ASCII);
    }
  }

  private static String askSocket(Path file) throws IOException {
    try (SocketChannel channel = SocketChannel.open(StandardProtocolFamily.UNIX)) {
      channel.connect(UnixDomainSocketAddress.of(file));
      channel.write(ByteBuffer.wrap(QUESTION));
      return new String(Channels.newInputStream(channel).readAllBytes(), StandardCharsets.US_ASCII);
    }
  }
}
