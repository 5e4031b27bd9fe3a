package dev.weir.agent.relay;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.netty.channel.Channel;
import io.netty.channel.ChannelFutureListener;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.channel.ChannelInitializer;
import io.netty.channel.ChannelOption;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.MultiThreadIoEventLoopGroup;
import io.netty.channel.nio.NioIoHandler;
import io.netty.channel.socket.ChannelInputShutdownEvent;
import io.netty.channel.socket.nio.NioServerSocketChannel;
import io.netty.channel.socket.nio.NioSocketChannel;
import io.netty.handler.codec.http2.DefaultHttp2DataFrame;
import io.netty.handler.codec.http2.DefaultHttp2Headers;
import io.netty.handler.codec.http2.DefaultHttp2HeadersFrame;
import io.netty.handler.codec.http2.DefaultHttp2ResetFrame;
import io.netty.handler.codec.http2.Http2DataFrame;
import io.netty.handler.codec.http2.Http2Error;
import io.netty.handler.codec.http2.Http2FrameCodecBuilder;
import io.netty.handler.codec.http2.Http2Headers;
import io.netty.handler.codec.http2.Http2HeadersFrame;
import io.netty.handler.codec.http2.Http2MultiplexHandler;
import io.netty.handler.codec.http2.Http2ResetFrame;
import io.netty.handler.codec.http2.Http2StreamFrame;
import io.netty.util.ReferenceCountUtil;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.StandardProtocolFamily;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.TimeUnit;

/**
 * A gateway between networks on real sockets, with Netty's own HTTP/2: it ends the outer tunnel and
 * hands what is in a stream, whatever that may be, on to one address.
 */
final class Gateway implements AutoCloseable {
  static final String IDENTITY = "spiffe://cluster.local/ns/istio-gateways/sa/gateway";
  static final InetAddress ADDRESS = InetAddress.ofLiteral("10.9.0.9");

  /** How far it goes. */
  enum Manner {
    SPLICES,
    NEVER_SHAKES_HANDS,
    NEVER_GREETS,
    NEVER_ANSWERS,
    REFUSES,
    /** It answers, and nothing is behind it. */
    FALLS_SILENT
  }

  final Queue<Http2Headers> requests = new ConcurrentLinkedQueue<>();
  final Queue<Channel> tunnels = new ConcurrentLinkedQueue<>();
  final Queue<Channel> streams = new ConcurrentLinkedQueue<>();

  private final TwoPods pods;
  private final Manner manner;
  private final InetSocketAddress beyond;
  private final ServerSocketChannel listener;
  private final Queue<SocketChannel> silent = new ConcurrentLinkedQueue<>();
  // By its parent Netty's HTTP/2 knows which side it is.
  private final NioServerSocketChannel serverSide = new NioServerSocketChannel();
  private final EventLoopGroup loops =
      new MultiThreadIoEventLoopGroup(2, NioIoHandler.newFactory());

  /**
   * @param beyond where what is in its streams goes
   */
  Gateway(TwoPods pods, Manner manner, InetSocketAddress beyond) throws IOException {
    this.pods = pods;
    this.manner = manner;
    this.beyond = beyond;
    this.listener = pods.listenAt(pods.client, new InetSocketAddress(ADDRESS, 0), 50);
    Thread.ofPlatform().daemon().name("gateway").start(this::accept);
  }

  int port() {
    return listener.socket().getLocalPort();
  }

  private void accept() {
    try {
      while (true) {
        SocketChannel accepted = listener.accept();
        if (manner == Manner.NEVER_SHAKES_HANDS) {
          silent.add(accepted);
        } else {
          serve(accepted);
        }
      }
    } catch (IOException e) {
      // The test is over.
    }
  }

  private void serve(SocketChannel accepted) throws IOException {
    accepted.configureBlocking(false);
    NioSocketChannel tunnel = new NioSocketChannel(serverSide, accepted);
    tunnels.add(tunnel);
    tunnel.pipeline().addLast(pods.identities.strangerCalled(IDENTITY));
    if (manner != Manner.NEVER_GREETS) {
      tunnel
          .pipeline()
          .addLast(
              Http2FrameCodecBuilder.forServer().build(),
              new Http2MultiplexHandler(
                  new ChannelInitializer<Channel>() {
                    @Override
                    protected void initChannel(Channel stream) {
                      streams.add(stream);
                      stream.pipeline().addLast(new Asked());
                    }
                  }));
    }
    loops.register(tunnel);
  }

  /** A stream before there is anything behind it. */
  private final class Asked extends ChannelInboundHandlerAdapter {
    @Override
    public void channelRead(ChannelHandlerContext context, Object message) throws IOException {
      try {
        if (message instanceof Http2HeadersFrame frame) {
          asked(context, frame.headers());
        }
      } finally {
        ReferenceCountUtil.release(message);
      }
    }

    private void asked(ChannelHandlerContext context, Http2Headers headers) throws IOException {
      requests.add(headers);
      switch (manner) {
        case NEVER_SHAKES_HANDS, NEVER_GREETS, NEVER_ANSWERS -> {}
        case REFUSES -> answer(context, "503", true);
        case FALLS_SILENT -> answer(context, "200", false);
        case SPLICES -> {
          SocketChannel socket = pods.unconnected(pods.client, StandardProtocolFamily.INET);
          socket.bind(new InetSocketAddress(ADDRESS, 0));
          socket.connect(beyond);
          socket.configureBlocking(false);
          NioSocketChannel behind = new NioSocketChannel(socket);
          behind.config().setOption(ChannelOption.ALLOW_HALF_CLOSURE, true);
          behind.pipeline().addLast(new Behind(context.channel()));
          context.pipeline().addLast(new InFront(behind));
          context.pipeline().remove(this);
          context.channel().parent().eventLoop().register(behind);
          answer(context, "200", false);
        }
      }
    }

    private static void answer(ChannelHandlerContext context, String status, boolean last) {
      context
          .channel()
          .writeAndFlush(
              new DefaultHttp2HeadersFrame(new DefaultHttp2Headers().status(status), last));
    }
  }

  /** From the stream to the socket. */
  private static final class InFront extends ChannelInboundHandlerAdapter {
    private final NioSocketChannel behind;

    InFront(NioSocketChannel behind) {
      this.behind = behind;
    }

    @Override
    public void channelRead(ChannelHandlerContext context, Object message) {
      if (message instanceof Http2DataFrame data) {
        behind.writeAndFlush(data.content());
        if (data.isEndStream()) {
          behind.writeAndFlush(Unpooled.EMPTY_BUFFER).addListener(_ -> behind.shutdownOutput());
        }
      } else {
        ReferenceCountUtil.release(message);
      }
      context.channel().config().setAutoRead(behind.isWritable());
    }

    @Override
    public void channelWritabilityChanged(ChannelHandlerContext context) {
      behind.config().setAutoRead(context.channel().isWritable());
    }

    @Override
    public void userEventTriggered(ChannelHandlerContext context, Object event) {
      if (event instanceof Http2ResetFrame) {
        behind.config().setSoLinger(0);
        behind.close();
      }
    }

    @Override
    public void channelInactive(ChannelHandlerContext context) {
      behind.close();
    }
  }

  /** From the socket to the stream. */
  private static final class Behind extends ChannelInboundHandlerAdapter {
    private final Channel stream;
    private boolean ended;

    Behind(Channel stream) {
      this.stream = stream;
    }

    private void say(Http2StreamFrame frame) {
      stream.writeAndFlush(frame).addListener(ChannelFutureListener.CLOSE_ON_FAILURE);
    }

    @Override
    public void channelRead(ChannelHandlerContext context, Object message) {
      say(new DefaultHttp2DataFrame((ByteBuf) message));
    }

    @Override
    public void channelWritabilityChanged(ChannelHandlerContext context) {
      stream.config().setAutoRead(context.channel().isWritable());
    }

    @Override
    public void userEventTriggered(ChannelHandlerContext context, Object event) {
      if (event == ChannelInputShutdownEvent.INSTANCE) {
        ended = true;
        say(new DefaultHttp2DataFrame(true));
      }
    }

    @Override
    public void exceptionCaught(ChannelHandlerContext context, Throwable cause) {
      context.close();
    }

    @Override
    public void channelInactive(ChannelHandlerContext context) {
      if (!ended) {
        say(new DefaultHttp2ResetFrame(Http2Error.CANCEL));
      }
    }
  }

  @Override
  public void close() throws IOException {
    listener.close();
    serverSide.unsafe().closeForcibly();
    for (SocketChannel each : silent) {
      each.close();
    }
    loops.shutdownGracefully(0, 5, TimeUnit.SECONDS).awaitUninterruptibly(10, TimeUnit.SECONDS);
  }
}
