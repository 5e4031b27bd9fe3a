package dev.weir.control.admin;

import io.netty.bootstrap.ServerBootstrap;
import io.netty.buffer.Unpooled;
import io.netty.channel.Channel;
import io.netty.channel.ChannelFutureListener;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInitializer;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.SimpleChannelInboundHandler;
import io.netty.channel.socket.nio.NioServerDomainSocketChannel;
import io.netty.handler.codec.http.DefaultFullHttpResponse;
import io.netty.handler.codec.http.FullHttpRequest;
import io.netty.handler.codec.http.HttpHeaderNames;
import io.netty.handler.codec.http.HttpHeaderValues;
import io.netty.handler.codec.http.HttpMethod;
import io.netty.handler.codec.http.HttpObjectAggregator;
import io.netty.handler.codec.http.HttpResponseStatus;
import io.netty.handler.codec.http.HttpServerCodec;
import io.netty.handler.codec.http.HttpVersion;
import io.netty.handler.timeout.ReadTimeoutHandler;
import java.io.IOException;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;

/** HTTP on a Unix socket that only its owner may open. One request a connection. */
public final class AdminServer implements AutoCloseable {
  private static final int MOST_BODY_BYTES = 1 << 10;
  private static final int IDLE_SECONDS = 10;

  private final Path socket;
  private final Channel channel;

  private AdminServer(Path socket, Channel channel) {
    this.socket = socket;
    this.channel = channel;
  }

  /**
   * Starts listening; a socket that a dead process left is replaced.
   *
   * @throws IOException if a living process listens there, or nothing can
   */
  public static AdminServer open(Path socket, EventLoopGroup loops, StatusPage page)
      throws IOException {
    removeStale(socket);
    var bound =
        new ServerBootstrap()
            .group(loops)
            .channel(NioServerDomainSocketChannel.class)
            .childHandler(
                new ChannelInitializer<Channel>() {
                  @Override
                  protected void initChannel(Channel child) {
                    child
                        .pipeline()
                        .addLast(new ReadTimeoutHandler(IDLE_SECONDS))
                        .addLast(new HttpServerCodec())
                        .addLast(new HttpObjectAggregator(MOST_BODY_BYTES))
                        .addLast(new Answer(page));
                  }
                })
            .bind(UnixDomainSocketAddress.of(socket))
            .awaitUninterruptibly();
    if (!bound.isSuccess()) {
      Throwable cause = bound.cause();
      throw new IOException(cause == null ? "cannot listen" : cause.getMessage(), cause);
    }
    Files.setPosixFilePermissions(socket, PosixFilePermissions.fromString("rw-------"));
    return new AdminServer(socket, bound.channel());
  }

  private static void removeStale(Path socket) throws IOException {
    if (!Files.exists(socket, LinkOption.NOFOLLOW_LINKS)) {
      return;
    }
    try (SocketChannel alive = SocketChannel.open(UnixDomainSocketAddress.of(socket))) {
      throw new IOException(
          alive.isConnected()
              ? "another process listens there; stop it, or name another --admin-socket"
              : "cannot be asked");
    } catch (java.net.ConnectException e) {
      Files.delete(socket);
    }
  }

  @Override
  public void close() throws IOException {
    channel.close().awaitUninterruptibly();
    Files.deleteIfExists(socket);
  }

  private static final class Answer extends SimpleChannelInboundHandler<FullHttpRequest> {
    private final StatusPage page;

    Answer(StatusPage page) {
      this.page = page;
    }

    @Override
    protected void channelRead0(ChannelHandlerContext context, FullHttpRequest request) {
      String path = request.uri().split("\\?", 2)[0];
      if (request.decoderResult().isFailure()) {
        answer(context, HttpResponseStatus.BAD_REQUEST, "text/plain", "not HTTP\n");
      } else if (!path.equals("/status")) {
        answer(context, HttpResponseStatus.NOT_FOUND, "text/plain", "there is only /status\n");
      } else if (!request.method().equals(HttpMethod.GET)) {
        answer(
            context, HttpResponseStatus.METHOD_NOT_ALLOWED, "text/plain", "only GET is answered\n");
      } else {
        answer(
            context, HttpResponseStatus.OK, "application/json", page.json().toPrettyJson() + "\n");
      }
    }

    private static void answer(
        ChannelHandlerContext context, HttpResponseStatus status, String type, String body) {
      var response =
          new DefaultFullHttpResponse(
              HttpVersion.HTTP_1_1,
              status,
              Unpooled.wrappedBuffer(body.getBytes(StandardCharsets.UTF_8)));
      response
          .headers()
          .set(HttpHeaderNames.CONTENT_TYPE, type)
          .set(HttpHeaderNames.CONTENT_LENGTH, response.content().readableBytes())
          .set(HttpHeaderNames.CONNECTION, HttpHeaderValues.CLOSE);
      var _ = context.writeAndFlush(response).addListener(ChannelFutureListener.CLOSE);
    }

    @Override
    public void exceptionCaught(ChannelHandlerContext context, Throwable cause) {
      // A client of the admin socket that idles or breaks off concerns nobody else.
      var _ = context.close();
    }
  }
}
