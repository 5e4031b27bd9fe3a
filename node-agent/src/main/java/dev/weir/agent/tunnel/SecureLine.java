package dev.weir.agent.tunnel;

import dev.weir.agent.identity.Peer;
import dev.weir.agent.identity.TlsEnd;
import dev.weir.agent.identity.TlsFailure;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.ByteBufAllocator;
import io.netty.buffer.Unpooled;
import io.netty.channel.EventLoop;
import io.netty.util.concurrent.Future;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.util.Objects;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/**
 * TLS between a session and what carries it: first the handshake, of which its owner hears, then
 * what both sides say. Frames are put together here and encrypted when there is a record's worth of
 * them, or when the session has said all that it has for now: what one turn of the loop makes is
 * one call to the kernel, and few records. Owned by its event loop; what other threads may call
 * says so.
 */
final class SecureLine implements Line {
  /** Who wants the handshake. One of the two is called, once. */
  interface Owner {
    /** Both sides know each other: give the line its session before returning, or close it. */
    void shaken(Peer peer);

    /** It came to nothing, and the line is closed. */
    void failed(IOException why);
  }

  // What is put together before it is encrypted. More would not be in a core's cache any more when
  // it is copied on; a line that says little is given little.
  private static final int LEAST = 1_024;
  private static final int MOST = 64 * 1_024;

  /** What may wait before a session stops; what it goes on at. */
  static final int HIGH = 256 * 1_024;

  static final int LOW = 64 * 1_024;

  private static final int CLOSE_SECONDS = 1;

  private static final int SAID = 4_096;

  private final TlsEnd tls;
  private final Carrier carrier;
  private final ByteBufAllocator allocator;
  private final Owner owner;
  private @Nullable TunnelSession session;
  private @Nullable Future<?> deadline;
  private @Nullable ByteBuf plain;
  private int size = LEAST;
  private boolean full;
  private long given;
  private boolean told;
  private boolean closing;
  private volatile boolean closed;

  private SecureLine(TlsEnd tls, Carrier carrier, ByteBufAllocator allocator, Owner owner) {
    this.tls = tls;
    this.carrier = carrier;
    this.allocator = allocator;
    this.owner = owner;
  }

  /**
   * Begins a handshake over what is connected; on its loop.
   *
   * @param tls closed with the line
   */
  static SecureLine begin(TlsEnd tls, Carrier carrier, ByteBufAllocator allocator, Owner owner) {
    SecureLine line = new SecureLine(tls, carrier, allocator, owner);
    long millis = tls.handshakeMillis();
    line.deadline =
        carrier
            .loop()
            .schedule(() -> line.failed(TlsFailure.timeout(millis)), millis, TimeUnit.MILLISECONDS);
    line.shake(Unpooled.EMPTY_BUFFER);
    if (!line.closed) {
      carrier.begin(line);
    }
    return line;
  }

  /** Whom it speaks for from now on. */
  void carry(TunnelSession whose) {
    session = whose;
    whose.begin(this);
  }

  // ---- what it is; any thread

  @Override
  public boolean isOpen() {
    return !closed && carrier.isOpen();
  }

  @Nullable InetSocketAddress remoteAddress() {
    return carrier.remoteAddress();
  }

  @Nullable InetSocketAddress localAddress() {
    return carrier.localAddress();
  }

  /** Bytes that wait in it and beneath, about. */
  long buffered() {
    ByteBuf unsent = plain;
    return carrier.waiting() + (unsent == null ? 0L : unsent.readableBytes());
  }

  // ---- what the session calls

  @Override
  public EventLoop loop() {
    return carrier.loop();
  }

  @Override
  public ByteBufAllocator allocator() {
    return allocator;
  }

  @Override
  public ByteBuf room(int bytes) {
    ByteBuf unsent = plain;
    if (unsent != null && unsent.writableBytes() < bytes) {
      size = Math.min(MOST, 4 * size);
      seal();
      unsent = null;
    }
    if (closed) {
      // It ended while it was written to: what is said goes nowhere, and is nobody's to give back.
      return Unpooled.buffer(bytes);
    }
    if (unsent == null) {
      unsent = allocator.directBuffer(Math.max(size, bytes));
      plain = unsent;
    }
    return unsent;
  }

  @Override
  public void write(ByteBuf bytes, int count) {
    int end = bytes.readerIndex() + count;
    seal();
    if (!closed) {
      encrypt(bytes, count);
    }
    bytes.readerIndex(end);
  }

  @Override
  public boolean isWritable() {
    if (!full && buffered() >= HIGH) {
      full = true;
    }
    return !full && !closed;
  }

  @Override
  public void flush() {
    ByteBuf unsent = plain;
    if (unsent != null && size > LEAST && unsent.readableBytes() < size / 4) {
      size = Math.max(LEAST, size / 2);
    }
    seal();
    if (!closed) {
      carrier.flush();
    }
    if (full && buffered() < LOW) {
      full = false;
    }
  }

  /** Encrypts what was put together. */
  private void seal() {
    ByteBuf unsent = plain;
    plain = null;
    if (unsent == null) {
      return;
    }
    if (closed || !unsent.isReadable()) {
      unsent.release();
      return;
    }
    try {
      encrypt(unsent, unsent.readableBytes());
    } finally {
      unsent.release();
    }
  }

  private void encrypt(ByteBuf bytes, int count) {
    ByteBuf records = allocator.directBuffer(TlsEnd.encrypted(count));
    try {
      tls.encrypt(bytes, count, records);
    } catch (TlsFailure e) {
      records.release();
      failed(e);
      return;
    }
    given += records.readableBytes();
    carrier.write(records);
  }

  @Override
  public long toSend() {
    return given;
  }

  @Override
  public long sent() {
    return given - carrier.waiting();
  }

  @Override
  public void close() {
    if (closed || closing) {
      return;
    }
    closing = true;
    seal();
    if (closed) {
      return;
    }
    if (tls.isShaken()) {
      tls.sayEnd();
    }
    say();
    if (carrier.isOpen()) {
      // Where the peer does not read, the last of it never leaves.
      deadline = loop().schedule(this::closeNow, CLOSE_SECONDS, TimeUnit.SECONDS);
      carrier.closeWhenSent();
    } else {
      closeNow();
    }
  }

  /** Ends it here and now. Whoever waits for the handshake, or the session, is told. */
  void abort(IOException why) {
    if (!closed) {
      failed(why);
    }
  }

  // ---- what the carrier calls

  /** Bytes came; the caller keeps the buffer. */
  void received(ByteBuf records) {
    if (closed) {
      return;
    }
    if (!tls.isShaken()) {
      shake(records);
      if (closed || !tls.isShaken()) {
        return;
      }
    }
    if (records.isReadable()) {
      decrypt(records);
    }
  }

  /** All that had come was brought. */
  void receivedAll() {
    TunnelSession whose = session;
    if (whose != null && !closed) {
      whose.readComplete();
    }
  }

  /** Some of what waited has left. */
  void drained() {
    TunnelSession whose = session;
    if (whose != null && !closed) {
      if (full && buffered() < LOW) {
        full = false;
      }
      if (!full) {
        whose.drained();
      }
    }
  }

  /** Nothing more will come, or go. */
  void ended(IOException why) {
    if (!closed) {
      failed(tls.isShaken() ? why : TlsFailure.closed(String.valueOf(why.getMessage())));
    }
  }

  // ---- the handshake

  private void shake(ByteBuf records) {
    try {
      tls.shake(records);
    } catch (TlsFailure e) {
      // An alert tells the peer why, where TLS has a word for it.
      say();
      failed(e);
      return;
    }
    say();
    if (tls.isShaken() && !closed && !told) {
      told = true;
      stopWaiting();
      owner.shaken(tls.peer());
    }
  }

  /** Sends what TLS has to say by itself. */
  private void say() {
    if (!closed && tls.hasToSay()) {
      ByteBuf said = allocator.directBuffer(SAID);
      tls.say(said);
      given += said.readableBytes();
      carrier.write(said);
      carrier.flush();
    }
  }

  private void stopWaiting() {
    Future<?> timer = deadline;
    if (timer != null) {
      timer.cancel(false);
      deadline = null;
    }
  }

  // ---- what the peer says

  private void decrypt(ByteBuf records) {
    ByteBuf said = allocator.directBuffer(records.readableBytes());
    try {
      tls.decrypt(records, said);
      say();
      if (said.isReadable() && !closed) {
        Objects.requireNonNull(session, "nobody was given to the line").read(said);
      }
      if (tls.isEnded() && !closed) {
        ended(new IOException("the peer ended it"));
      }
    } catch (TlsFailure e) {
      say();
      failed(e);
    } finally {
      said.release();
    }
  }

  private void failed(IOException why) {
    boolean waited = !told;
    told = true;
    TunnelSession whose = session;
    closeNow();
    if (waited) {
      owner.failed(why);
    } else if (whose != null) {
      whose.failed(why);
    }
  }

  private void closeNow() {
    if (!closed) {
      closed = true;
      stopWaiting();
      ByteBuf unsent = plain;
      plain = null;
      if (unsent != null) {
        unsent.release();
      }
      carrier.close();
      tls.close();
    }
  }
}
