package dev.weir.agent.tunnel;

import dev.weir.agent.fairness.Share;
import io.netty.buffer.ByteBuf;
import io.netty.channel.EventLoop;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.util.ArrayDeque;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/**
 * A stream of one tunnel that carries another one, on the stream's own event loop.
 *
 * <p>Nothing is kept here but what waits to be written while the stream takes no more. What arrives
 * is passed on and credited at once: TLS holds a record of it, and of what is inside that the
 * windows of the inner HTTP/2 bound what is here.
 */
final class StreamCarrier implements Carrier, TunnelStream.Events {
  // For the other side to end its half after it has heard of the end of ours.
  private static final int LINGER_SECONDS = 1;

  private final TunnelStream stream;
  private final EventLoop loop;
  private final InetSocketAddress remote;
  private final Share.Work complete;
  private final ArrayDeque<ByteBuf> unsent = new ArrayDeque<>(2);
  private int waiting;
  private @Nullable SecureLine line;
  private boolean completeDue;
  private boolean gone;
  private boolean closing;
  private volatile boolean closed;
  private @Nullable String ended;

  /**
   * @param stream established, without an owner yet
   * @param remote the other end of its tunnel
   * @param share of the pod whose tunnel it is
   */
  StreamCarrier(TunnelStream stream, EventLoop loop, InetSocketAddress remote, Share share) {
    this.stream = stream;
    this.loop = loop;
    this.remote = remote;
    this.complete = share.work(this::complete);
    stream.events(this);
  }

  /** Why the stream is over; null where it is not, or ended by our doing. */
  @Nullable String ended() {
    return ended;
  }

  /** Bytes that wait in the stream below. From other threads, about as many. */
  int below() {
    return stream.waiting();
  }

  // ---- the stream

  @Override
  public void answered(int status, Baggage peer) {
    throw new IllegalStateException("only a stream that was answered carries anything");
  }

  @Override
  public void data(ByteBuf bytes) {
    int count = bytes.readableBytes();
    SecureLine to = line;
    try {
      if (!closed && to != null) {
        to.received(bytes);
        // One burst brings many pieces; what they bring about is written when all are read.
        if (!completeDue) {
          completeDue = true;
          complete.later();
        }
      }
    } finally {
      bytes.release();
    }
    stream.consumed(count);
  }

  private void complete() {
    completeDue = false;
    SecureLine to = line;
    if (!closed && to != null) {
      to.receivedAll();
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
      SecureLine to = line;
      if (to != null) {
        to.ended(new IOException("the stream through the gateway is over: " + why));
      }
    }
  }

  @Override
  public void writable() {
    if (!closed) {
      flush();
      SecureLine to = line;
      if (!closed && to != null) {
        to.drained();
      }
    }
  }

  // ---- the line

  @Override
  public EventLoop loop() {
    return loop;
  }

  @Override
  public void begin(SecureLine to) {
    line = to;
  }

  @Override
  public void write(ByteBuf bytes) {
    if (closed) {
      bytes.release();
      return;
    }
    waiting += bytes.readableBytes();
    unsent.add(bytes);
  }

  @Override
  public void flush() {
    ByteBuf next;
    while ((gone || stream.isWritable()) && (next = unsent.poll()) != null) {
      waiting -= next.readableBytes();
      // A stream that is over drops it.
      stream.write(next);
    }
    SecureLine to = line;
    if (closing && unsent.isEmpty() && to != null) {
      to.ended(new IOException("closed"));
    }
  }

  @Override
  public int waiting() {
    return waiting;
  }

  @Override
  public boolean isOpen() {
    return !closed;
  }

  @Override
  public InetSocketAddress remoteAddress() {
    return remote;
  }

  @Override
  public @Nullable InetSocketAddress localAddress() {
    return null;
  }

  @Override
  public void closeWhenSent() {
    closing = true;
    flush();
  }

  @Override
  public void close() {
    if (closed) {
      return;
    }
    closed = true;
    unsent.forEach(ByteBuf::release);
    unsent.clear();
    waiting = 0;
    if (!gone) {
      stream.end();
      var _ = loop.schedule(() -> stream.reset(ErrorCode.CANCEL), LINGER_SECONDS, TimeUnit.SECONDS);
    }
  }
}
