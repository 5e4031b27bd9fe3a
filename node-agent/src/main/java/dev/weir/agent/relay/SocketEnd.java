package dev.weir.agent.relay;

import dev.weir.agent.fairness.Share;
import dev.weir.agent.transport.PipedBytes;
import dev.weir.agent.transport.PodSocket;
import dev.weir.agent.transport.ReadSize;
import dev.weir.ffi.KernelException;
import io.netty.buffer.ByteBuf;
import io.netty.channel.ChannelException;
import java.io.IOException;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/**
 * A socket at one end of a relayed connection. What it reads goes to its peer and nowhere else; it
 * holds no buffer of its own, so an idle connection costs two sockets and little more.
 *
 * <p>Ends are kept apart, as TCP does. The end of input (FIN) becomes, once all that came before is
 * written, the end of output of the peer; the other direction goes on. A reset, on reading or found
 * later, becomes a reset of the peer. A side that cannot be written any more may still have
 * something to say: a server that answers and closes before it has read everything resets the
 * connection, and the answer is still in our receive queue. So a failed write ends only output, and
 * the read error that follows resets the peer.
 *
 * <p>Back-pressure: while a side's unwritten bytes are above the high mark its peer is not read.
 * Owned by the event loop of both sockets.
 */
final class SocketEnd implements End, PodSocket.Owner {
  // One read above the high mark stops the peer, so a stuck connection holds one or two reads.
  private static final int LOW = 16 * 1024;
  private static final int HIGH = 64 * 1024;

  /**
   * What waits below the high mark is credited: a reader that stops holds as much beside its
   * window. For streams that were granted no more than all are.
   */
  private static final int WINDOWED_LOW = 2 * 1024;

  private static final int WINDOWED_HIGH = 8 * 1024;

  private static final int READS_AT_ONCE = 2;

  private static final long ARRIVAL_MILLIS = 1;
  private static final long ARRIVAL_MOST_MILLIS = 256;
  private static final long ARRIVAL_NANOS = TimeUnit.SECONDS.toNanos(3);

  private final Relay relay;
  private final PodSocket socket;
  private final boolean client;

  /** Its address is the client's, which the namespace that it is in does not have. */
  private final boolean borrowed;

  private final Tuning tuning;
  private final Share.Work reads;
  private final ReadSize size = new ReadSize();
  private int low = LOW;
  private int high = HIGH;
  private boolean widened;

  /** Null where what is read is always copied. */
  private @Nullable Splicing splicing;

  /** Whether the peer takes what is read. */
  private boolean wanted = true;

  private boolean full;
  private boolean inputEnded;
  private boolean outputEnding;
  private boolean outputBroken;
  private boolean gone;
  private boolean resetting;

  private SocketEnd(
      Relay relay, PodSocket socket, boolean client, boolean borrowed, Tuning tuning) {
    this.borrowed = borrowed;
    this.tuning = tuning;
    this.relay = relay;
    this.socket = socket;
    this.client = client;
    this.reads = relay.share().work(this::read);
  }

  static SocketEnd ofClient(Relay relay, PodSocket socket, Tuning tuning) {
    return new SocketEnd(relay, socket, true, false, tuning);
  }

  /**
   * @param borrowed its address is the client's, not one of the namespace that it is in
   */
  static SocketEnd ofServer(Relay relay, PodSocket socket, boolean borrowed, Tuning tuning) {
    return new SocketEnd(relay, socket, false, borrowed, tuning);
  }

  /** Begins to read, once the relay has both its ends. */
  void begin() {
    if (mayBeJoined()) {
      socket.expectJoining();
    }
    switch (peer()) {
      case SocketEnd to ->
          splicing = tuning.splice(socket, to.socket, mayBeJoined() || to.mayBeJoined());
      case StreamEnd to -> {
        to.ownsWhatIsWritten();
        if (!widened) {
          low = WINDOWED_LOW;
          high = WINDOWED_HIGH;
        }
      }
    }
    if (client) {
      // Whoever calls has mostly said something by the time that its server has answered: to look
      // first saves a visit of the loop to its sockets.
      socket.expectInput();
      reads.now();
    }
    if (socket.isOpen()) {
      try {
        socket.join(relay.loop(), this);
      } catch (ChannelException e) {
        relay.failed(e);
        relay.abort();
      }
    }
  }

  private boolean mayBeJoined() {
    return tuning.mayBeJoined(client ? relay.clientPod() : relay.serverPod());
  }

  /** What comes for it is granted a wide window: as much more may wait here as between sockets. */
  void widen() {
    widened = true;
    low = LOW;
    high = HIGH;
  }

  private End peer() {
    return client ? relay.server() : relay.client();
  }

  // ---- reading

  @Override
  public void readable() {
    reads.now();
  }

  private void read() {
    try {
      readSome();
    } catch (RuntimeException e) {
      relay.failed(e);
      relay.abort();
    }
  }

  private void readSome() {
    if (!socket.isOpen() || resetting) {
      return;
    }
    if (inputEnded) {
      // After its FIN nothing comes but a reset, which no read would tell.
      if (socket.hasFailed()) {
        relay.abort();
      }
      return;
    }
    End to = peer();
    boolean any = false;
    for (int visits = 0; visits < READS_AT_ONCE && wanted && socket.mayRead(); visits++) {
      Splicing way = splicing;
      boolean little = way != null && way.readsLittle();
      int guess = little ? Splicing.FIRST : guess(to);
      ByteBuf bytes = tuning.allocator().directBuffer(guess);
      int headroom = to.headroom(guess);
      bytes.setIndex(headroom, headroom);
      int room = bytes.writableBytes();
      int count;
      try {
        count = socket.read(bytes);
      } catch (IOException e) {
        bytes.release();
        if (any) {
          to.flush();
        }
        relay.abort();
        return;
      }
      if (count <= 0) {
        bytes.release();
        if (count == PodSocket.END) {
          // What was read leaves together with the end.
          endOfInput();
          return;
        }
        break;
      }
      if (!little) {
        size.was(count + headroom, guess);
      }
      if (to.write(bytes)) {
        relay.read(client, count);
        any = true;
      }
      if (count == room && way != null && way.follows(count)) {
        any = false;
        if (!splice(way, (SocketEnd) to)) {
          return;
        }
      }
      if (little) {
        break;
      }
    }
    if (any) {
      to.flush();
    }
    if (wanted && socket.isOpen() && socket.mayRead()) {
      reads.inNextTurn();
    }
  }

  private int guess(End to) {
    return to instanceof StreamEnd stream ? Math.min(size.guess(), stream.room()) : size.guess();
  }

  /**
   * What was read is only the first of it: the rest goes to the peer through a pipe.
   *
   * @return whether the connection goes on
   */
  private boolean splice(Splicing way, SocketEnd to) {
    to.flush();
    if (!socket.isOpen()) {
      return false;
    }
    if (!to.takesAtOnce()) {
      return true;
    }
    PipedBytes rest;
    try {
      rest = way.move();
    } catch (KernelException e) {
      // The socket's error, which the kernel tells once: a read would now find a clean end.
      relay.abort();
      return false;
    }
    if (rest != null) {
      relay.read(client, rest.count());
      boolean _ = to.socket.write(rest);
      to.flush();
      way.written(rest, to.takesAtOnce());
    }
    return socket.isOpen();
  }

  private boolean takesAtOnce() {
    return !socket.isOutputOver() && socket.hasWrittenAll();
  }

  private void endOfInput() {
    inputEnded = true;
    if (socket.isOutputEnded()) {
      close();
    } else if (outputBroken) {
      // Nothing is left to be read from it, nor to be written: it is gone.
      relay.abort();
      return;
    }
    peer().endOutput();
  }

  @Override
  public void reading(boolean on) {
    wanted = on;
    if (on && socket.isOpen() && socket.mayRead()) {
      reads.later();
    }
  }

  // ---- writing

  @Override
  public boolean write(ByteBuf bytes) {
    // Where the kernel has not taken all so far, who reads is slower than who sends.
    return socket.write(socket.hasWrittenAll() ? bytes : compact(bytes));
  }

  /**
   * The same bytes in a buffer of their own, where they would keep a larger one in memory: what TLS
   * makes of one read is one buffer with pieces of many streams, and stays until the slowest of
   * them has taken its own. Seen: 21 MiB that waited for 64 slow readers kept 40.
   */
  private ByteBuf compact(ByteBuf bytes) {
    ByteBuf whole = bytes;
    for (ByteBuf under = bytes.unwrap(); under != null; under = under.unwrap()) {
      whole = under;
    }
    int count = bytes.readableBytes();
    if (count >= whole.capacity() - whole.capacity() / 8) {
      return bytes;
    }
    try {
      return tuning.allocator().directBuffer(count, count).writeBytes(bytes);
    } finally {
      bytes.release();
    }
  }

  @Override
  public int headroom(int bytes) {
    return 0;
  }

  @Override
  public void flush() {
    socket.flush();
    if (!socket.hasWrittenAll()) {
      // It was taken as it came, when nothing waited.
      socket.moveFirst(this::compact);
    }
    if (!full && socket.waiting() > high) {
      full = true;
      peer().reading(false);
    }
  }

  @Override
  public void drained() {
    relay.share().atOnce(this::takesMore);
  }

  private void takesMore() {
    if (full && socket.waiting() <= low) {
      full = false;
      peer().reading(true);
    }
    if (outputEnding) {
      closeIfDone();
    }
  }

  @Override
  public void endOutput() {
    if (outputEnding || outputBroken || gone) {
      return;
    }
    outputEnding = true;
    if (inputEnded && socket.hasWrittenAll()) {
      // Both ends are done: to close it sends the FIN, and one call is saved.
      close();
    } else {
      socket.endOutput();
      closeIfDone();
    }
  }

  private void closeIfDone() {
    if (inputEnded && socket.isOutputEnded()) {
      close();
    }
  }

  @Override
  public void broken(IOException why) {
    outputBroken = true;
    if (inputEnded || outputEnding) {
      // Nothing is left to be read from it, or it was reset before our FIN: it is gone.
      relay.abort();
    } else {
      // Whatever held the peer back will never be written now.
      peer().reading(true);
    }
  }

  @Override
  public long buffered() {
    return socket.waiting();
  }

  // ---- the end

  private void close() {
    socket.close();
    gone(true);
  }

  @Override
  public void lost(Throwable why) {
    if (!(why instanceof ChannelException)) {
      relay.failed(why);
    }
    gone(false);
  }

  private void gone(boolean inOrder) {
    if (!gone) {
      gone = true;
      relay.closed(inOrder);
    }
  }

  @Override
  public void reset() {
    // Should the process end meanwhile, the connection ends by no FIN.
    if (borrowed && socket.isUnderway() && socket.willEndByReset()) {
      resetting = true;
      resetOnArrival(System.nanoTime() + ARRIVAL_NANOS, ARRIVAL_MILLIS);
    } else {
      resetNow();
    }
  }

  private void resetNow() {
    socket.reset();
    gone(false);
  }

  /**
   * A RST that overtakes data, which loopback lets happen where a thread changes its core, is not
   * believed: the server asks for the place that the stream is at (RFC 5961 3.2), and with the
   * socket gone nobody may answer from an address that this namespace has not got, so the server
   * would wait for ever. It is sent once nothing is left to be overtaken.
   */
  private void resetOnArrival(long deadline, long delay) {
    var _ =
        relay
            .loop()
            .schedule(
                () -> {
                  if (socket.isOpen() && socket.isUnderway() && System.nanoTime() - deadline < 0) {
                    resetOnArrival(deadline, Math.min(2 * delay, ARRIVAL_MOST_MILLIS));
                  } else {
                    resetNow();
                  }
                },
                delay,
                TimeUnit.MILLISECONDS);
  }
}
