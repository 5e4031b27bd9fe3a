package dev.weir.agent.relay;

import dev.weir.agent.fairness.Turnstile;
import dev.weir.agent.transport.PipedBytes;
import dev.weir.ffi.KernelException;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.netty.channel.ChannelConfig;
import io.netty.channel.ChannelException;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.channel.ChannelOption;
import io.netty.channel.ChannelOutboundBuffer;
import io.netty.channel.WriteBufferWaterMark;
import io.netty.channel.socket.ChannelInputShutdownEvent;
import io.netty.channel.socket.ChannelOutputShutdownEvent;
import io.netty.channel.socket.SocketChannel;
import io.netty.channel.unix.IntegerUnixChannelOption;
import io.netty.channel.unix.RawUnixChannelOption;
import io.netty.channel.unix.Socket;
import io.netty.channel.unix.UnixChannel;
import io.netty.util.concurrent.Future;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.NotYetConnectedException;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/**
 * A socket at one end of a relayed connection. What it reads goes to its peer and nowhere else; it
 * holds no buffer of its own, so an idle connection costs two channels and little more.
 *
 * <p>Ends are kept apart, as TCP does. The end of input (FIN) becomes, once all that came before is
 * written, the end of output of the peer; the other direction goes on. A reset, on reading or found
 * later, becomes a reset of the peer. A side that cannot be written any more may still have
 * something to say: a server that answers and closes before it has read everything resets the
 * connection, and the answer is still in our receive queue. So a failed write ends only output, and
 * the read error that follows resets the peer.
 *
 * <p>Back-pressure: while a side's unwritten bytes are above the high watermark its peer is not
 * read. Owned by the event loop of both channels.
 */
final class SocketEnd extends ChannelInboundHandlerAdapter implements End {
  // SO_ERROR of a socket that was reset after its FIN: nothing else tells, see watch().
  private static final ChannelOption<Integer> ERROR =
      new IntegerUnixChannelOption("SO_ERROR", 1, 4);
  private static final long WATCH_SECONDS = 1;

  // struct tcp_info up to tcpi_unacked.
  private static final ChannelOption<ByteBuffer> INFO =
      new RawUnixChannelOption("TCP_INFO", 6, 11, 28);
  private static final int INFO_UNACKED = 24;

  private static final long ARRIVAL_MILLIS = 1;
  private static final long ARRIVAL_MOST_MILLIS = 256;
  private static final long ARRIVAL_NANOS = TimeUnit.SECONDS.toNanos(3);

  /**
   * What waits below the high mark is credited: a reader that stops holds as much beside its
   * window. For streams that were granted no more than all are.
   */
  private static final WriteBufferWaterMark WINDOWED = new WriteBufferWaterMark(2 * 1024, 8 * 1024);

  private final Relay relay;
  private final SocketChannel channel;
  private final boolean client;

  /** Its address is the client's, which the namespace that it is in does not have. */
  private final boolean borrowed;

  private final Tuning tuning;
  private final Turnstile turnstile;

  /** Null where what is read is always copied. */
  private @Nullable Splicing splicing;

  private boolean inputEnded;
  private boolean outputEnding;
  private boolean outputEnded;
  private boolean outputBroken;
  private boolean unflushed;
  private boolean reviving;

  /** It ends by an error, or because we reset it: not by its FIN. */
  private boolean failed;

  private boolean gone;
  private boolean resetting;

  /** The next look at a socket whose FIN came; null where none is due. */
  private @Nullable Future<?> nextWatch;

  private SocketEnd(
      Relay relay, SocketChannel channel, boolean client, boolean borrowed, Tuning tuning) {
    this.borrowed = borrowed;
    this.tuning = tuning;
    this.relay = relay;
    this.channel = channel;
    this.client = client;
    this.turnstile = new Turnstile(relay.share(), channel);
  }

  static SocketEnd ofClient(Relay relay, SocketChannel channel, Tuning tuning) {
    return new SocketEnd(relay, channel, true, false, tuning);
  }

  /**
   * @param borrowed its address is the client's, not one of the namespace that it is in
   */
  static SocketEnd ofServer(Relay relay, SocketChannel channel, boolean borrowed, Tuning tuning) {
    return new SocketEnd(relay, channel, false, borrowed, tuning);
  }

  /** Takes its place in the channel's pipeline, which was tuned before. */
  void join() {
    switch (peer()) {
      case SocketEnd to -> splicing = tuning.splice(channel, to.channel);
      case StreamEnd from -> {
        ChannelConfig config = channel.config();
        config.setRecvByteBufAllocator(
            new MeasuredReads(config.getRecvByteBufAllocator(), from::room));
        config.setWriteBufferWaterMark(WINDOWED);
      }
    }
    channel.pipeline().addLast(turnstile, this);
  }

  /** What comes for it is granted a wide window: as much more may wait here as between sockets. */
  void widen() {
    channel.config().setWriteBufferWaterMark(tuning.unwritten());
  }

  private End peer() {
    return client ? relay.server() : relay.client();
  }

  @Override
  public void channelRead(ChannelHandlerContext context, Object message) {
    ByteBuf bytes = (ByteBuf) message;
    int count = bytes.readableBytes();
    boolean full = !bytes.isWritable();
    if (peer().write(bytes)) {
      relay.read(client, count);
      unflushed = true;
      Splicing way = splicing;
      if (full && way != null && way.follows(count)) {
        splice(way, (SocketEnd) peer());
      }
    }
  }

  /** What was read is only the first of it: the rest goes to the peer through a pipe. */
  private void splice(Splicing way, SocketEnd to) {
    unflushed = false;
    to.flush();
    if (!channel.isOpen() || !to.takesAtOnce()) {
      return;
    }
    PipedBytes rest;
    try {
      rest = way.move();
    } catch (KernelException e) {
      // The socket's error, which the kernel tells once: a read would now find a clean end.
      failed = true;
      relay.abort();
      return;
    }
    if (rest != null) {
      relay.read(client, (int) rest.count());
      to.channel.write(rest, to.channel.unsafe().voidPromise());
      to.channel.flush();
      way.written(rest, to.takesAtOnce());
    }
  }

  private boolean takesAtOnce() {
    return channel.isOpen() && !outputBroken && !outputEnding && hasWrittenAll(channel);
  }

  /** Whether the kernel has taken all that was flushed. */
  static boolean hasWrittenAll(SocketChannel channel) {
    ChannelOutboundBuffer unwritten = channel.unsafe().outboundBuffer();
    return unwritten == null || unwritten.isEmpty();
  }

  @Override
  public boolean write(ByteBuf bytes) {
    if (outputBroken || outputEnding) {
      bytes.release();
      return false;
    }
    // The unsafe promise tells nobody: a failed write shows as ChannelOutputShutdownEvent.
    // Where the kernel has not taken all so far, who reads is slower than who sends.
    channel.write(hasWrittenAll(channel) ? bytes : compact(bytes), channel.unsafe().voidPromise());
    return true;
  }

  /**
   * The same bytes in a buffer of their own, where they would keep a much larger one in memory:
   * what TLS makes of one read is one buffer with pieces of many streams, and stays until the
   * slowest of them has taken its own. Seen: 21 MiB that waited for 64 slow readers kept 40.
   */
  private ByteBuf compact(ByteBuf bytes) {
    ByteBuf whole = bytes;
    for (ByteBuf under = bytes.unwrap(); under != null; under = under.unwrap()) {
      whole = under;
    }
    int count = bytes.readableBytes();
    if (count >= whole.capacity() / 2) {
      return bytes;
    }
    try {
      return channel.alloc().directBuffer(count, count).writeBytes(bytes);
    } finally {
      bytes.release();
    }
  }

  @Override
  public void channelReadComplete(ChannelHandlerContext context) {
    if (unflushed) {
      unflushed = false;
      peer().flush();
    }
  }

  @Override
  public void channelWritabilityChanged(ChannelHandlerContext context) {
    peer().reading(channel.isWritable());
  }

  @Override
  public void userEventTriggered(ChannelHandlerContext context, Object event) {
    if (event == ChannelInputShutdownEvent.INSTANCE) {
      endOfInput();
    } else if (event == ChannelOutputShutdownEvent.INSTANCE && !outputEnding) {
      outputBroken = true;
      if (inputEnded) {
        // Nothing is left to be read from it: it is gone.
        relay.abort();
        return;
      }
      // Whatever held the peer back will never be written now.
      peer().reading(true);
    }
  }

  @Override
  public void reading(boolean on) {
    // Nothing is left to be read, and a transport that forgets the socket fails to look at it.
    if (!inputEnded && !resetting) {
      turnstile.reading(on);
    }
  }

  @Override
  public long buffered() {
    ChannelOutboundBuffer unwritten = channel.unsafe().outboundBuffer();
    return (unwritten == null ? 0 : unwritten.totalPendingWriteBytes()) + turnstile.heldBytes();
  }

  /**
   * Sends what is written. Where the transport forgets a socket whose end was read (see {@link
   * Tuning#forgetsEnded}), it is introduced anew first, unless earlier bytes still wait: then it is
   * known, for writing.
   */
  @Override
  public void flush() {
    ChannelOutboundBuffer pending = channel.unsafe().outboundBuffer();
    if (!inputEnded || !tuning.forgetsEnded() || pending == null || !pending.isEmpty()) {
      channel.flush();
    } else if (!reviving) {
      reviving = true;
      channel.config().setAutoRead(false);
      channel.deregister().addListener(this::deregistered);
    }
  }

  private void deregistered(Future<? super Void> deregister) {
    if (deregister.isSuccess() && channel.isOpen()) {
      relay.loop().register(channel).addListener(this::revived);
    } else {
      // Closed while it belonged to no loop: then no event says so.
      gone(false);
    }
  }

  private void revived(Future<? super Void> register) {
    reviving = false;
    if (register.isSuccess()) {
      channel.flush();
    } else {
      relay.abort();
    }
  }

  private void endOfInput() {
    if (inputEnded) {
      return;
    }
    inputEnded = true;
    if (unflushed) {
      unflushed = false;
      peer().flush();
    }
    if (outputEnded) {
      channel.close();
    } else if (outputBroken) {
      relay.abort();
      return;
    } else {
      watchLater();
    }
    peer().endOutput();
  }

  @Override
  public void endOutput() {
    if (outputEnding || outputBroken) {
      return;
    }
    outputEnding = true;
    ChannelOutboundBuffer pending = channel.unsafe().outboundBuffer();
    if (pending == null || pending.totalPendingWriteBytes() == 0) {
      finish();
    } else {
      channel.write(Unpooled.EMPTY_BUFFER).addListener(this::written);
      flush();
    }
  }

  private void written(Future<? super Void> write) {
    if (write.isSuccess()) {
      finish();
    } else {
      relay.abort();
    }
  }

  private void finish() {
    if (inputEnded) {
      // Both ends are done: close sends the FIN, and one call is saved.
      outputEnded = true;
      channel.close();
      return;
    }
    try {
      // The channel's own way makes an exception with its stack trace for every FIN. What both
      // transports call their descriptor is the socket, which knows whether it is closed.
      ((Socket) ((UnixChannel) channel).fd()).shutdown(false, true);
      outputEnded = true;
      // What is left to come is the other FIN, which then closes the channel: otherwise it would be
      // shut down for reading first, which fails for a socket that has seen both.
      channel.config().setAllowHalfClosure(false);
    } catch (IOException | NotYetConnectedException e) {
      // It was reset meanwhile.
      relay.abort();
    }
  }

  /**
   * After its FIN nobody reads a socket, and no event tells of a reset: ask now and then, while the
   * other direction is still open.
   */
  private void watch() {
    if (!channel.isOpen() || outputEnded) {
      return;
    }
    Integer error;
    try {
      error = channel.config().getOption(ERROR);
    } catch (ChannelException e) {
      relay.abort();
      return;
    }
    if (error != null && error != 0) {
      relay.abort();
      return;
    }
    watchLater();
  }

  private void watchLater() {
    nextWatch = channel.eventLoop().schedule(this::watch, WATCH_SECONDS, TimeUnit.SECONDS);
  }

  @Override
  public void exceptionCaught(ChannelHandlerContext context, Throwable cause) {
    failed = true;
    if (!(cause instanceof IOException)) {
      relay.failed(cause);
    }
    relay.abort();
  }

  @Override
  public void channelInactive(ChannelHandlerContext context) {
    if (outputEnded && !inputEnded && !failed) {
      // After our FIN the other one closes the channel, and nothing else tells of it.
      endOfInput();
    }
    gone(inputEnded && outputEnded);
  }

  private void gone(boolean inOrder) {
    if (!gone) {
      gone = true;
      Future<?> watch = nextWatch;
      if (watch != null) {
        // Else it would keep all of a connection that has ended in memory, long enough to be moved
        // among the objects that live for ever.
        watch.cancel(false);
        nextWatch = null;
      }
      relay.closed(inOrder);
    }
  }

  @Override
  public void reset() {
    failed = true;
    // Should the process end meanwhile, the connection ends by no FIN.
    if (borrowed && channel.isRegistered() && isUnderway() && willEndByReset(channel)) {
      resetting = true;
      turnstile.reading(false);
      resetOnArrival(System.nanoTime() + ARRIVAL_NANOS, ARRIVAL_MILLIS);
    } else {
      resetNow();
    }
  }

  private void resetNow() {
    boolean known = channel.isRegistered();
    reset(channel);
    if (!known) {
      gone(false);
    }
  }

  /**
   * A RST that overtakes data, which loopback lets happen where a thread changes its core, is not
   * believed: the server asks for the place that the stream is at (RFC 5961 3.2), and with the
   * socket gone nobody may answer from an address that this namespace has not got, so the server
   * would wait for ever. It is sent once nothing is left to be overtaken.
   */
  private void resetOnArrival(long deadline, long delay) {
    channel
        .eventLoop()
        .schedule(
            () -> {
              if (channel.isOpen() && isUnderway() && System.nanoTime() - deadline < 0) {
                resetOnArrival(deadline, Math.min(2 * delay, ARRIVAL_MOST_MILLIS));
              } else {
                resetNow();
              }
            },
            delay,
            TimeUnit.MILLISECONDS);
  }

  /** Whether the other side has yet to acknowledge something that was sent. */
  private boolean isUnderway() {
    try {
      ByteBuffer info = channel.config().getOption(INFO);
      return info != null && info.order(ByteOrder.nativeOrder()).getInt(INFO_UNACKED) != 0;
    } catch (ChannelException e) {
      // Closed, or forgotten by the kernel: then nothing is.
      return false;
    }
  }

  static void reset(SocketChannel channel) {
    if (!channel.isOpen()) {
      return;
    }
    if (!willEndByReset(channel) || channel.isRegistered()) {
      channel.close();
    } else {
      channel.unsafe().closeForcibly();
    }
  }

  /**
   * Whether closing it resets it from now on; where the kernel has forgotten it, nobody is left.
   */
  private static boolean willEndByReset(SocketChannel channel) {
    try {
      channel.config().setSoLinger(0);
      return true;
    } catch (ChannelException e) {
      return false;
    }
  }
}
