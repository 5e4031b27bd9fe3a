package dev.weir.shop;

import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * One HTTP/1.1 message, request or response, with a body of known length: all that the shop speaks
 * (RFC 9112).
 */
record Message(String startLine, Map<String, String> fields, String body) {
  private static final int MAX_LINE_BYTES = 8 * 1024;
  private static final int MAX_FIELDS = 64;
  private static final int MAX_BODY_BYTES = 1 << 20;

  static Message of(String startLine, String body) {
    return new Message(startLine, new LinkedHashMap<>(), body);
  }

  static Message response(int status, String body) {
    String reason =
        switch (status) {
          case 200 -> "OK";
          case 404 -> "Not Found";
          case 502 -> "Bad Gateway";
          case 503 -> "Service Unavailable";
          default -> "Error";
        };
    return of("HTTP/1.1 " + status + " " + reason, body);
  }

  /** The next message, or null where the peer closed in good order before one began. */
  static @Nullable Message read(InputStream in) throws IOException {
    String start = line(in);
    if (start == null) {
      return null;
    }
    Map<String, String> fields = new LinkedHashMap<>();
    while (true) {
      String field = line(in);
      if (field == null) {
        throw new EOFException("connection closed inside a message's head");
      }
      if (field.isEmpty()) {
        break;
      }
      int colon = field.indexOf(':');
      if (colon < 1 || fields.size() == MAX_FIELDS) {
        throw new IOException("not a header field I take: " + field);
      }
      fields.put(
          field.substring(0, colon).toLowerCase(Locale.ROOT), field.substring(colon + 1).strip());
    }
    int length;
    try {
      length = Integer.parseInt(fields.getOrDefault("content-length", "0"));
    } catch (NumberFormatException e) {
      throw new IOException(
          "content-length: " + fields.get("content-length") + " (expected: a number)", e);
    }
    if (length < 0 || length > MAX_BODY_BYTES || fields.containsKey("transfer-encoding")) {
      throw new IOException(
          "a body of " + length + " bytes (expected: at most " + MAX_BODY_BYTES + ", not chunked)");
    }
    byte[] body = in.readNBytes(length);
    if (body.length < length) {
      throw new EOFException(
          "connection closed after %d of %d body bytes".formatted(body.length, length));
    }
    return new Message(start, fields, new String(body, StandardCharsets.UTF_8));
  }

  private static @Nullable String line(InputStream in) throws IOException {
    StringBuilder line = new StringBuilder(64);
    for (int next = in.read(); next != '\n'; next = in.read()) {
      if (next < 0) {
        if (line.isEmpty()) {
          return null;
        }
        throw new EOFException("connection closed inside a line");
      }
      if (line.length() == MAX_LINE_BYTES) {
        throw new IOException("a line of more than " + MAX_LINE_BYTES + " bytes");
      }
      line.append((char) next);
    }
    if (!line.isEmpty() && line.charAt(line.length() - 1) == '\r') {
      line.setLength(line.length() - 1);
    }
    return line.toString();
  }

  /** In one write, so that head and body leave in one segment. */
  void write(OutputStream out) throws IOException {
    byte[] bytes = body.getBytes(StandardCharsets.UTF_8);
    StringBuilder head = new StringBuilder(128).append(startLine).append("\r\n");
    fields.forEach((name, value) -> head.append(name).append(": ").append(value).append("\r\n"));
    head.append("content-length: ").append(bytes.length).append("\r\n\r\n");
    byte[] start = head.toString().getBytes(StandardCharsets.ISO_8859_1);
    byte[] all = new byte[start.length + bytes.length];
    System.arraycopy(start, 0, all, 0, start.length);
    System.arraycopy(bytes, 0, all, start.length, bytes.length);
    out.write(all);
    out.flush();
  }

  int status() throws IOException {
    String[] words = startLine.split(" ", 3);
    if (words.length < 2 || !words[0].startsWith("HTTP/1.") || words[1].length() != 3) {
      throw new IOException("not an HTTP/1.1 response: " + startLine);
    }
    return Integer.parseInt(words[1]);
  }

  /** Of a request. */
  String path() {
    String[] words = startLine.split(" ", 3);
    return words.length == 3 ? words[1] : "";
  }

  boolean closes() {
    return "close".equalsIgnoreCase(fields.getOrDefault("connection", ""));
  }
}
