package dev.weir.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(30)
final class AdminDoorTest {
  @TempDir Path folder;

  @Test
  void anAnswerOfKnownLengthIsRead() throws IOException {
    try (ServerSocketChannel _ =
        answering("HTTP/1.1 200 OK\r\ncontent-length: 14\r\n\r\n{\"ready\":true}")) {
      assertThat(door().get("/status").get("ready").isTrue()).isTrue();
    }
  }

  @Test
  void anAnswerInChunksIsRead() throws IOException {
    try (ServerSocketChannel _ =
        answering(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n{\"who\":\"g\r\n7\r\nrün\"}\n\r\n0\r\n\r\n")) {
      assertThat(door().get("/status").get("who").text()).isEqualTo("grün");
    }
  }

  @Test
  void aRefusalIsSaidWithItsStatus() throws IOException {
    try (ServerSocketChannel _ = answering("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")) {
      assertThatThrownBy(() -> door().get("/nothing"))
          .isInstanceOf(CommandFailure.class)
          .hasMessageContaining("/nothing: 404 not found");
    }
  }

  @Test
  void anAnswerCutShortIsAnError() throws IOException {
    try (ServerSocketChannel _ =
        answering("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nff\r\n{\"a\":")) {
      assertThatThrownBy(() -> door().get("/status")).hasMessageContaining("cut short");
    }
  }

  @Test
  void noJsonIsSaid() throws IOException {
    try (ServerSocketChannel _ = answering("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello")) {
      assertThatThrownBy(() -> door().get("/status")).hasMessageContaining("not the JSON");
    }
  }

  @Test
  void aSocketThatNobodyHoldsIsSaidWithItsPath() {
    assertThatThrownBy(() -> door().get("/status"))
        .hasMessageContaining(socket().toString())
        .hasMessageContaining("does not answer");
  }

  private Path socket() {
    return folder.resolve("admin.sock");
  }

  private AdminDoor door() {
    return new AdminDoor(socket());
  }

  private ServerSocketChannel answering(String answer) throws IOException {
    ServerSocketChannel listener = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
    listener.bind(UnixDomainSocketAddress.of(socket()));
    Thread.ofPlatform()
        .daemon()
        .start(() -> {
          try (SocketChannel connection = listener.accept()) {
            connection.read(ByteBuffer.allocate(4096));
            connection.write(ByteBuffer.wrap(answer.getBytes(StandardCharsets.UTF_8)));
          } catch (IOException e) {
            throw new IllegalStateException(e);
          }
        });
    return listener;
  }
}
