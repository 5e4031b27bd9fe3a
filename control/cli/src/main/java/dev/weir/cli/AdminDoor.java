package dev.weir.cli;

import dev.weir.api.json.Json;
import dev.weir.api.json.JsonException;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Locale;

/** An admin socket: HTTP/1.1 over a Unix socket, one request a connection. */
final class AdminDoor {
  private static final Duration PATIENCE = Duration.ofSeconds(3);
  private static final int MAX_ANSWER_BYTES = 64 << 20;

  private final Path socket;

  AdminDoor(Path socket) {
    this.socket = socket;
  }

  /** What the other side says at a path such as {@code /status}. */
  Json get(String path) {
    try {
      return Json.parse(exchange("GET " + path));
    } catch (JsonException e) {
      throw new CommandFailure(
          socket + path + ": not the JSON that was expected: " + e.getMessage());
    }
  }

  private String exchange(String request) {
    String question = request + " HTTP/1.1\r\nhost: weir\r\nconnection: close\r\n\r\n";
    try (SocketChannel channel = SocketChannel.open(StandardProtocolFamily.UNIX);
        Selector selector = Selector.open()) {
      channel.connect(UnixDomainSocketAddress.of(socket));
      ByteBuffer out = StandardCharsets.US_ASCII.encode(question);
      while (out.hasRemaining()) {
        channel.write(out);
      }
      channel.configureBlocking(false);
      channel.register(selector, SelectionKey.OP_READ);
      return body(read(channel, selector), request);
    } catch (IOException e) {
      throw new CommandFailure(socket + ": does not answer: " + e.getMessage());
    }
  }

  /** To the end of the stream, or of the answer where the other side keeps the connection. */
  private static byte[] read(SocketChannel channel, Selector selector) throws IOException {
    ByteArrayOutputStream all = new ByteArrayOutputStream();
    ByteBuffer in = ByteBuffer.allocate(16 * 1024);
    long deadline = System.nanoTime() + PATIENCE.toNanos();
    while (true) {
      long left = (deadline - System.nanoTime()) / 1_000_000;
      if (left <= 0) {
        throw new IOException("no whole answer within " + PATIENCE.toSeconds() + " s");
      }
      selector.select(left);
      selector.selectedKeys().clear();
      int count = channel.read(in.clear());
      if (count < 0) {
        return all.toByteArray();
      }
      all.write(in.array(), 0, count);
      if (all.size() > MAX_ANSWER_BYTES) {
        throw new IOException("an answer of more than " + MAX_ANSWER_BYTES + " bytes");
      }
    }
  }

  private static String body(byte[] answer, String request) throws IOException {
    String text = new String(answer, StandardCharsets.UTF_8);
    int end = text.indexOf("\r\n\r\n");
    if (end < 0 || !text.startsWith("HTTP/1.1 ")) {
      throw new IOException("not an HTTP answer to " + request);
    }
    String head = text.substring(0, end).toLowerCase(Locale.ROOT);
    if (!head.startsWith("http/1.1 200")) {
      throw new IOException(
          request + ": " + head.lines().findFirst().orElse("").substring("http/1.1 ".length()));
    }
    String body = text.substring(end + 4);
    return head.contains("transfer-encoding: chunked") ? joined(body) : body;
  }

  /** RFC 9112 7.1. Sizes count bytes, so the text becomes bytes again. */
  private static String joined(String chunked) throws IOException {
    byte[] bytes = chunked.getBytes(StandardCharsets.UTF_8);
    ByteArrayOutputStream whole = new ByteArrayOutputStream(bytes.length);
    int at = 0;
    while (true) {
      int line = at;
      while (line < bytes.length && bytes[line] != '\n') {
        line++;
      }
      int size;
      try {
        size =
            Integer.parseInt(
                new String(bytes, at, line - at, StandardCharsets.US_ASCII).strip(), 16);
      } catch (NumberFormatException e) {
        throw new IOException("a broken chunk in the answer", e);
      }
      if (size == 0) {
        return whole.toString(StandardCharsets.UTF_8);
      }
      if (size < 0 || line + 1 + size > bytes.length) {
        throw new IOException("an answer cut short");
      }
      whole.write(bytes, line + 1, size);
      at = line + 1 + size + 2;
    }
  }
}
