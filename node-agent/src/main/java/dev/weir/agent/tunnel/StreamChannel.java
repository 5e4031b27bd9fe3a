package dev.weir.agent.tunnel;

import dev.weir.agent.fairness.Share;
import io.netty.buffer.ByteBuf;
import io.netty.channel.AbstractChannel;
import io.netty.channel.ChannelConfig;
import io.netty.channel.ChannelMetadata;
import io.netty.channel.ChannelOutboundBuffer;
import io.netty.channel.ChannelPromise;
import io.netty.channel.DefaultChannelConfig;
import io.netty.channel.EventLoop;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * A stream of one tunnel as the connection under another: a channel for TLS and HTTP/2, on the
 * stream's own event loop.
 *
 * <p>Nothing is kept here but what waits to be written, up to the channel's watermark, while the
 * stream takes no more. What arrives is passed on and credited at once: TLS holds a record of it,
 * and of what is inside that the windows of the inner HTTP/2 bound what is here.
 */
final class StreamChannel extends AbstractChannel implements TunnelStream.Events {
  private static final ChannelMetadata METADATA = new ChannelMetadata(false);

  // For the other side to end its half after it has heard of the end of ours.
  private static final int LINGER_SECONDS = 1;

  private final TunnelStream stream;
  private final InetSocketAddress remote;
  private final ChannelConfig config = new DefaultChannelConfig(this);
  private final Share.Work complete;
  private boolean completeDue;
  private boolean gone;
  private volatile boolean closed;
  private @Nullable String ended;
  private Consumer<String> whenEnded;

  /**
   * @param stream established, without an owner yet
   * @param remote the other end of its tunnel
   * @param share of the pod whose tunnel it is
   */
  StreamChannel(TunnelStream stream, InetSocketAddress remote, Share share) {
    super(null);
    this.stream = stream;
    this.remote = remote;
    this.complete = share.work(this::complete);
    this.whenEnded = _ -> close();
    stream.events(this);
  }

  /** What to do, in place of closing the channel, when the stream is over; it is told why. */
  void whenEnded(Consumer<String> owner) {
    whenEnded = owner;
  }

  /** Why the stream is over; null where it is not, or ended by our doing. */
  @Nullable String ended() {
    return ended;
  }

  /** Bytes that wait in the stream below. From other threads, about as many. */
  int waiting() {
    return stream.waiting();
  }

  // ---- the stream

  @Override
  public void answered(int status, Baggage peer) {
    throw new IllegalStateException("only a stream that was answered becomes a channel");
  }

  @Override
  public void data(ByteBuf bytes) {
    int count = bytes.readableBytes();
    if (closed) {
      bytes.release();
    } else {
      pipeline().fireChannelRead(bytes);
      // One burst brings many pieces; what they bring about is written when all are read.
      if (!completeDue) {
        completeDue = true;
        complete.later();
      }
    }
    stream.consumed(count);
  }

  private void complete() {
    completeDue = false;
    if (!closed) {
      pipeline().fireChannelReadComplete();
    }
  }

  @Override
  public void end() {
    over("the gateway ended it");
  }

  @Override
  public void reset(Reset reason) {
    gone = true;
    over(reason.cause());
  }

  private void over(String why) {
    if (!closed && ended == null) {
      ended = why;
      whenEnded.accept(why);
    }
  }

  @Override
  public void writable() {
    if (!closed) {
      unsafe().flush();
    }
  }

  // ---- the channel

  @Override
  protected void doWrite(ChannelOutboundBuffer waiting) {
    while (gone || stream.isWritable()) {
      if (!(waiting.current() instanceof ByteBuf bytes)) {
        return;
      }
      // A stream that is over drops it.
      stream.write(bytes.retain());
      waiting.remove();
    }
  }

  @Override
  protected void doClose() {
    closed = true;
    if (!gone) {
      stream.end();
      eventLoop().schedule(() -> stream.reset(ErrorCode.CANCEL), LINGER_SECONDS, TimeUnit.SECONDS);
    }
  }

  @Override
  protected void doBeginRead() {
    // Nobody reads: windows say what may come.
  }

  @Override
  protected void doRegister(ChannelPromise promise) {
    promise.setSuccess();
  }

  @Override
  protected void doDisconnect() {
    doClose();
  }

  @Override
  protected void doBind(SocketAddress localAddress) {
    throw new UnsupportedOperationException("a stream is bound to its tunnel");
  }

  @Override
  protected boolean isCompatible(EventLoop loop) {
    return true;
  }

  @Override
  protected @Nullable SocketAddress localAddress0() {
    return null;
  }

  @Override
  protected SocketAddress remoteAddress0() {
    return remote;
  }

  @Override
  public ChannelConfig config() {
    return config;
  }

  @Override
  public ChannelMetadata metadata() {
    return METADATA;
  }

  @Override
  public boolean isOpen() {
    return !closed;
  }

  @Override
  public boolean isActive() {
    return !closed;
  }

  @Override
  protected AbstractUnsafe newUnsafe() {
    return new AbstractUnsafe() {
      @Override
      public void connect(
          SocketAddress remoteAddress, SocketAddress localAddress, ChannelPromise promise) {
        promise.setFailure(new UnsupportedOperationException("a stream is connected already"));
      }
    };
  }
}
