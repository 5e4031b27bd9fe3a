package dev.weir.agent.tunnel;

import static org.assertj.core.api.Assertions.assertThat;

import io.netty.bootstrap.Bootstrap;
import io.netty.bootstrap.ServerBootstrap;
import io.netty.buffer.ByteBuf;
import io.netty.channel.Channel;
import io.netty.channel.ChannelHandler;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.channel.ChannelInitializer;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.MultiThreadIoEventLoopGroup;
import io.netty.channel.local.LocalAddress;
import io.netty.channel.local.LocalChannel;
import io.netty.channel.local.LocalIoHandler;
import io.netty.channel.local.LocalServerChannel;
import io.netty.handler.codec.http2.DefaultHttp2DataFrame;
import io.netty.handler.codec.http2.DefaultHttp2Headers;
import io.netty.handler.codec.http2.DefaultHttp2HeadersFrame;
import io.netty.handler.codec.http2.DefaultHttp2ResetFrame;
import io.netty.handler.codec.http2.Http2DataFrame;
import io.netty.handler.codec.http2.Http2Error;
import io.netty.handler.codec.http2.Http2FrameCodecBuilder;
import io.netty.handler.codec.http2.Http2HeadersFrame;
import io.netty.handler.codec.http2.Http2MultiplexHandler;
import io.netty.handler.codec.http2.Http2ResetFrame;
import io.netty.handler.codec.http2.Http2StreamChannel;
import io.netty.handler.codec.http2.Http2StreamChannelBootstrap;
import io.netty.util.ReferenceCountUtil;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.zip.CRC32;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** Against Netty's own HTTP/2, which shares nothing with ours but HPACK. */
class InteropTest {
  private static final int BYTES = 64 << 20;

  private final EventLoopGroup loops =
      new MultiThreadIoEventLoopGroup(2, LocalIoHandler.newFactory());
  private final LocalAddress address = new LocalAddress(InteropTest.class);

  /** What a sender and a receiver agree on. */
  private record Sum(long bytes, long crc) {}

  private static final class Counter {
    private final CRC32 crc = new CRC32();
    private long bytes;

    void add(ByteBuf piece) {
      bytes += piece.readableBytes();
      crc.update(piece.nioBuffer());
    }

    Sum sum() {
      return new Sum(bytes, crc.getValue());
    }
  }

  /** Makes bytes that no shift or swap would leave alike. */
  private static final class Source {
    private final Random random = new Random(7);
    private final byte[] block = new byte[100_000];
    private final Counter counter = new Counter();

    boolean done() {
      return counter.bytes >= BYTES;
    }

    ByteBuf next(Channel channel) {
      random.nextBytes(block);
      int n = (int) Math.min(random.nextInt(1, block.length), BYTES - counter.bytes);
      ByteBuf piece = channel.alloc().buffer(n).writeBytes(block, 0, n);
      counter.add(piece);
      return piece;
    }
  }

  /** Our end of an echo: credits what came only when what goes out has room. */
  private static final class Echo implements TunnelStream.Events {
    private final TunnelStream stream;
    private final CompletableFuture<Reset> reset;
    private int owed;

    Echo(TunnelStream stream, CompletableFuture<Reset> reset) {
      this.stream = stream;
      this.reset = reset;
    }

    @Override
    public void answered(int status, Baggage peer) {
      throw new AssertionError("an answer to nobody's question");
    }

    @Override
    public void data(ByteBuf bytes) {
      owed += bytes.readableBytes();
      stream.write(bytes);
      if (stream.isWritable()) {
        writable();
      }
    }

    @Override
    public void end() {
      stream.end();
    }

    @Override
    public void reset(Reset reason) {
      reset.complete(reason);
    }

    @Override
    public void writable() {
      int n = owed;
      owed = 0;
      stream.consumed(n);
    }
  }

  /** Our end that sends, ends, and reads what comes back. */
  private static final class Sender implements TunnelStream.Events {
    final CompletableFuture<Sum> received = new CompletableFuture<>();
    final CompletableFuture<Integer> status = new CompletableFuture<>();
    final CompletableFuture<Reset> reset = new CompletableFuture<>();
    final Source source = new Source();
    private final Counter counter = new Counter();
    private final Channel channel;
    private final boolean sends;
    @Nullable TunnelStream stream;

    Sender(Channel channel, boolean sends) {
      this.channel = channel;
      this.sends = sends;
    }

    private TunnelStream stream() {
      if (stream == null) {
        throw new AssertionError("not open");
      }
      return stream;
    }

    @Override
    public void answered(int answer, Baggage peer) {
      status.complete(answer);
      if (sends) {
        writable();
      }
    }

    @Override
    public void data(ByteBuf bytes) {
      int n = bytes.readableBytes();
      counter.add(bytes);
      bytes.release();
      stream().consumed(n);
    }

    @Override
    public void end() {
      received.complete(counter.sum());
    }

    @Override
    public void reset(Reset reason) {
      reset.complete(reason);
    }

    @Override
    public void writable() {
      while (!source.done() && stream().isWritable()) {
        stream().write(source.next(channel));
      }
      if (source.done()) {
        stream().end();
      }
    }
  }

  private static class Owner implements AnyOwner {
    final CompletableFuture<TunnelSession> ready = new CompletableFuture<>();
    final CompletableFuture<TunnelStream> opened = new CompletableFuture<>();
    final CompletableFuture<Reset> reset = new CompletableFuture<>();
    final CompletableFuture<String> closed = new CompletableFuture<>();

    @Override
    public void ready(TunnelSession session) {
      ready.complete(session);
    }

    @Override
    public TunnelStream.Events opened(TunnelStream stream, HboneRequest request) {
      stream.respond(200, Baggage.NONE);
      opened.complete(stream);
      return new Echo(stream, reset);
    }

    @Override
    public void refused(int status, String cause) {}

    @Override
    public void draining(String cause) {}

    @Override
    public void abused(Abuse abuse) {}

    @Override
    public void closed(ErrorCode code, String cause) {
      closed.complete(code + ": " + cause);
    }
  }

  /** Netty's end of an echo. */
  private static final class NettyEcho extends ChannelInboundHandlerAdapter {
    private final CompletableFuture<Channel> opened;
    private final CompletableFuture<Long> reset;

    NettyEcho(CompletableFuture<Channel> opened, CompletableFuture<Long> reset) {
      this.opened = opened;
      this.reset = reset;
    }

    @Override
    public void channelRead(ChannelHandlerContext context, Object message) {
      if (message instanceof Http2HeadersFrame) {
        context.writeAndFlush(
            new DefaultHttp2HeadersFrame(new DefaultHttp2Headers().status("200")));
        opened.complete(context.channel());
      } else if (message instanceof Http2DataFrame data) {
        context.writeAndFlush(new DefaultHttp2DataFrame(data.content(), data.isEndStream()));
      } else {
        ReferenceCountUtil.release(message);
      }
    }

    @Override
    public void channelWritabilityChanged(ChannelHandlerContext context) {
      context.channel().config().setAutoRead(context.channel().isWritable());
    }

    @Override
    public void userEventTriggered(ChannelHandlerContext context, Object event) {
      if (event instanceof Http2ResetFrame frame) {
        reset.complete(frame.errorCode());
      }
    }
  }

  /** Netty's end that sends, ends, and reads what comes back. */
  private static final class NettySender extends ChannelInboundHandlerAdapter {
    final CompletableFuture<Sum> received = new CompletableFuture<>();
    final CompletableFuture<Long> reset = new CompletableFuture<>();
    final Source source = new Source();
    private final Counter counter = new Counter();

    @Override
    public void channelRead(ChannelHandlerContext context, Object message) {
      if (message instanceof Http2HeadersFrame) {
        channelWritabilityChanged(context);
      } else if (message instanceof Http2DataFrame data) {
        counter.add(data.content());
        if (data.isEndStream()) {
          received.complete(counter.sum());
        }
      }
      ReferenceCountUtil.release(message);
    }

    @Override
    public void channelWritabilityChanged(ChannelHandlerContext context) {
      while (!source.done() && context.channel().isWritable()) {
        context.writeAndFlush(
            new DefaultHttp2DataFrame(source.next(context.channel()), source.done()));
      }
    }

    @Override
    public void userEventTriggered(ChannelHandlerContext context, Object event) {
      if (event instanceof Http2ResetFrame frame) {
        reset.complete(frame.errorCode());
      }
    }
  }

  @AfterEach
  void stop() throws Exception {
    loops.shutdownGracefully(0, 5, TimeUnit.SECONDS).get(10, TimeUnit.SECONDS);
  }

  private void serve(ChannelHandler... handlers) throws Exception {
    new ServerBootstrap()
        .group(loops)
        .channel(LocalServerChannel.class)
        .childHandler(adding(handlers))
        .bind(address)
        .get(10, TimeUnit.SECONDS);
  }

  private Channel dial(ChannelHandler... handlers) throws Exception {
    return new Bootstrap()
        .group(loops)
        .channel(LocalChannel.class)
        .handler(adding(handlers))
        .connect(address)
        .sync()
        .channel();
  }

  private static ChannelHandler adding(ChannelHandler... handlers) {
    return new ChannelInitializer<Channel>() {
      @Override
      protected void initChannel(Channel channel) {
        channel.pipeline().addLast(handlers);
      }
    };
  }

  private static <T> T soon(CompletableFuture<T> future) throws Exception {
    return future.get(60, TimeUnit.SECONDS);
  }

  @Test
  void nettyOpensTunnelsToUs() throws Exception {
    Owner owner = new Owner();
    serve(
        new ChannelLine(
            TunnelSession.server(TunnelLimits.server(), new GrowthRoom(8 << 20), owner)));
    Channel channel =
        dial(
            Http2FrameCodecBuilder.forClient().build(),
            new Http2MultiplexHandler(adding(new ChannelInboundHandlerAdapter())));
    NettySender sender = new NettySender();
    Http2StreamChannel tunnel = nettyTunnel(channel, sender);
    assertThat(soon(sender.received)).isEqualTo(sender.source.counter.sum());
    assertThat(soon(sender.received).bytes()).isEqualTo(BYTES);
    tunnel.closeFuture().get(10, TimeUnit.SECONDS);
    NettySender second = new NettySender();
    nettyTunnel(channel, second).writeAndFlush(new DefaultHttp2ResetFrame(Http2Error.CANCEL));
    assertThat(soon(owner.reset).code()).isEqualTo(ErrorCode.CANCEL);
    channel.close();
    assertThat(soon(owner.closed)).isEqualTo("NO_ERROR: drained");
  }

  private static Http2StreamChannel nettyTunnel(Channel channel, ChannelHandler handler)
      throws Exception {
    Http2StreamChannel tunnel =
        new Http2StreamChannelBootstrap(channel).handler(handler).open().get(10, TimeUnit.SECONDS);
    tunnel
        .writeAndFlush(new DefaultHttp2HeadersFrame(Wire.headersOf(Wire.REQUEST)))
        .get(10, TimeUnit.SECONDS);
    return tunnel;
  }

  @Test
  void weOpenTunnelsToNetty() throws Exception {
    CompletableFuture<Channel> opened = new CompletableFuture<>();
    CompletableFuture<Long> reset = new CompletableFuture<>();
    serve(
        Http2FrameCodecBuilder.forServer().build(),
        new Http2MultiplexHandler(
            new ChannelInitializer<Channel>() {
              @Override
              protected void initChannel(Channel channel) {
                channel.pipeline().addLast(new NettyEcho(opened, reset));
              }
            }));
    Owner owner = new Owner();
    Channel channel =
        dial(
            new ChannelLine(
                TunnelSession.client(TunnelLimits.client(), new GrowthRoom(8 << 20), owner)));
    soon(owner.ready);
    Sender sender = open(channel, owner, true);
    assertThat(soon(sender.received)).isEqualTo(sender.source.counter.sum());
    assertThat(soon(sender.received).bytes()).isEqualTo(BYTES);
    Sender second = open(channel, owner, false);
    assertThat(soon(second.status)).isEqualTo(200);
    channel.eventLoop().execute(() -> second.stream().reset(ErrorCode.CONNECT_ERROR));
    assertThat(soon(reset)).isEqualTo(ErrorCode.CONNECT_ERROR.number());
    channel.eventLoop().submit(() -> owner.ready.join().drain()).get(10, TimeUnit.SECONDS);
    assertThat(soon(owner.closed)).isEqualTo("NO_ERROR: drained");
  }

  @Test
  void weOpenTunnelsToUs() throws Exception {
    Owner server = new Owner();
    serve(
        new ChannelLine(
            TunnelSession.server(
                TunnelLimits.server().withStreamWindow(1 << 16), new GrowthRoom(0), server)));
    Owner client = new Owner();
    Channel channel =
        dial(
            new ChannelLine(
                TunnelSession.client(TunnelLimits.client(), new GrowthRoom(8 << 20), client)));
    Sender first = open(channel, client, true);
    Sender second = open(channel, client, true);
    assertThat(soon(first.received)).isEqualTo(first.source.counter.sum());
    assertThat(soon(second.received).bytes()).isEqualTo(BYTES);
    channel
        .eventLoop()
        .submit(() -> client.ready.join().close(ErrorCode.NO_ERROR, "enough"))
        .get(10, TimeUnit.SECONDS);
    assertThat(soon(server.closed)).isNotEmpty();
  }

  private static Sender open(Channel channel, Owner owner, boolean sends) throws Exception {
    Sender sender = new Sender(channel, sends);
    TunnelSession session = soon(owner.ready);
    channel
        .eventLoop()
        .submit(() -> sender.stream = session.open(Wire.REQUEST, sender))
        .get(60, TimeUnit.SECONDS);
    return sender;
  }
}
