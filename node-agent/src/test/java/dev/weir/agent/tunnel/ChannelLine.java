package dev.weir.agent.tunnel;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.ByteBufAllocator;
import io.netty.channel.ChannelFutureListener;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.channel.EventLoop;
import java.io.IOException;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/** A session's line over any channel of Netty's, in the clear. */
final class ChannelLine extends ChannelInboundHandlerAdapter implements Line {
  private final TunnelSession session;
  private @Nullable ChannelHandlerContext context;
  private @Nullable ByteBuf unsent;
  private boolean begun;
  private long given;
  private long sent;

  ChannelLine(TunnelSession session) {
    this.session = session;
  }

  private ChannelHandlerContext context() {
    return Objects.requireNonNull(context);
  }

  // ---- the channel

  @Override
  public void handlerAdded(ChannelHandlerContext added) {
    context = added;
    if (added.channel().isActive()) {
      begin();
    }
  }

  @Override
  public void channelActive(ChannelHandlerContext active) {
    begin();
  }

  private void begin() {
    if (!begun) {
      begun = true;
      session.begin(this);
    }
  }

  @Override
  public void channelRead(ChannelHandlerContext from, Object message) {
    ByteBuf bytes = (ByteBuf) message;
    session.read(bytes);
    bytes.release();
  }

  @Override
  public void channelReadComplete(ChannelHandlerContext from) {
    session.readComplete();
  }

  @Override
  public void channelWritabilityChanged(ChannelHandlerContext from) {
    if (from.channel().isWritable()) {
      session.drained();
    }
  }

  @Override
  public void exceptionCaught(ChannelHandlerContext from, Throwable cause) {
    session.failed(cause instanceof IOException io ? io : new IOException(cause));
  }

  @Override
  public void channelInactive(ChannelHandlerContext from) {
    session.failed(new IOException("the connection was closed"));
  }

  // ---- the line

  @Override
  public EventLoop loop() {
    return context().channel().eventLoop();
  }

  @Override
  public ByteBufAllocator allocator() {
    return context().alloc();
  }

  @Override
  public ByteBuf room(int bytes) {
    ByteBuf room = unsent;
    if (room == null) {
      room = allocator().buffer(bytes);
      unsent = room;
    }
    return room.ensureWritable(bytes);
  }

  @Override
  public void write(ByteBuf bytes, int count) {
    room(count).writeBytes(bytes, count);
  }

  @Override
  public void flush() {
    ByteBuf bytes = unsent;
    unsent = null;
    if (bytes != null) {
      int count = bytes.readableBytes();
      given += count;
      context().writeAndFlush(bytes).addListener(_ -> sent += count);
    }
  }

  @Override
  public boolean isWritable() {
    ByteBuf bytes = unsent;
    int waiting = bytes == null ? 0 : bytes.readableBytes();
    return context().channel().isWritable() && waiting < 256 * 1024;
  }

  @Override
  public long sent() {
    return sent;
  }

  @Override
  public long toSend() {
    return given;
  }

  @Override
  public boolean isOpen() {
    return context().channel().isActive();
  }

  @Override
  public void close() {
    ByteBuf bytes = unsent;
    unsent = null;
    context()
        .writeAndFlush(bytes == null ? allocator().buffer(0) : bytes)
        .addListener(ChannelFutureListener.CLOSE);
  }
}
