package dev.weir.agent.admin;

import dev.weir.api.json.Json;
import java.nio.charset.StandardCharsets;
import java.util.Iterator;
import java.util.List;

/**
 * An answer. A body of one piece has a length; of more, it is made piece by piece as the caller
 * takes it.
 */
record HttpResponse(int status, String contentType, Iterator<String> body) {
  private static final String PLAIN = "text/plain; charset=utf-8";
  private static final String JSON = "application/json";

  static HttpResponse text(int status, String body) {
    return whole(status, PLAIN, body.endsWith("\n") ? body : body + "\n");
  }

  static HttpResponse json(Json body) {
    return whole(200, JSON, body.toJson() + "\n");
  }

  /** No piece may be empty. */
  static HttpResponse json(Iterator<String> pieces) {
    return new HttpResponse(200, JSON, pieces);
  }

  /** Prometheus' text format 0.0.4. */
  static HttpResponse metrics(String body) {
    return whole(200, "text/plain; version=0.0.4; charset=utf-8", body);
  }

  private static HttpResponse whole(int status, String contentType, String body) {
    return new HttpResponse(status, contentType, List.of(body).iterator());
  }

  /** {@code bytes} below zero: not known. */
  byte[] head(int bytes, boolean chunked, boolean keepAlive) {
    return ("HTTP/1.1 "
            + status
            + ' '
            + reason()
            + "\r\ncontent-type: "
            + contentType
            + "\r\n"
            + (chunked
                ? "transfer-encoding: chunked\r\n"
                : bytes < 0 ? "" : "content-length: " + bytes + "\r\n")
            + "x-content-type-options: nosniff\r\ncache-control: no-store\r\n"
            + (keepAlive ? "" : "connection: close\r\n")
            + "\r\n")
        .getBytes(StandardCharsets.ISO_8859_1);
  }

  private String reason() {
    return switch (status) {
      case 200 -> "OK";
      case 202 -> "Accepted";
      case 400 -> "Bad Request";
      case 403 -> "Forbidden";
      case 404 -> "Not Found";
      case 405 -> "Method Not Allowed";
      case 413 -> "Content Too Large";
      case 431 -> "Request Header Fields Too Large";
      case 500 -> "Internal Server Error";
      case 501 -> "Not Implemented";
      case 503 -> "Service Unavailable";
      default -> "Status";
    };
  }
}
