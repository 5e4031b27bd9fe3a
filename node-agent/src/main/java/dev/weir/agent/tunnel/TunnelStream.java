package dev.weir.agent.tunnel;

import io.netty.buffer.ByteBuf;
import java.util.ArrayDeque;
import org.jspecify.annotations.Nullable;

/**
 * One tunnel in a session. Its two directions end apart, as TCP's do. Owned by the session's event
 * loop; the calls of {@link Events} come on it, and may call back into the stream.
 *
 * <p>What is written waits here until windows and the connection take it, so one who writes stops
 * when {@link #isWritable} says no and goes on at {@link Events#writable}. Nothing leaves before
 * the CONNECT is answered with 2xx: bytes sent earlier would reach whoever refuses.
 */
public final class TunnelStream {
  /** What comes from the peer. Nothing comes after {@code reset}, nor after our own reset. */
  public interface Events {
    /**
     * The answer, on the side that opened.
     *
     * @param status the tunnel stands if it is 2xx; any other ends this side's output
     * @param peer what the other side says of itself
     */
    void answered(int status, Baggage peer);

    /** Bytes; the receiver owns them and says {@link TunnelStream#consumed} when they are gone. */
    void data(ByteBuf bytes);

    /** The peer sends no more; the other direction goes on. */
    void end();

    void reset(Reset reason);

    /** There is room again after {@link TunnelStream#isWritable} was false. */
    void writable();
  }

  /** What should be free before a long piece: room for the head of a frame. */
  public static final int HEADROOM = Frame.HEAD;

  /** From here on records of its own cost less than a copy. */
  public static final int LONG = 16 * 1024;

  /** Two full TLS records each way of {@link #LOW}: enough to keep a connection busy. */
  static final int HIGH = 64 * 1024;

  static final int LOW = 16 * 1024;

  /**
   * What may wait beyond the window of a peer that grants little at a time, as one does that has a
   * thousand streams of readers that stopped: to hold more moves nothing. A read of less is not
   * worth its call.
   */
  static final int BEYOND = 4 * 1024;

  /** A peer that grants so much at once has room for the stream, and should not wait for us. */
  private static final int MUCH = 32 * 1024;

  private final TunnelSession session;
  private final int id;

  // Set once by the session, before anything can happen.
  private @Nullable Events events;

  // Flow control, RFC 9113 section 5.2.
  private final ReceiveWindow receiveWindow;
  private int sendWindow;

  /** What may wait that the window does not let go. */
  private int beyond;

  // Nearly always at most one buffer waits, so the queue behind it is made when needed.
  private @Nullable ByteBuf first;
  private @Nullable ArrayDeque<ByteBuf> rest;
  private int waiting;

  private boolean answered;
  private boolean established;
  private boolean ending;
  private boolean outputEnded;
  private boolean inputEnded;
  private boolean closed;
  private boolean full;

  /** What was read of a buffer may be written over. */
  private boolean ownsBuffers;

  // The session's ring of streams that have something to send.
  @Nullable TunnelStream next;
  boolean inRing;

  TunnelStream(TunnelSession session, int id, int sendWindow, ReceiveWindow receiveWindow) {
    this.session = session;
    this.id = id;
    this.sendWindow = sendWindow;
    this.beyond = sendWindow >= MUCH ? HIGH : BEYOND;
    this.receiveWindow = receiveWindow;
  }

  int id() {
    return id;
  }

  TunnelSession session() {
    return session;
  }

  public boolean isClosed() {
    return closed;
  }

  /** Whether the CONNECT was answered, by us or by the peer. */
  boolean isAnswered() {
    return answered;
  }

  // ---- what the owner calls

  /**
   * Answers the CONNECT, on the side that accepted. Any status but 2xx ends the stream: no body
   * follows, and what the peer still sends is refused.
   */
  void respond(int status, Baggage own) {
    session.assertLoop();
    if (closed) {
      return;
    }
    if (answered || session.isClient()) {
      throw new IllegalStateException("stream " + id + " is answered already");
    }
    answered = true;
    established = status / 100 == 2;
    session.respond(this, status, own);
  }

  /**
   * What is written is in memory that nobody else has, so that what is before its first byte may be
   * written over: a long piece with {@link #HEADROOM} there leaves from where it is.
   */
  public void ownsWhatIsWritten() {
    ownsBuffers = true;
  }

  /** Sends bytes, which the stream now owns. After the end of output they are dropped. */
  public void write(ByteBuf bytes) {
    session.assertLoop();
    if (closed || ending || !bytes.isReadable()) {
      bytes.release();
      return;
    }
    waiting += bytes.readableBytes();
    if (first == null) {
      first = bytes;
    } else {
      if (rest == null) {
        rest = new ArrayDeque<>(8);
      }
      rest.add(bytes);
    }
    full |= waiting > HIGH || waiting - Math.max(0, sendWindow) >= beyond;
    session.ready(this);
  }

  public boolean isWritable() {
    return !full;
  }

  /** How much the next write should bring at most. */
  public int room() {
    return Math.max(BEYOND, Math.max(0, sendWindow) + beyond - waiting);
  }

  /** Bytes that wait to be sent. From other threads, about as many. */
  int waiting() {
    return waiting;
  }

  /** The same, and what of it waits further down. Any thread. */
  public long buffered() {
    return waiting + session.waitingBelow();
  }

  /** Ends output when all that waits is sent. */
  public void end() {
    session.assertLoop();
    if (!closed && !ending) {
      ending = true;
      session.ready(this);
    }
  }

  /** Ends the stream both ways at once; what waits is lost, as a reset means. */
  public void reset(ErrorCode code) {
    session.assertLoop();
    if (!closed) {
      session.reset(this, code);
    }
  }

  /** Bytes that came are gone from memory: the peer may send as many more. */
  public void consumed(int bytes) {
    session.assertLoop();
    if (closed || inputEnded) {
      return;
    }
    if (bytes < 0 || bytes > held()) {
      throw new IllegalArgumentException(
          "consumed: " + bytes + " (expected: at most the " + held() + " bytes that came)");
    }
    credit(bytes);
  }

  /** Bytes that came and were not consumed. */
  int held() {
    return receiveWindow.held();
  }

  // ---- what the session calls

  public void events(Events to) {
    events = to;
  }

  private Events events() {
    Events to = events;
    if (to == null) {
      throw new IllegalStateException("stream " + id + " has no owner");
    }
    return to;
  }

  /** The peer's answer; from now on what waits may go, if it is 2xx. */
  void answered(int status, Baggage peer) {
    answered = true;
    established = status / 100 == 2;
    if (!established) {
      ending = true;
      dropWaiting();
    }
    events().answered(status, peer);
    if (!closed) {
      session.ready(this);
    }
  }

  void data(ByteBuf piece) {
    events().data(piece);
  }

  void inputEnded() {
    inputEnded = true;
    events().end();
  }

  boolean isInputEnded() {
    return inputEnded;
  }

  boolean isOutputEnded() {
    return outputEnded;
  }

  boolean isEstablished() {
    return established;
  }

  void outputEnded() {
    outputEnded = true;
    ending = true;
  }

  /** As of {@link ReceiveWindow}. */
  boolean receive(int length, int more) {
    if (!receiveWindow.receive(length, more)) {
      return false;
    }
    int increment = receiveWindow.begin();
    if (increment > 0) {
      session.credit(this, increment);
    }
    return true;
  }

  /** Whether the peer was granted more than every stream is. */
  public boolean isWidened() {
    return receiveWindow.isWidened();
  }

  void credit(int bytes) {
    if (closed || inputEnded) {
      return;
    }
    int increment = receiveWindow.consumed(bytes, System::nanoTime);
    if (increment > 0) {
      session.credit(this, increment);
    }
  }

  /** Changes what we may send; false on overflow (RFC 9113 section 6.9.1). */
  boolean widen(int by) {
    long wider = (long) sendWindow + by;
    if (wider > Integer.MAX_VALUE) {
      return false;
    }
    sendWindow = (int) wider;
    if (by >= MUCH) {
      beyond = HIGH;
    }
    return true;
  }

  /** Whether there is anything that the stream's own state lets go now. */
  boolean canSend() {
    return !closed && established && !outputEnded && (waiting > 0 ? sendWindow > 0 : ending);
  }

  /** How much of what waits the stream's own window lets go. */
  int sendable() {
    return Math.max(0, Math.min(waiting, sendWindow));
  }

  /** Whether a frame of so many bytes is the last. */
  boolean endsAfter(int bytes) {
    return ending && bytes == waiting;
  }

  /**
   * What of the next frame's payload is in one piece, with room for the frame's head before it.
   *
   * @param most that may leave
   * @return 0 where it has to be copied into a frame
   */
  int inOnePiece(int most) {
    ByteBuf head = first;
    if (head == null || !ownsBuffers || head.readerIndex() < HEADROOM) {
      return 0;
    }
    int bytes = Math.min(most, head.readableBytes());
    return bytes < LONG ? 0 : bytes;
  }

  /** Sends so many bytes of the first piece, as {@link #inOnePiece} had it, with the head. */
  void sendFrom(Line line, int bytes, boolean last) {
    ByteBuf head = first;
    if (head == null) {
      throw new IllegalStateException("stream " + id + " has nothing to send");
    }
    Frame.dataHeadBefore(head, id, bytes, last);
    line.write(head, HEADROOM + bytes);
    if (closed) {
      // With the line, which gave back what waited.
      return;
    }
    sent(head);
    waiting -= bytes;
    sendWindow -= bytes;
  }

  /** Puts the next so many bytes, which wait, into a frame. */
  void take(ByteBuf frame, int bytes) {
    int left = bytes;
    while (left > 0) {
      ByteBuf head = first;
      if (head == null) {
        throw new IllegalStateException("stream " + id + " has nothing to send");
      }
      int of = Math.min(left, head.readableBytes());
      frame.writeBytes(head, of);
      left -= of;
      sent(head);
    }
    waiting -= bytes;
    sendWindow -= bytes;
  }

  private void sent(ByteBuf head) {
    if (!head.isReadable()) {
      head.release();
      first = rest == null ? null : rest.poll();
      if (rest != null && rest.isEmpty()) {
        rest = null;
      }
    }
  }

  /** Tells the writer that there is room, once the queue has run low. */
  void tellWritable() {
    if (full && waiting < LOW) {
      full = false;
      if (!closed && !ending) {
        events().writable();
      }
    }
  }

  private void dropWaiting() {
    if (first != null) {
      first.release();
      first = null;
    }
    if (rest != null) {
      rest.forEach(ByteBuf::release);
      rest = null;
    }
    waiting = 0;
  }

  void close() {
    closed = true;
    receiveWindow.close();
    dropWaiting();
  }

  void closeBecause(Reset reason) {
    close();
    // Without one, its owner failed while it was being asked.
    if (events != null) {
      events.reset(reason);
    }
  }
}
