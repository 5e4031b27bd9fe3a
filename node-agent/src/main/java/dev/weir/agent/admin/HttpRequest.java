package dev.weir.agent.admin;

import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * A request without a body that matters. {@code path} has no query; {@code query} is decoded;
 * {@code chunks}: HTTP/1.1.
 */
record HttpRequest(
    String method, String path, Map<String, String> query, boolean keepAlive, boolean chunks) {
  /** What a request may be in all, head and body; ours are a few hundred bytes. */
  static final int MAX_BYTES = 8192;

  /** What the bytes so far are. */
  sealed interface Parsed permits Whole, Unfinished, Refused {}

  /** {@code bytes} were used up, the body included. */
  record Whole(HttpRequest request, int bytes) implements Parsed {}

  record Unfinished() implements Parsed {}

  /** Not HTTP/1.x as we read it; the connection ends after the answer. */
  record Refused(int status, String why) implements Parsed {}

  static Parsed parse(byte[] buffer, int length) {
    int end = headEnd(buffer, length);
    if (end < 0) {
      return length >= MAX_BYTES
          ? new Refused(431, "request head is longer than 8192 bytes")
          : new Unfinished();
    }
    String head = new String(buffer, 0, end, StandardCharsets.ISO_8859_1);
    String[] lines = head.split("\r\n", -1);
    String[] start = lines[0].split(" ", -1);
    if (start.length != 3
        || start[0].isEmpty()
        || !start[1].startsWith("/")
        || !start[2].startsWith("HTTP/1.")) {
      return new Refused(400, "request line is not METHOD /path HTTP/1.x");
    }
    boolean keepAlive = start[2].equals("HTTP/1.1");
    long body = 0;
    boolean lengthSeen = false;
    for (int i = 1; i < lines.length; i++) {
      int colon = lines[i].indexOf(':');
      // RFC 9112 §5.1: no whitespace between name and colon; §5.2: no folded lines.
      if (colon <= 0 || lines[i].charAt(0) <= ' ' || lines[i].charAt(colon - 1) <= ' ') {
        return new Refused(400, "header line is not Name: value");
      }
      String name = lines[i].substring(0, colon).toLowerCase(Locale.ROOT);
      String value = lines[i].substring(colon + 1).strip();
      switch (name) {
        case "connection" -> {
          String word = value.toLowerCase(Locale.ROOT);
          keepAlive = keepAlive ? !word.contains("close") : word.contains("keep-alive");
        }
        // No message of ours has a use for a body in pieces, and two lengths are how requests are
        // smuggled.
        case "transfer-encoding" -> {
          return new Refused(501, "transfer-encoding is not taken");
        }
        case "content-length" -> {
          if (lengthSeen
              || value.isEmpty()
              || value.length() > 6
              || !value.chars().allMatch(c -> c >= '0' && c <= '9')) {
            return new Refused(400, "content-length is not one number");
          }
          lengthSeen = true;
          body = Long.parseLong(value);
        }
        default -> {}
      }
    }
    long whole = end + 4L + body;
    if (whole > MAX_BYTES) {
      return new Refused(413, "request is longer than 8192 bytes");
    }
    if (whole > length) {
      return new Unfinished();
    }
    int mark = start[1].indexOf('?');
    String path = mark < 0 ? start[1] : start[1].substring(0, mark);
    Map<String, String> query = mark < 0 ? Map.of() : query(start[1].substring(mark + 1));
    return new Whole(
        new HttpRequest(start[0], path, query, keepAlive, start[2].equals("HTTP/1.1")),
        (int) whole);
  }

  private static int headEnd(byte[] buffer, int length) {
    for (int i = 0; i + 3 < length; i++) {
      if (buffer[i] == '\r'
          && buffer[i + 1] == '\n'
          && buffer[i + 2] == '\r'
          && buffer[i + 3] == '\n') {
        return i;
      }
    }
    return -1;
  }

  private static Map<String, String> query(String text) {
    Map<String, String> query = new LinkedHashMap<>();
    for (String pair : text.split("&", -1)) {
      int equals = pair.indexOf('=');
      String name = decoded(equals < 0 ? pair : pair.substring(0, equals));
      String value = decoded(equals < 0 ? "" : pair.substring(equals + 1));
      if (name != null && value != null && !name.isEmpty()) {
        query.put(name, value);
      }
    }
    return query;
  }

  /** Null where a per cent sign is not followed by two digits. */
  private static @Nullable String decoded(String text) {
    StringBuilder out = new StringBuilder(text.length());
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      if (c == '+') {
        out.append(' ');
      } else if (c == '%') {
        int high = i + 2 < text.length() ? Character.digit(text.charAt(i + 1), 16) : -1;
        int low = i + 2 < text.length() ? Character.digit(text.charAt(i + 2), 16) : -1;
        if (high < 0 || low < 0) {
          return null;
        }
        out.append((char) (high << 4 | low));
        i += 2;
      } else {
        out.append(c);
      }
    }
    return out.toString();
  }
}
