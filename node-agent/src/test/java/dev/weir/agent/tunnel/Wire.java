package dev.weir.agent.tunnel;

import static org.assertj.core.api.Assertions.assertThat;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.netty.buffer.UnpooledByteBufAllocator;
import io.netty.channel.embedded.EmbeddedChannel;
import io.netty.handler.codec.http2.DefaultHttp2Headers;
import io.netty.handler.codec.http2.DefaultHttp2HeadersDecoder;
import io.netty.handler.codec.http2.DefaultHttp2HeadersEncoder;
import io.netty.handler.codec.http2.Http2Exception;
import io.netty.handler.codec.http2.Http2Headers;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;

/** A session on an embedded channel, and its peer by hand, frame by frame. */
final class Wire implements AnyOwner {
  /** A frame that the session wrote. */
  record Sent(int type, int flags, int stream, byte[] payload) {
    int number() {
      return Unpooled.wrappedBuffer(payload).readInt();
    }

    /** The error code of RST_STREAM or GOAWAY. */
    ErrorCode code() {
      ByteBuf bytes = Unpooled.wrappedBuffer(payload);
      return ErrorCode.of(bytes.getInt(type == Frame.GOAWAY ? 4 : 0));
    }

    boolean ends() {
      return (flags & Frame.END_STREAM) != 0;
    }
  }

  static final HboneRequest REQUEST =
      new HboneRequest(
          new Authority("10.0.1.5", null, 8080), Baggage.NONE, null, TraceParent.fresh(), null);

  private static final List<Wire> OPEN = new ArrayList<>();

  final TunnelSession session;
  final EmbeddedChannel channel;
  private final UnpooledByteBufAllocator allocator = new UnpooledByteBufAllocator(false, true);
  final List<Recording> streams = new ArrayList<>();
  final List<Abuse> abuses = new ArrayList<>();
  final List<String> told = new ArrayList<>();
  private final DefaultHttp2HeadersEncoder encoder = new DefaultHttp2HeadersEncoder();
  private final DefaultHttp2HeadersDecoder decoder = new DefaultHttp2HeadersDecoder(false);
  private final ByteBuf output = Unpooled.buffer();
  boolean answers = true;
  boolean consumes = true;
  Consumer<Recording> onOpened = ignored -> {};

  private Wire(boolean client, TunnelLimits limits) {
    GrowthRoom growth = new GrowthRoom(8 << 20);
    session =
        client
            ? TunnelSession.client(limits, growth, this)
            : TunnelSession.server(limits, growth, this);
    channel = new EmbeddedChannel();
    channel.config().setAllocator(allocator);
    channel.freezeTime();
    OPEN.add(this);
    channel.pipeline().addLast(new ChannelLine(session));
  }

  /** A server whose peer has greeted; what it said so far is read. */
  static Wire server(TunnelLimits limits) {
    Wire wire = new Wire(false, limits);
    wire.send(Unpooled.copiedBuffer("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", StandardCharsets.US_ASCII));
    return wire.greet();
  }

  /** The same, whose peer has not heard what it may do. */
  static Wire unacknowledged(TunnelLimits limits) {
    Wire wire = new Wire(false, limits);
    wire.send(Unpooled.copiedBuffer("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", StandardCharsets.US_ASCII));
    wire.send(frame(Frame.SETTINGS, 0, 0));
    wire.sent();
    return wire;
  }

  static Wire server() {
    return server(TunnelLimits.server());
  }

  static Wire client(TunnelLimits limits) {
    return new Wire(true, limits).greet();
  }

  static Wire client() {
    return client(TunnelLimits.client());
  }

  static Wire fresh(boolean client) {
    return new Wire(client, client ? TunnelLimits.client() : TunnelLimits.server());
  }

  private Wire greet() {
    send(frame(Frame.SETTINGS, 0, 0));
    send(frame(Frame.SETTINGS, Frame.ACK, 0));
    sent();
    return this;
  }

  static ByteBuf frame(int type, int flags, int stream, int... bytes) {
    ByteBuf frame = Unpooled.buffer();
    Frame.head(frame, bytes.length, type, flags, stream);
    for (int b : bytes) {
      frame.writeByte(b);
    }
    return frame;
  }

  static ByteBuf data(int stream, int length, boolean ends) {
    return Frame.head(Unpooled.buffer(), length, Frame.DATA, ends ? Frame.END_STREAM : 0, stream)
        .writeZero(length);
  }

  static ByteBuf ping(long opaque, boolean acknowledges) {
    ByteBuf frame = Unpooled.buffer();
    Frame.ping(frame, opaque, acknowledges);
    return frame;
  }

  static ByteBuf goAway(int last, ErrorCode code, String cause) {
    ByteBuf frame = Unpooled.buffer();
    Frame.goAway(frame, last, code, cause);
    return frame;
  }

  static ByteBuf window(int stream, int increment) {
    ByteBuf frame = Unpooled.buffer();
    Frame.windowUpdate(frame, stream, increment);
    return frame;
  }

  static ByteBuf setting(int id, long value) {
    return Frame.head(Unpooled.buffer(), 6, Frame.SETTINGS, 0, 0)
        .writeShort(id)
        .writeInt((int) value);
  }

  /** What we write for a request, as Netty reads it. */
  static Http2Headers headersOf(HboneRequest request) {
    ByteBuf block = Unpooled.buffer();
    new HeaderWriter().request(block, request);
    try {
      return new DefaultHttp2HeadersDecoder(false).decodeHeaders(1, block);
    } catch (Http2Exception e) {
      throw new AssertionError(e);
    }
  }

  ByteBuf headers(int stream, Http2Headers headers, boolean ends) {
    ByteBuf block = Unpooled.buffer();
    try {
      encoder.encodeHeaders(stream, headers, block);
    } catch (Http2Exception e) {
      throw new AssertionError(e);
    }
    ByteBuf frame =
        Frame.head(
                Unpooled.buffer(),
                block.readableBytes(),
                Frame.HEADERS,
                Frame.END_HEADERS | (ends ? Frame.END_STREAM : 0),
                stream)
            .writeBytes(block);
    block.release();
    return frame;
  }

  ByteBuf connect(int stream) {
    return headers(stream, headersOf(REQUEST), false);
  }

  ByteBuf status(int stream, int status, boolean ends) {
    return headers(stream, new DefaultHttp2Headers().status(Integer.toString(status)), ends);
  }

  /** Hands bytes to the session; the wire owns them. */
  void send(ByteBuf bytes) {
    ByteBuf own = allocator.buffer(bytes.readableBytes()).writeBytes(bytes);
    bytes.release();
    channel.writeInbound(own);
    turn();
  }

  /** Ends all that a test began, and looks whether every byte was given back. */
  static void closeAll() {
    for (Wire wire : OPEN) {
      wire.channel.close();
      wire.sent();
      wire.output.release();
      wire.encoder.close();
      wire.streams.forEach(events -> events.received.release());
      assertThat(
              wire.allocator.metric().usedHeapMemory() + wire.allocator.metric().usedDirectMemory())
          .as("bytes that nobody gave back")
          .isZero();
    }
    OPEN.clear();
  }

  void turn() {
    channel.runPendingTasks();
  }

  /** What the session wrote since the last time. */
  List<Sent> sent() {
    turn();
    for (ByteBuf part = channel.readOutbound(); part != null; part = channel.readOutbound()) {
      output.writeBytes(part);
      part.release();
    }
    if (output.readableBytes() >= 24 && output.getByte(output.readerIndex()) == 'P') {
      output.skipBytes(24);
    }
    List<Sent> frames = new ArrayList<>();
    while (output.readableBytes() >= Frame.HEAD) {
      int length = output.readMedium();
      int type = output.readByte();
      int flags = output.readByte();
      int stream = output.readInt();
      byte[] payload = new byte[length];
      output.readBytes(payload);
      frames.add(new Sent(type, flags, stream, payload));
    }
    assertThat(output.readableBytes()).as("bytes after the last frame").isZero();
    return frames;
  }

  List<Sent> sent(int type) {
    return sent().stream().filter(frame -> frame.type() == type).toList();
  }

  Http2Headers decode(Sent frame) {
    try {
      return decoder.decodeHeaders(frame.stream(), Unpooled.wrappedBuffer(frame.payload()));
    } catch (Http2Exception e) {
      throw new AssertionError(e);
    }
  }

  Sent only(int type) {
    List<Sent> frames = sent(type);
    assertThat(frames).hasSize(1);
    return frames.getFirst();
  }

  /** A tunnel that stands, from either side. */
  Recording tunnel() {
    Recording events;
    if (session.isClient()) {
      events = new Recording();
      events.consumes = consumes;
      events.stream = session.open(REQUEST, events);
      streams.add(events);
      send(status(events.stream().id(), 200, false));
    } else {
      send(connect(streams.size() * 2 + 1));
      events = streams.getLast();
    }
    sent();
    return events;
  }

  void write(Recording events, int bytes) {
    events.stream().write(channel.alloc().buffer(bytes).writeZero(bytes));
  }

  /** Writes bytes that stand behind others in their buffer. */
  void writeAfter(Recording events, int before, byte[] bytes) {
    events.stream()
        .write(
            channel
                .alloc()
                .buffer(before + bytes.length)
                .writeZero(before)
                .writeBytes(bytes)
                .skipBytes(before));
  }

  void expectGoAway(ErrorCode code) {
    Sent goAway = sent(Frame.GOAWAY).getLast();
    assertThat(goAway.code()).isEqualTo(code);
    assertThat(channel.isOpen()).isFalse();
    assertThat(told.getLast()).startsWith("closed " + code);
    assertThat(session.open()).isZero();
  }

  @Override
  public void ready(TunnelSession ready) {
    told.add("ready");
  }

  @Override
  public TunnelStream.Events opened(TunnelStream stream, HboneRequest request) {
    Recording events = new Recording();
    events.consumes = consumes;
    events.stream = stream;
    streams.add(events);
    if (answers) {
      stream.respond(200, Baggage.NONE);
    }
    onOpened.accept(events);
    return events;
  }

  @Override
  public void refused(int status, String cause) {
    told.add("refused " + status);
  }

  @Override
  public void draining(String cause) {
    told.add("draining " + cause);
  }

  @Override
  public void abused(Abuse abuse) {
    abuses.add(abuse);
  }

  @Override
  public void closed(ErrorCode code, String cause) {
    told.add("closed " + code + ": " + cause);
  }
}
