package dev.weir.lab;

import java.io.ByteArrayOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.util.Optional;

/**
 * One call of {@code grpc.health.v1.Health/Check} over HTTP/2 without TLS (RFC 9113), written out
 * by hand: it is one request whose header block needs no table, and an answer of which only the
 * DATA frame matters. A gRPC client would cost the daemon 10 MB.
 */
final class GrpcHealth {
  private static final int DATA = 0;
  private static final int HEADERS = 1;
  private static final int RST_STREAM = 3;
  private static final int SETTINGS = 4;
  private static final int PING = 6;
  private static final int GOAWAY = 7;

  private static final int END_STREAM = 1;
  private static final int ACK = 1;
  private static final int END_HEADERS = 4;
  private static final int PADDED = 8;

  /** SETTINGS_MAX_FRAME_SIZE that holds until we offer more (RFC 9113 §6.5.2). */
  private static final int MAX_FRAME = 16384;

  private GrpcHealth() {}

  static Optional<String> check(InputStream in, OutputStream out, String authority, String service)
      throws IOException {
    ByteArrayOutputStream hello = new ByteArrayOutputStream();
    hello.writeBytes("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".getBytes(StandardCharsets.US_ASCII));
    hello.writeBytes(frame(SETTINGS, 0, 0, new byte[0]));
    hello.writeBytes(frame(HEADERS, END_HEADERS, 1, headers(authority)));
    hello.writeBytes(frame(DATA, END_STREAM, 1, request(service)));
    out.write(hello.toByteArray());
    out.flush();
    ByteArrayOutputStream message = new ByteArrayOutputStream();
    while (true) {
      byte[] head = exactly(in, 9);
      int length = ((head[0] & 0xff) << 16) | ((head[1] & 0xff) << 8) | (head[2] & 0xff);
      if (length > MAX_FRAME) {
        return Optional.of(
            "gRPC: a frame of " + length + " bytes (expected: at most " + MAX_FRAME + ")");
      }
      byte[] payload = exactly(in, length);
      int flags = head[4];
      switch (head[3]) {
        case SETTINGS -> answer(out, flags, SETTINGS, new byte[0]);
        case PING -> answer(out, flags, PING, payload);
        case RST_STREAM, GOAWAY -> {
          return Optional.of("gRPC: the server refused the call");
        }
        case DATA -> {
          int padding = (flags & PADDED) == 0 ? 0 : payload[0] & 0xff;
          int start = (flags & PADDED) == 0 ? 0 : 1;
          if (start + padding > length) {
            return Optional.of("gRPC: padding longer than its frame");
          }
          message.write(payload, start, length - start - padding);
        }
        default -> {
          // HEADERS come before and after the message; others do not matter to one call.
        }
      }
      boolean over = (head[3] == DATA || head[3] == HEADERS) && (flags & END_STREAM) != 0;
      if (over || message.size() >= 5 + 2) {
        return status(message.toByteArray());
      }
    }
  }

  /** HealthCheckResponse {status = 1}; SERVING = 1. */
  private static Optional<String> status(byte[] message) {
    if (message.length < 5) {
      return Optional.of("gRPC: no health answer (does the server implement grpc.health.v1?)");
    }
    boolean serving = message.length >= 7 && message[5] == 0x08 && message[6] == 1;
    return serving ? Optional.empty() : Optional.of("gRPC: status is not SERVING");
  }

  private static void answer(OutputStream out, int flags, int type, byte[] payload)
      throws IOException {
    if ((flags & ACK) == 0) {
      out.write(frame(type, ACK, 0, payload));
      out.flush();
    }
  }

  /** Literal fields without indexing (RFC 7541 §6.2.2), names and values as they are. */
  private static byte[] headers(String authority) {
    ByteArrayOutputStream block = new ByteArrayOutputStream();
    field(block, ":method", "POST");
    field(block, ":scheme", "http");
    field(block, ":path", "/grpc.health.v1.Health/Check");
    field(block, ":authority", authority);
    field(block, "content-type", "application/grpc");
    field(block, "te", "trailers");
    return block.toByteArray();
  }

  private static void field(ByteArrayOutputStream block, String name, String value) {
    block.write(0);
    for (String text : new String[] {name, value}) {
      byte[] bytes = text.getBytes(StandardCharsets.US_ASCII);
      // One byte holds lengths up to 126 (RFC 7541 §5.1); nothing here is longer.
      block.write(bytes.length);
      block.writeBytes(bytes);
    }
  }

  /** A length-prefixed HealthCheckRequest {service = 1}. */
  private static byte[] request(String service) {
    byte[] name = service.getBytes(StandardCharsets.UTF_8);
    ByteArrayOutputStream message = new ByteArrayOutputStream();
    if (name.length > 0) {
      message.write(0x0a);
      for (int rest = name.length; ; rest >>>= 7) {
        if (rest < 0x80) {
          message.write(rest);
          break;
        }
        message.write((rest & 0x7f) | 0x80);
      }
      message.writeBytes(name);
    }
    int size = message.size();
    ByteArrayOutputStream framed = new ByteArrayOutputStream();
    framed.writeBytes(
        new byte[] {0, (byte) (size >> 24), (byte) (size >> 16), (byte) (size >> 8), (byte) size});
    framed.writeBytes(message.toByteArray());
    return framed.toByteArray();
  }

  private static byte[] frame(int type, int flags, int stream, byte[] payload) {
    byte[] frame = new byte[9 + payload.length];
    frame[0] = (byte) (payload.length >> 16);
    frame[1] = (byte) (payload.length >> 8);
    frame[2] = (byte) payload.length;
    frame[3] = (byte) type;
    frame[4] = (byte) flags;
    frame[8] = (byte) stream;
    System.arraycopy(payload, 0, frame, 9, payload.length);
    return frame;
  }

  private static byte[] exactly(InputStream in, int length) throws IOException {
    byte[] bytes = in.readNBytes(length);
    if (bytes.length < length) {
      throw new EOFException("gRPC: the server closed the connection");
    }
    return bytes;
  }
}
