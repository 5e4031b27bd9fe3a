package dev.weir.lab;

import dev.weir.api.json.Json;
import dev.weir.api.json.JsonException;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;

/**
 * A question to an agent's or the control plane's admin door on its Unix socket: one HTTP/1.0
 * request, one JSON answer.
 */
final class AdminDoor {
  private static final int MAX_ANSWER = 16 << 20;

  private AdminDoor() {}

  /** {@link Json.Nothing} where nobody answers. */
  static Json get(Path socket, String path) {
    try (SocketChannel channel = SocketChannel.open(StandardProtocolFamily.UNIX)) {
      channel.connect(UnixDomainSocketAddress.of(socket));
      ByteBuffer request =
          StandardCharsets.US_ASCII.encode(
              "GET " + path + " HTTP/1.0\r\nHost: localhost\r\nConnection: close\r\n\r\n");
      while (request.hasRemaining()) {
        channel.write(request);
      }
      String answer =
          new String(
              Channels.newInputStream(channel).readNBytes(MAX_ANSWER), StandardCharsets.UTF_8);
      int body = answer.indexOf("\r\n\r\n");
      return body < 0 ? Json.Nothing.NOTHING : Json.parse(answer.substring(body + 4));
    } catch (IOException | JsonException e) {
      Log.info(socket + path + ": " + e.getMessage());
      return Json.Nothing.NOTHING;
    }
  }
}
