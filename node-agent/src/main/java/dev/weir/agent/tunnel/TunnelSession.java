package dev.weir.agent.tunnel;

import dev.weir.agent.identity.PeerRefused;
import dev.weir.agent.identity.TlsFailure;
import io.netty.buffer.ByteBuf;
import io.netty.handler.codec.http2.DefaultHttp2HeadersDecoder;
import io.netty.handler.codec.http2.Http2Exception;
import io.netty.handler.codec.http2.Http2Headers;
import io.netty.util.collection.IntObjectHashMap;
import io.netty.util.concurrent.Future;
import java.io.IOException;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.Executor;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/**
 * One HTTP/2 connection that carries tunnels, over a {@link Line}. It greets when it is begun.
 *
 * <p>Reading never stops: what a slow stream may hold is bounded by its own window, and PING is
 * answered whatever else waits. Writing is gathered: all that is written in one turn of the event
 * loop goes out in one flush, and streams take turns, a TLS record each, while the connection's
 * window and the line take it.
 *
 * <p>A rule that the peer breaks ends its stream or the session, as RFC 9113 says which. HTTP/2
 * keeps no record of streams that are over, and neither do we: what comes late for a stream that
 * was open once is counted against the connection's window and dropped.
 */
final class TunnelSession {
  /** Who owns the session. All calls come on its event loop. */
  interface Owner {
    /** The peer's SETTINGS came: it speaks HTTP/2, and {@link #capacity} is what it grants. */
    void ready(TunnelSession session);

    /**
     * The peer opened a tunnel; it waits for {@link TunnelStream#respond}. On sessions that only
     * open it is never called.
     */
    TunnelStream.Events opened(TunnelStream stream, HboneRequest request);

    /** The peer asked for what is not a tunnel; that was answered already. */
    void refused(int status, String cause);

    /** A stream ended, or the peer grants more: {@link #capacity} may have grown. */
    void freed(TunnelSession session);

    /** The peer takes no new streams; those that are open go on. */
    void draining(String cause);

    void abused(Abuse abuse);

    /**
     * Runs the session's turn of writing, always the same one, on its loop when its pod's turn has
     * come.
     */
    void inTurn(Executor loop, Runnable work);

    /** Whether what is being done now should end soon, and go on {@link #inTurn}. */
    boolean isTurnOver();

    /** Bytes that wait beneath the session and are its only stream's. Any thread. */
    long waitingBelow();

    void streamBegan();

    void streamEnded();

    /** The session is over and has no streams any more. Called once, last. */
    void closed(ErrorCode code, String cause);
  }

  /** How often PING is sent, and how long each counter of {@link Abuse} runs. */
  static final int PERIOD_SECONDS = 10;

  private static final int DEAD_SECONDS = 20;
  // A frame's head and payload fill one TLS record: 16384 bytes.
  private static final int PAYLOAD = 16_384 - Frame.HEAD;

  // Four full records with their frame's head: others of the tunnel wait for no more than that.
  private static final int LONGEST_PAYLOAD = 4 * 16_384 - Frame.HEAD;

  // The peer's SETTINGS are usually not here when the first streams are wanted.
  private static final int STREAMS_BEFORE_SETTINGS = 100;
  private static final int SETTINGS = 4;

  /** More than nearly all headers take: where they do not, the buffer grows. */
  private static final int HEADERS_ROOM = 512;

  // Turns of writing and flushing before other channels of the loop get theirs.
  private static final int ROUNDS = 16;
  private static final long DRAIN_PING = 0x7765_6972_6472_6169L;

  private final boolean client;
  private final TunnelLimits limits;
  private final Owner owner;
  private final DefaultHttp2HeadersDecoder decoder;
  private final HeaderWriter headers = new HeaderWriter();
  private final IntObjectHashMap<TunnelStream> streams = new IntObjectHashMap<>(4);
  private final int[] abuses = new int[Abuse.values().length];
  private final Runnable turn = this::scheduledTurn;
  private final FrameSink sink = new FrameSink();

  private @Nullable Line line;
  private @Nullable FrameReader reader;
  private @Nullable Future<?> ticks;

  private int sendWindow = Frame.DEFAULT_WINDOW;
  private final GrowthRoom growth;
  private int receiveWindow;
  private int uncredited;
  private int peerStreamWindow = Frame.DEFAULT_WINDOW;

  /** Of a frame that leaves in one piece. */
  private int longestPayload = PAYLOAD;

  private long peerStreams = STREAMS_BEFORE_SETTINGS;
  private boolean peerGreeted;
  private boolean acknowledged;

  private int nextStream = 1;
  private int lastPeerStream;

  // Answers that have not left: those among the bytes up to a mark, and those behind it.
  private int unreadAnswers;
  private int laterAnswers;
  private long unreadMark;

  private @Nullable TunnelStream ringHead;
  private @Nullable TunnelStream ringTail;
  private boolean reading;
  private boolean scheduled;
  private boolean dirty;

  private long pings;
  private boolean pingOpen;
  private int pingSeconds;

  private boolean draining;
  private int drainingTicks;
  private boolean lastWord;
  private int peerLast = Integer.MAX_VALUE;
  private boolean ended;

  private @Nullable CharSequence peerLine;
  private Baggage peerBaggage = Baggage.NONE;

  private TunnelSession(boolean client, TunnelLimits limits, GrowthRoom growth, Owner owner) {
    this.client = client;
    this.limits = limits;
    this.owner = owner;
    receiveWindow = limits.connectionWindow();
    this.growth = growth;
    decoder = new DefaultHttp2HeadersDecoder(true, true, limits.headerList());
  }

  /**
   * The side that opens streams.
   *
   * @param growth what all windows of its owner's streams may grow by
   */
  static TunnelSession client(TunnelLimits limits, GrowthRoom growth, Owner owner) {
    return new TunnelSession(true, limits, growth, owner);
  }

  /** The side that accepts them. */
  static TunnelSession server(TunnelLimits limits, GrowthRoom growth, Owner owner) {
    return new TunnelSession(false, limits, growth, owner);
  }

  // ---- what the owner calls

  boolean isClient() {
    return client;
  }

  /** Streams that are open. */
  int open() {
    return streams.size();
  }

  /** How many more streams may be opened now. */
  int capacity() {
    return draining || ended || line == null || nextStream < 0
        ? 0
        : (int) Math.max(0, Math.min(peerStreams, Integer.MAX_VALUE) - streams.size());
  }

  /** Whether the peer speaks HTTP/2, as its SETTINGS have shown. */
  boolean isGreeted() {
    return peerGreeted;
  }

  /** {@link Owner#waitingBelow}. */
  long waitingBelow() {
    return owner.waitingBelow();
  }

  /** Whether new streams are out of the question, for good. */
  boolean isDraining() {
    return draining || ended;
  }

  /** Opens a tunnel; {@link #capacity} must be more than 0. */
  TunnelStream open(HboneRequest request, TunnelStream.Events events) {
    assertLoop();
    if (!client || capacity() == 0) {
      throw new IllegalStateException("the session takes no new streams");
    }
    TunnelStream stream =
        new TunnelStream(this, nextStream, peerStreamWindow, limits.newStreamWindow(growth));
    nextStream += 2;
    stream.events(events);
    ByteBuf frame = line().room(HEADERS_ROOM);
    int begins = frame.writerIndex();
    headers.request(frame.writeZero(Frame.HEAD), request);
    finishHeaders(frame, begins, stream.id(), false);
    wrote();
    streams.put(stream.id(), stream);
    owner.streamBegan();
    return stream;
  }

  /**
   * Takes no new streams, and closes when those that are open have ended. The peer is told twice,
   * so that streams which are on their way are served (RFC 9113 section 6.8).
   */
  void drain() {
    assertLoop();
    if (draining || ended) {
      return;
    }
    if (reader == null) {
      end(ErrorCode.NO_ERROR, "drained", null);
      return;
    }
    draining = true;
    if (client) {
      finishIfDone();
      return;
    }
    Frame.goAway(small(), Integer.MAX_VALUE, ErrorCode.NO_ERROR, "");
    Frame.ping(small(), DRAIN_PING, false);
    wrote();
  }

  /** Ends the session and whatever is open in it. */
  void close(ErrorCode code, String cause) {
    assertLoop();
    end(code, cause, null);
  }

  // ---- the line

  /** What it speaks over from now on, to a peer that is known. */
  void begin(Line over) {
    if (ended) {
      over.close();
      return;
    }
    line = over;
    // A header list counts 32 bytes more for each field than the wire; the block is never longer.
    reader = new FrameReader(over.allocator(), !client, limits.frame(), limits.headerList());
    if (client) {
      Frame.preface(over.room(Frame.prefaceLength()));
    }
    ByteBuf frame = over.room(Frame.HEAD + 6 * SETTINGS);
    Frame.head(frame, 6 * SETTINGS, Frame.SETTINGS, 0, 0);
    setting(frame, Frame.INITIAL_WINDOW_SIZE, limits.streamWindow());
    setting(frame, Frame.MAX_FRAME_SIZE, limits.frame());
    setting(frame, Frame.MAX_HEADER_LIST_SIZE, limits.headerList());
    if (client) {
      setting(frame, Frame.ENABLE_PUSH, 0);
    } else {
      setting(frame, Frame.MAX_CONCURRENT_STREAMS, limits.streams());
    }
    if (limits.connectionWindow() > Frame.DEFAULT_WINDOW) {
      Frame.windowUpdate(small(), 0, limits.connectionWindow() - Frame.DEFAULT_WINDOW);
    }
    wrote();
    ticks =
        over.loop()
            .scheduleAtFixedRate(this::tick, PERIOD_SECONDS, PERIOD_SECONDS, TimeUnit.SECONDS);
  }

  private static void setting(ByteBuf frame, int id, int value) {
    frame.writeShort(id).writeInt(value);
  }

  /** Bytes that the peer sent; the caller keeps the buffer. {@link #readComplete} follows. */
  void read(ByteBuf bytes) {
    reading = true;
    try {
      FrameReader from = reader;
      if (from != null && !ended) {
        from.read(bytes, sink);
      }
    } catch (ConnectionError e) {
      end(e.code(), e.text(), e.abuse());
    } catch (RuntimeException e) {
      end(ErrorCode.INTERNAL_ERROR, String.valueOf(e), null);
    }
  }

  /** All that had come was read. */
  void readComplete() {
    reading = false;
    if (!ended) {
      takeTurn();
    }
  }

  /** The line takes more than it did. */
  void drained() {
    countAnswers();
    if (ringHead != null) {
      wake();
    }
  }

  /** The line is over. */
  void failed(IOException cause) {
    // The peer's refusal of our certificate comes so, after our handshake was done: whoever waits
    // for a stream hears of it by this text.
    String text =
        cause instanceof TlsFailure tls
            ? "TLS: %s (%s)".formatted(PeerRefused.label(tls), tls.getMessage())
            : String.valueOf(cause.getMessage());
    end(ErrorCode.CONNECT_ERROR, text, null);
  }

  private Line line() {
    return Objects.requireNonNull(line, "the session has no line yet");
  }

  void assertLoop() {
    assert line == null || line.loop().inEventLoop();
  }

  // ---- time

  private void tick() {
    if (!peerGreeted || !acknowledged) {
      end(ErrorCode.SETTINGS_TIMEOUT, "no SETTINGS within " + PERIOD_SECONDS + " s", null);
      return;
    }
    Arrays.fill(abuses, 0);
    // One who does not answer the drain's PING has had a period at least.
    if (draining && !client && drainingTicks++ > 0) {
      sayLastWord();
      if (ended) {
        return;
      }
    }
    if (pingOpen) {
      pingSeconds += PERIOD_SECONDS;
      if (pingSeconds >= DEAD_SECONDS) {
        end(ErrorCode.CONNECT_ERROR, "no answer to PING within " + DEAD_SECONDS + " s", null);
        return;
      }
    } else {
      pingOpen = true;
      pingSeconds = 0;
      Frame.ping(small(), ++pings, false);
      wrote();
    }
  }

  // ---- writing

  /** Where a small frame is put; {@link #wrote} or {@link #wroteAnswer} follows. */
  private ByteBuf small() {
    return line().room(Frame.SMALL);
  }

  /** What was put on the line goes out at the end of this turn. */
  private void wrote() {
    dirty = true;
    wake();
  }

  /** The same of what the peer made us write: it counts until it is on its way. */
  private void wroteAnswer() {
    laterAnswers++;
    wrote();
  }

  /** Answers up to the mark have left when as many bytes have. */
  private void countAnswers() {
    Line over = line();
    if (unreadAnswers == 0 || over.sent() >= unreadMark) {
      unreadAnswers = over.sent() >= over.toSend() ? 0 : laterAnswers;
      unreadMark = over.toSend();
      laterAnswers = 0;
    }
  }

  private void answer(int stream, int status, Baggage own, boolean ends) {
    ByteBuf frame = line().room(HEADERS_ROOM);
    int begins = frame.writerIndex();
    headers.response(frame.writeZero(Frame.HEAD), status, own);
    finishHeaders(frame, begins, stream, ends);
  }

  /** Says of a header block, in the room before it, what it is. */
  private static void finishHeaders(ByteBuf frame, int begins, int stream, boolean ends) {
    int length = frame.writerIndex() - begins - Frame.HEAD;
    if (length > Frame.DEFAULT_FRAME_SIZE) {
      throw new IllegalStateException(
          "headers: " + length + " bytes (expected: what fits one frame)");
    }
    frame.setMedium(begins, length);
    frame.setByte(begins + 3, Frame.HEADERS);
    frame.setByte(begins + 4, Frame.END_HEADERS | (ends ? Frame.END_STREAM : 0));
    frame.setInt(begins + 5, stream);
  }

  /** What the peer says of itself, which mostly is what it said before. */
  @SuppressWarnings("ReferenceEquality") // what stands in the header table is one object
  private Baggage baggage(List<? extends CharSequence> lines) {
    if (lines.size() != 1) {
      return Baggage.parse(lines);
    }
    CharSequence line = lines.getFirst();
    if (line != peerLine) {
      peerLine = line;
      peerBaggage = Baggage.parse(lines);
    }
    return peerBaggage;
  }

  private void wake() {
    if (!reading && !scheduled && !ended) {
      scheduled = true;
      owner.inTurn(line().loop(), turn);
    }
  }

  private void scheduledTurn() {
    scheduled = false;
    if (!ended) {
      takeTurn();
    }
  }

  private void takeTurn() {
    Line over = line();
    for (int round = 0; round < ROUNDS && !ended; round++) {
      pump();
      if (!dirty) {
        return;
      }
      dirty = false;
      over.flush();
      countAnswers();
      if (ringHead == null || sendWindow <= 0 || !over.isWritable()) {
        return;
      }
      if (owner.isTurnOver()) {
        break;
      }
    }
    wake();
  }

  /** Lets streams send in turn, a frame each, while there is room. */
  private void pump() {
    Line over = line();
    while (!ended && sendWindow > 0 && over.isWritable()) {
      TunnelStream stream = ringHead;
      if (stream == null) {
        return;
      }
      unlinkHead(stream);
      if (!stream.canSend()) {
        continue;
      }
      int most = Math.min(stream.sendable(), sendWindow);
      int whole = stream.inOnePiece(Math.min(most, longestPayload));
      if (whole > 0) {
        sendWhole(stream, whole);
      } else {
        sendData(stream, Math.min(most, PAYLOAD));
      }
      if (stream.canSend()) {
        link(stream);
      }
      stream.tellWritable();
      closeIfDone(stream);
    }
  }

  private void sendData(TunnelStream stream, int bytes) {
    boolean last = stream.endsAfter(bytes);
    ByteBuf frame = line().room(Frame.HEAD + bytes);
    if (ended) {
      // With the line, which gave back what waited.
      return;
    }
    Frame.dataHead(frame, stream.id(), bytes, last);
    stream.take(frame, bytes);
    sendWindow -= bytes;
    dirty = true;
    if (last) {
      stream.outputEnded();
    }
  }

  private void sendWhole(TunnelStream stream, int bytes) {
    boolean last = stream.endsAfter(bytes);
    stream.sendFrom(line(), bytes, last);
    sendWindow -= bytes;
    dirty = true;
    if (last) {
      stream.outputEnded();
    }
  }

  private void link(TunnelStream stream) {
    if (stream.inRing) {
      return;
    }
    stream.inRing = true;
    if (ringTail == null) {
      ringHead = stream;
    } else {
      ringTail.next = stream;
    }
    ringTail = stream;
  }

  private void unlinkHead(TunnelStream head) {
    ringHead = head.next;
    if (ringHead == null) {
      ringTail = null;
    }
    head.next = null;
    head.inRing = false;
  }

  /** A stream that is over leaves the ring at once: the window may stay shut for long. */
  private void unlink(TunnelStream stream) {
    if (!stream.inRing) {
      return;
    }
    TunnelStream before = null;
    for (TunnelStream at = ringHead; at != null && at != stream; at = at.next) {
      before = at;
    }
    if (before == null) {
      unlinkHead(stream);
      return;
    }
    before.next = stream.next;
    if (ringTail == stream) {
      ringTail = before;
    }
    stream.next = null;
    stream.inRing = false;
  }

  // ---- what streams call

  /** The stream may have something to send. */
  void ready(TunnelStream stream) {
    if (ended || !stream.canSend()) {
      return;
    }
    if (stream.waiting() > 0) {
      link(stream);
      wake();
    } else {
      // The end alone needs no window.
      sendData(stream, 0);
      wake();
      closeIfDone(stream);
    }
  }

  void credit(TunnelStream stream, int increment) {
    if (!ended) {
      Frame.windowUpdate(small(), stream.id(), increment);
      wrote();
    }
  }

  void respond(TunnelStream stream, int status, Baggage own) {
    if (ended) {
      return;
    }
    boolean refused = status / 100 != 2;
    answer(stream.id(), status, own, refused);
    wroteAnswer();
    if (!refused) {
      ready(stream);
      return;
    }
    stream.outputEnded();
    if (!stream.isInputEnded()) {
      // RFC 9113 section 8.1: the answer is whole, the rest of the request is not wanted.
      Frame.resetStream(small(), stream.id(), ErrorCode.NO_ERROR);
      wroteAnswer();
    }
    forget(stream);
  }

  void reset(TunnelStream stream, ErrorCode code) {
    // A server may answer and reset at once; the answer was first.
    if (!ended) {
      pump();
    }
    if (stream.isClosed()) {
      return;
    }
    if (!ended) {
      Frame.resetStream(small(), stream.id(), code);
      wroteAnswer();
    }
    forget(stream);
  }

  // ---- ends

  private void closeIfDone(TunnelStream stream) {
    if (!stream.isClosed() && stream.isInputEnded() && stream.isOutputEnded()) {
      forget(stream);
    }
  }

  /** The stream is over, and whoever must know does. */
  private void forget(TunnelStream stream) {
    stream.close();
    unlink(stream);
    streams.remove(stream.id());
    owner.streamEnded();
    if (!ended) {
      owner.freed(this);
      finishIfDone();
    }
  }

  private void forget(TunnelStream stream, Reset reason) {
    unlink(stream);
    streams.remove(stream.id());
    owner.streamEnded();
    stream.closeBecause(reason);
    if (!ended) {
      owner.freed(this);
      finishIfDone();
    }
  }

  private void finishIfDone() {
    boolean agreed = client || lastWord || peerLast != Integer.MAX_VALUE;
    if (draining && agreed && streams.isEmpty()) {
      end(ErrorCode.NO_ERROR, "drained", null);
    }
  }

  /** The second GOAWAY of a drain: what is open now is all there will be. */
  private void sayLastWord() {
    if (!lastWord) {
      lastWord = true;
      Frame.goAway(small(), lastPeerStream, ErrorCode.NO_ERROR, "");
      wrote();
      finishIfDone();
    }
  }

  private void end(ErrorCode code, String cause, @Nullable Abuse abuse) {
    if (ended) {
      return;
    }
    // Before anything is written: closing may come back here.
    ended = true;
    Line over = line;
    if (over != null && over.isOpen()) {
      // What went wrong inside is not for the peer.
      String told = code == ErrorCode.INTERNAL_ERROR ? "" : cause;
      Frame.goAway(over.room(Frame.SMALL), lastPeerStream, code, told);
      over.close();
    }
    if (ticks != null) {
      ticks.cancel(false);
    }
    for (TunnelStream stream : streams.values().toArray(TunnelStream[]::new)) {
      forget(
          stream, new Reset(code, Reset.Origin.SESSION, client && stream.id() > peerLast, cause));
    }
    if (reader != null) {
      reader.close();
    }
    if (abuse != null) {
      owner.abused(abuse);
    }
    owner.closed(code, cause);
  }

  // ---- reading

  // An EnumMap would box each count.
  @SuppressWarnings("EnumOrdinal")
  private void count(Abuse abuse) throws ConnectionError {
    if (++abuses[abuse.ordinal()] > abuse.limit()) {
      throw new ConnectionError(abuse);
    }
  }

  /** Whether a stream of this number was never opened: frames of it are errors. */
  private boolean isIdle(int stream) {
    if ((stream & 1) == 0) {
      return true;
    }
    // After the last word, streams above it are ignored rather than wrong.
    return client ? stream >= nextStream && nextStream > 0 : stream > lastPeerStream && !lastWord;
  }

  private ConnectionError idle(String frame, int stream) {
    return new ConnectionError(
        ErrorCode.PROTOCOL_ERROR, frame + " on stream " + stream + ", which is not open");
  }

  /** The peer broke a rule on a stream: the stream ends, the session goes on. */
  private void fail(TunnelStream stream, ErrorCode code, String cause) throws ConnectionError {
    answerReset(stream.id(), code);
    forget(stream, new Reset(code, Reset.Origin.ERROR, false, cause));
  }

  private void answerReset(int stream, ErrorCode code) throws ConnectionError {
    count(Abuse.MADE_TO_RESET);
    Frame.resetStream(small(), stream, code);
    wroteAnswerNow();
  }

  private void wroteAnswerNow() throws ConnectionError {
    wroteAnswer();
    checkAnswers();
  }

  private void checkAnswers() throws ConnectionError {
    if (unreadAnswers + laterAnswers > Abuse.UNREAD_ANSWERS.limit()) {
      throw new ConnectionError(Abuse.UNREAD_ANSWERS);
    }
  }

  private final class FrameSink implements FrameReader.Sink {
    private @Nullable TunnelStream target;
    private int length;
    private boolean ends;
    private int newStreamWindow = -1;

    @Override
    public boolean ended() {
      return ended;
    }

    @Override
    public void dataBegins(int id, int frameLength, boolean last) throws ConnectionError {
      target = null;
      length = frameLength;
      ends = last;
      if (frameLength > receiveWindow) {
        throw new ConnectionError(
            ErrorCode.FLOW_CONTROL_ERROR, "more DATA than the connection's window");
      }
      receiveWindow -= frameLength;
      uncredited += frameLength;
      if (uncredited >= limits.connectionWindow() / 2) {
        int increment = uncredited;
        uncredited = 0;
        receiveWindow += increment;
        Frame.windowUpdate(small(), 0, increment);
        wrote();
      }
      TunnelStream stream = streams.get(id);
      if (stream == null) {
        if (isIdle(id)) {
          throw idle("DATA", id);
        }
      } else if (stream.isInputEnded()) {
        fail(stream, ErrorCode.STREAM_CLOSED, "DATA after END_STREAM");
      } else if (client && !stream.isAnswered()) {
        fail(stream, ErrorCode.PROTOCOL_ERROR, "DATA before the answer");
      } else if (!stream.receive(frameLength, unheard())) {
        fail(stream, ErrorCode.FLOW_CONTROL_ERROR, "more DATA than the stream's window");
      } else {
        target = stream;
      }
    }

    /** By how much the peer's idea of a stream's window is wider, until it knows our SETTINGS. */
    private int unheard() {
      return acknowledged ? 0 : Math.max(0, Frame.DEFAULT_WINDOW - limits.streamWindow());
    }

    @Override
    public void data(ByteBuf piece) {
      TunnelStream stream = target;
      if (stream == null || stream.isClosed()) {
        piece.release();
      } else {
        stream.data(piece);
      }
    }

    @Override
    public void dataEnds(int padding) throws ConnectionError {
      if (length == padding && !ends) {
        count(Abuse.EMPTY_DATA);
      }
      TunnelStream stream = target;
      target = null;
      if (stream == null || stream.isClosed()) {
        return;
      }
      if (padding > 0) {
        stream.credit(padding);
      }
      if (ends) {
        endInput(stream);
      }
    }

    private void endInput(TunnelStream stream) {
      stream.inputEnded();
      if (!stream.isClosed() && client && !stream.isEstablished()) {
        // A refusal that is whole; nothing was or will be sent on the stream.
        reset(stream, ErrorCode.CANCEL);
      } else {
        closeIfDone(stream);
      }
    }

    @Override
    public void headers(int id, ByteBuf block, boolean last) throws ConnectionError {
      Http2Headers headers = null;
      String malformed = "malformed headers";
      try {
        // Also where the stream is over: the peer's table has changed with it.
        headers = decoder.decodeHeaders(id, block);
      } catch (Http2Exception e) {
        String text = Objects.requireNonNullElse(e.getMessage(), malformed);
        if (!Http2Exception.isStreamError(e)) {
          throw new ConnectionError(ErrorCode.of((int) e.error().code()), text);
        }
        malformed = text;
      }
      TunnelStream stream = streams.get(id);
      if (stream == null && (client || !isIdle(id) || (id & 1) == 0)) {
        if (isIdle(id)) {
          throw idle("HEADERS", id);
        }
        if (!client) {
          count(Abuse.IDLE_CONTROL);
        }
      } else if (stream == null) {
        lastPeerStream = id;
        if (headers == null) {
          refuse(id, ErrorCode.PROTOCOL_ERROR, malformed);
        } else if (streams.size() >= limits.streams()) {
          refuse(id, ErrorCode.REFUSED_STREAM, "too many streams at once");
        } else {
          opened(id, headers, last);
        }
      } else if (stream.isInputEnded()) {
        fail(stream, ErrorCode.STREAM_CLOSED, "HEADERS after END_STREAM");
      } else if (headers == null) {
        fail(stream, ErrorCode.PROTOCOL_ERROR, malformed);
      } else if (client && !stream.isAnswered()) {
        answered(stream, headers, last);
      } else if (client && !stream.isEstablished() && last) {
        endInput(stream);
      } else {
        // RFC 9113 section 8.5: a tunnel carries DATA and nothing else.
        fail(stream, ErrorCode.PROTOCOL_ERROR, "HEADERS inside a tunnel");
      }
    }

    private void refuse(int id, ErrorCode code, String cause) throws ConnectionError {
      answerReset(id, code);
      owner.refused(0, cause);
    }

    private void opened(int id, Http2Headers headers, boolean last) throws ConnectionError {
      HboneRequest request;
      try {
        request = HboneRequest.parse(headers, TunnelSession.this::baggage);
      } catch (HboneRequest.Refused e) {
        String cause = Objects.requireNonNullElse(e.getMessage(), "not a tunnel");
        if (e.status() == 0) {
          refuse(id, ErrorCode.PROTOCOL_ERROR, cause);
          return;
        }
        count(Abuse.MADE_TO_RESET);
        answer(id, e.status(), Baggage.NONE, true);
        wroteAnswerNow();
        if (!last) {
          Frame.resetStream(small(), id, ErrorCode.NO_ERROR);
          wroteAnswerNow();
        }
        owner.refused(e.status(), cause);
        return;
      }
      TunnelStream stream =
          new TunnelStream(
              TunnelSession.this, id, peerStreamWindow, limits.newStreamWindow(growth));
      streams.put(id, stream);
      owner.streamBegan();
      stream.events(owner.opened(stream, request));
      checkAnswers();
      if (last && !stream.isClosed()) {
        endInput(stream);
      }
    }

    private void answered(TunnelStream stream, Http2Headers headers, boolean last)
        throws ConnectionError {
      List<CharSequence> values = headers.getAll(Http2Headers.PseudoHeaderName.STATUS.value());
      int status = values.size() == 1 ? status(values.getFirst()) : -1;
      if (status < 0 || status == 101 || (status < 200 && last)) {
        fail(stream, ErrorCode.PROTOCOL_ERROR, "an answer without a proper :status");
      } else if (status < 200) {
        count(Abuse.IDLE_CONTROL);
      } else {
        stream.answered(status, baggage(headers.getAll(HboneRequest.BAGGAGE)));
        if (last && !stream.isClosed()) {
          endInput(stream);
        }
      }
    }

    private static int status(CharSequence text) {
      if (text.length() != 3) {
        return -1;
      }
      int status = 0;
      for (int i = 0; i < 3; i++) {
        int digit = text.charAt(i) - '0';
        if (digit < 0 || digit > 9) {
          return -1;
        }
        status = status * 10 + digit;
      }
      return status < 100 ? -1 : status;
    }

    @Override
    public void badPriority(int id) throws ConnectionError {
      TunnelStream stream = streams.get(id);
      if (stream == null) {
        throw new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "PRIORITY of the wrong size");
      }
      fail(stream, ErrorCode.FRAME_SIZE_ERROR, "PRIORITY of the wrong size");
    }

    @Override
    public void resetStream(int id, ErrorCode code) throws ConnectionError {
      TunnelStream stream = streams.get(id);
      if (stream == null) {
        if (isIdle(id)) {
          throw idle("RST_STREAM", id);
        }
        return;
      }
      // A peer that refuses what we ask is busy, not hostile.
      boolean early = !stream.isAnswered() && !(client && code == ErrorCode.REFUSED_STREAM);
      forget(
          stream,
          new Reset(
              code,
              Reset.Origin.PEER,
              code == ErrorCode.REFUSED_STREAM,
              "reset by the peer: " + code));
      if (early) {
        count(Abuse.RAPID_RESET);
      }
    }

    @Override
    public void setting(int id, long value) throws ConnectionError {
      switch (id) {
        case Frame.HEADER_TABLE_SIZE -> headers.peerKeeps(value);
        case Frame.ENABLE_PUSH -> {
          if (value > (client ? 0 : 1)) {
            throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "ENABLE_PUSH " + value);
          }
        }
        case Frame.MAX_CONCURRENT_STREAMS -> peerStreams = value;
        case Frame.INITIAL_WINDOW_SIZE -> {
          if (value > Integer.MAX_VALUE) {
            throw new ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, "INITIAL_WINDOW_SIZE " + value);
          }
          newStreamWindow = (int) value;
        }
        case Frame.MAX_FRAME_SIZE -> {
          if (value < Frame.DEFAULT_FRAME_SIZE || value > Frame.LARGEST_FRAME_SIZE) {
            throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "MAX_FRAME_SIZE " + value);
          }
          longestPayload = (int) Math.min(value, LONGEST_PAYLOAD);
        }
        default -> {
          // RFC 9113 section 6.5.2: unknown settings are ignored. MAX_HEADER_LIST_SIZE is advice,
          // and our few headers are what they are.
        }
      }
    }

    @Override
    public void settingsEnd() throws ConnectionError {
      if (newStreamWindow >= 0) {
        int by = newStreamWindow - peerStreamWindow;
        peerStreamWindow = newStreamWindow;
        newStreamWindow = -1;
        if (by != 0) {
          for (TunnelStream stream : streams.values().toArray(TunnelStream[]::new)) {
            if (!stream.widen(by)) {
              throw new ConnectionError(
                  ErrorCode.FLOW_CONTROL_ERROR, "INITIAL_WINDOW_SIZE overflows a stream's window");
            }
            ready(stream);
          }
        }
      }
      Frame.settingsAck(small());
      wroteAnswerNow();
      if (peerGreeted) {
        count(Abuse.IDLE_CONTROL);
        owner.freed(TunnelSession.this);
      } else {
        peerGreeted = true;
        owner.ready(TunnelSession.this);
      }
    }

    @Override
    public void settingsAcknowledged() throws ConnectionError {
      if (acknowledged) {
        count(Abuse.IDLE_CONTROL);
      }
      acknowledged = true;
    }

    @Override
    public void ping(long opaque, boolean acknowledges) throws ConnectionError {
      if (!acknowledges) {
        count(Abuse.IDLE_CONTROL);
        Frame.ping(small(), opaque, true);
        wroteAnswerNow();
      } else if (pingOpen && opaque == pings) {
        pingOpen = false;
      } else if (opaque == DRAIN_PING && draining && !client && !lastWord) {
        sayLastWord();
      } else {
        count(Abuse.IDLE_CONTROL);
      }
    }

    @Override
    public void goAway(int last, ErrorCode code, String text) throws ConnectionError {
      if (last > peerLast) {
        throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "GOAWAY takes back an earlier one");
      }
      boolean first = !draining;
      peerLast = last;
      draining = true;
      String cause = "GOAWAY " + code + (text.isEmpty() ? "" : ": " + text);
      if (client) {
        for (TunnelStream stream : streams.values().toArray(TunnelStream[]::new)) {
          if (stream.id() > last && !stream.isClosed()) {
            forget(stream, new Reset(code, Reset.Origin.SESSION, true, cause));
          }
        }
      }
      if (ended) {
        return;
      }
      if (first) {
        owner.draining(cause);
      }
      finishIfDone();
    }

    @Override
    public void windowUpdate(int id, int increment) throws ConnectionError {
      if (id == 0) {
        if (increment == 0) {
          throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE of 0");
        }
        if ((long) sendWindow + increment > Integer.MAX_VALUE) {
          throw new ConnectionError(
              ErrorCode.FLOW_CONTROL_ERROR, "the connection's window overflows");
        }
        sendWindow += increment;
        if (ringHead != null) {
          wake();
        }
        return;
      }
      TunnelStream stream = streams.get(id);
      if (stream == null) {
        if (isIdle(id)) {
          throw idle("WINDOW_UPDATE", id);
        }
        count(Abuse.IDLE_CONTROL);
      } else if (increment == 0) {
        fail(stream, ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE of 0");
      } else if (!stream.widen(increment)) {
        fail(stream, ErrorCode.FLOW_CONTROL_ERROR, "the stream's window overflows");
      } else {
        ready(stream);
      }
    }

    @Override
    public void meaningless() throws ConnectionError {
      count(Abuse.IDLE_CONTROL);
    }
  }
}
