package dev.weir.agent.relay;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.ByteBufUtil;
import io.netty.buffer.Unpooled;
import io.netty.channel.embedded.EmbeddedChannel;
import io.netty.handler.codec.http2.DefaultHttp2Headers;
import io.netty.handler.codec.http2.DefaultHttp2HeadersDecoder;
import io.netty.handler.codec.http2.DefaultHttp2HeadersEncoder;
import io.netty.handler.codec.http2.Http2Exception;
import io.netty.handler.codec.http2.Http2Headers;
import io.netty.handler.ssl.SslHandler;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.StandardProtocolFamily;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * The other end of a tunnel over a real socket, by hand: TLS as it should be, and then whatever a
 * test wants to say. It blocks.
 */
final class RawPeer implements AutoCloseable {
  static final int DATA = 0;
  static final int HEADERS = 1;
  static final int PRIORITY = 2;
  static final int RST_STREAM = 3;
  static final int SETTINGS = 4;
  static final int PING = 6;
  static final int GOAWAY = 7;
  static final int WINDOW_UPDATE = 8;
  static final int CONTINUATION = 9;
  static final int UNKNOWN = 0x5c;

  static final int END_STREAM = 1;
  static final int ACK = 1;
  static final int END_HEADERS = 4;

  private static final int HEAD = 9;
  private static final String PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

  private final SocketChannel socket;
  private final EmbeddedChannel tls;
  private final ByteBuffer input = ByteBuffer.allocate(64 * 1024);
  private final ByteBuf plain = Unpooled.buffer();
  private final DefaultHttp2HeadersEncoder encoder = new DefaultHttp2HeadersEncoder();
  private final DefaultHttp2HeadersDecoder decoder = new DefaultHttp2HeadersDecoder(false);
  private int nextStream = 1;

  record Received(int type, int flags, int stream, byte[] payload) {
    int number(int at) {
      return Unpooled.wrappedBuffer(payload).getInt(at);
    }

    String text() {
      return new String(payload, StandardCharsets.UTF_8);
    }
  }

  private RawPeer(SocketChannel socket, SslHandler handler) throws IOException {
    this.socket = socket;
    this.tls = new EmbeddedChannel(handler);
    flush();
    while (!handler.handshakeFuture().isDone()) {
      if (!read()) {
        throw new IOException("ended during the handshake");
      }
    }
    if (!handler.handshakeFuture().isSuccess()) {
      throw new IOException(handler.handshakeFuture().cause());
    }
  }

  /** As the client's pod, to the server's tunnel port; it has not said anything in HTTP/2. */
  static RawPeer calling(TwoPods pods) throws IOException {
    SocketChannel socket = pods.unconnected(pods.client, StandardProtocolFamily.INET);
    socket.connect(new InetSocketAddress(InetAddress.ofLiteral("10.9.0.2"), 15008));
    return new RawPeer(socket, pods.identities.strangerCalling(pods.client.identity()));
  }

  /** As the server's pod, on what a listener has accepted. */
  static RawPeer serving(TwoPods pods, SocketChannel accepted) throws IOException {
    return new RawPeer(accepted, pods.identities.strangerCalled(pods.server.identity()));
  }

  /** Begins HTTP/2 as the side that opens streams, or as the other one. */
  RawPeer greet(boolean client) throws IOException {
    if (client) {
      send(Unpooled.copiedBuffer(PREFACE, StandardCharsets.US_ASCII));
    }
    send(frame(SETTINGS, 0, 0));
    send(frame(SETTINGS, ACK, 0));
    if (!client) {
      while (plain.readableBytes() < PREFACE.length()) {
        if (!read()) {
          throw new IOException("ended before its preface");
        }
      }
      plain.skipBytes(PREFACE.length());
    }
    return this;
  }

  int nextStream() {
    int id = nextStream;
    nextStream += 2;
    return id;
  }

  static ByteBuf frame(int type, int flags, int stream, byte... payload) {
    return Unpooled.buffer(HEAD + payload.length)
        .writeMedium(payload.length)
        .writeByte(type)
        .writeByte(flags)
        .writeInt(stream)
        .writeBytes(payload);
  }

  static ByteBuf data(int stream, String text) {
    return frame(DATA, 0, stream, text.getBytes(StandardCharsets.UTF_8));
  }

  ByteBuf headers(int stream, Http2Headers headers) {
    ByteBuf block = Unpooled.buffer();
    try {
      encoder.encodeHeaders(stream, headers, block);
    } catch (Http2Exception e) {
      throw new AssertionError(e);
    }
    return frame(HEADERS, END_HEADERS, stream, ByteBufUtil.getBytes(block));
  }

  ByteBuf connect(int stream, String authority) {
    return headers(stream, new DefaultHttp2Headers(false).method("CONNECT").authority(authority));
  }

  Http2Headers decode(Received frame) {
    try {
      return decoder.decodeHeaders(frame.stream(), Unpooled.wrappedBuffer(frame.payload()));
    } catch (Http2Exception e) {
      throw new AssertionError(e);
    }
  }

  void send(ByteBuf... parts) throws IOException {
    tls.writeOutbound((Object[]) parts);
    flush();
  }

  private void flush() throws IOException {
    tls.runPendingTasks();
    for (ByteBuf part = tls.readOutbound(); part != null; part = tls.readOutbound()) {
      try {
        ByteBuffer bytes = part.nioBuffer();
        while (bytes.hasRemaining()) {
          socket.write(bytes);
        }
      } finally {
        part.release();
      }
    }
  }

  private boolean read() throws IOException {
    input.clear();
    if (socket.read(input) < 0) {
      return false;
    }
    tls.writeInbound(Unpooled.copiedBuffer(input.flip()));
    for (ByteBuf part = tls.readInbound(); part != null; part = tls.readInbound()) {
      plain.writeBytes(part);
      part.release();
    }
    flush();
    return true;
  }

  /** The next frame; null where the other side has ended the connection, by FIN or RST. */
  @Nullable Received next() {
    while (plain.readableBytes() < HEAD
        || plain.readableBytes() < HEAD + plain.getMedium(plain.readerIndex())) {
      try {
        if (!read()) {
          return null;
        }
      } catch (IOException e) {
        return null;
      }
    }
    byte[] payload = new byte[plain.readMedium()];
    int type = plain.readByte();
    int flags = plain.readByte();
    int stream = plain.readInt();
    plain.readBytes(payload);
    plain.discardReadBytes();
    return new Received(type, flags, stream, payload);
  }

  /** The next frame of any stream. */
  Received nextOfAStream() throws IOException {
    for (Received frame = next(); frame != null; frame = next()) {
      if (frame.stream() != 0 && frame.type() != WINDOW_UPDATE) {
        return frame;
      }
    }
    throw new IOException("the tunnel ended unanswered");
  }

  /** The next frame of a stream, among others. */
  private Received next(int stream) throws IOException {
    Received frame = nextOfAStream();
    while (frame.stream() != stream) {
      frame = nextOfAStream();
    }
    return frame;
  }

  /** The status of a stream's answer; 0 where it is reset instead. */
  int status(int stream) throws IOException {
    Received frame = next(stream);
    return frame.type() == HEADERS
        ? Integer.parseInt(Objects.requireNonNull(decode(frame).status()).toString())
        : 0;
  }

  /** Reads until the other side has ended it. The error code of its GOAWAY; -1 without. */
  int untilEnded() {
    int code = -1;
    for (Received frame = next(); frame != null; frame = next()) {
      if (frame.type() == GOAWAY) {
        code = frame.number(4);
      }
    }
    return code;
  }

  @Override
  public void close() throws IOException {
    try {
      tls.finishAndReleaseAll();
    } finally {
      socket.close();
      encoder.close();
      plain.release();
    }
  }
}
