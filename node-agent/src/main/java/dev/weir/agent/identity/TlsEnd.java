package dev.weir.agent.identity;

import io.netty.buffer.ByteBuf;
import io.netty.internal.tcnative.SSL;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * One end of a TLS connection, without the connection: bytes of the wire go in and come out as
 * buffers, and who owns it carries them. Owned by one event loop, and closed by whoever asked for
 * it; until then it holds native memory and the context that it was made of.
 *
 * <p>BoringSSL reads from and writes to a BIO that has no memory but what it is lent for a call,
 * and a few KiB for what it has to say while it reads: alerts, and flights of the handshake. Who
 * owns this asks for those after each call that may have made them.
 */
public final class TlsEnd {
  /** A record's plaintext (RFC 8446 5.1), and what it has beside that: head, type and tag. */
  private static final int RECORD = 16_384;

  private static final int OVERHEAD = 5 + 1 + 16;

  /**
   * What BoringSSL may have to say before it is fetched: a flight of the handshake with a key of
   * ML-KEM and a chain of some certificates. A longer one shows in the handshake with itself.
   */
  private static final int SPARE = 8_192;

  /** The type of the record that every TLS connection begins with (RFC 8446 5.1). */
  private static final int HANDSHAKE = 22;

  private static final int LEAST_ROOM = 256;

  private final Tls tls;
  private final Set<String> expected;
  private final long ssl;
  private final long bio;
  private boolean begun;
  private boolean shaken;
  private boolean ended;
  private boolean closed;
  private @Nullable PeerRefused refused;
  private @Nullable Peer peer;

  /**
   * @param expected who a server must be; empty where this is the server
   */
  TlsEnd(Tls tls, long ssl, Set<String> expected) {
    this.tls = tls;
    this.expected = expected;
    this.ssl = ssl;
    this.bio = SSL.bioNewByteBuffer(ssl, SPARE);
  }

  /** How long a handshake may take. */
  public long handshakeMillis() {
    return tls.handshakeMillis();
  }

  /** Whether the handshake is over, so that both sides may speak. */
  public boolean isShaken() {
    return shaken;
  }

  /** Whether the peer has said that nothing follows (close_notify). */
  public boolean isEnded() {
    return ended;
  }

  /** Who is at the other end, once the handshake is over. */
  public Peer peer() {
    Peer known = peer;
    if (!shaken || known == null) {
      throw new IllegalStateException("the handshake is not over");
    }
    return known;
  }

  // ---- the handshake

  /**
   * Goes on with the handshake as far as what came allows.
   *
   * <p>What is to be sent then, also where it fails, is to be had by {@link #say}.
   *
   * @param in what came; all of it is taken but what follows the handshake
   */
  public void shake(ByteBuf in) throws TlsFailure {
    if (!begun && in.isReadable()) {
      begun = true;
      if (in.getByte(in.readerIndex()) != HANDSHAKE) {
        throw TlsFailure.notTls();
      }
    }
    int before = in.readableBytes();
    SSL.bioSetByteBuffer(bio, in.memoryAddress() + in.readerIndex(), before, false);
    int result;
    int error;
    try {
      result = SSL.doHandshake(ssl);
      // Asked before anything else is, which may change it.
      error = result > 0 ? SSL.SSL_ERROR_NONE : SSL.getError(ssl, result);
      in.skipBytes(before - SSL.bioLengthByteBuffer(bio));
    } finally {
      SSL.bioClearByteBuffer(bio);
    }
    if (result > 0) {
      finished();
    } else if (error == SSL.SSL_ERROR_WANT_WRITE) {
      throw TlsFailure.of("a flight of more than " + SPARE + " bytes: its chain is too long");
    } else if (error != SSL.SSL_ERROR_WANT_READ) {
      throw failure();
    }
  }

  private void finished() throws TlsFailure {
    if (!Tls.PROTOCOL.equals(SSL.getAlpnSelected(ssl))) {
      // BoringSSL goes on without.
      throw TlsFailure.refused(
          new PeerRefused(PeerRefused.Cause.NO_ALPN, "the peer did not agree to HTTP/2 (ALPN h2)"));
    }
    if (peer == null) {
      throw TlsFailure.refused(
          new PeerRefused(PeerRefused.Cause.NO_CERTIFICATE, "the peer showed no certificate"));
    }
    shaken = true;
    tls.shaken(ssl);
  }

  /** The other side's certificates, in the middle of the handshake. */
  void judge(PeerVerifier verifier, byte[][] chain) throws PeerRefused {
    try {
      peer = expected.isEmpty() ? verifier.client(chain) : verifier.server(chain, expected);
    } catch (PeerRefused why) {
      refused = why;
      throw why;
    }
  }

  /** Whether there is something to be sent that nobody asked for: of the handshake, or an alert. */
  public boolean hasToSay() {
    return SSL.bioLengthNonApplication(bio) > 0;
  }

  /** Appends that. */
  public void say(ByteBuf out) {
    int waiting;
    while ((waiting = SSL.bioLengthNonApplication(bio)) > 0) {
      out.ensureWritable(waiting);
      SSL.bioSetByteBuffer(bio, out.memoryAddress() + out.writerIndex(), out.writableBytes(), true);
      try {
        out.writerIndex(out.writerIndex() + SSL.bioFlushByteBuffer(bio));
      } finally {
        SSL.bioClearByteBuffer(bio);
      }
    }
  }

  private TlsFailure failure() {
    int number = SSL.getLastErrorNumber();
    String text = number == 0 ? "" : SSL.getErrorString(number);
    SSL.clearError();
    PeerRefused why = refused;
    if (why != null) {
      return TlsFailure.refused(why);
    }
    return number == 0 ? TlsFailure.closed("the peer ended the connection") : TlsFailure.of(text);
  }

  // ---- what both sides say

  /**
   * Takes all of what came and appends what was in it. A record that is not whole yet is kept. What
   * is to be sent because of it, also where it fails, is to be had by {@link #say}.
   */
  public void decrypt(ByteBuf in, ByteBuf plain) throws TlsFailure {
    int before = in.readableBytes();
    int error = SSL.SSL_ERROR_NONE;
    SSL.bioSetByteBuffer(bio, in.memoryAddress() + in.readerIndex(), before, false);
    try {
      while (error == SSL.SSL_ERROR_NONE) {
        if (!plain.isWritable()) {
          plain.ensureWritable(Math.max(LEAST_ROOM, SSL.sslPending(ssl)));
        }
        int read =
            SSL.readFromSSL(
                ssl, plain.memoryAddress() + plain.writerIndex(), plain.writableBytes());
        if (read > 0) {
          plain.writerIndex(plain.writerIndex() + read);
        } else {
          error = SSL.getError(ssl, read);
        }
      }
      in.skipBytes(before - SSL.bioLengthByteBuffer(bio));
    } finally {
      SSL.bioClearByteBuffer(bio);
    }
    if (error == SSL.SSL_ERROR_ZERO_RETURN) {
      ended = true;
    } else if (error != SSL.SSL_ERROR_WANT_READ && error != SSL.SSL_ERROR_WANT_WRITE) {
      throw failure();
    }
  }

  /** How many bytes so many become at most. */
  public static int encrypted(int bytes) {
    return bytes + (bytes / RECORD + 1) * OVERHEAD;
  }

  /**
   * Takes the next so many bytes.
   *
   * @param out gets the records; has room for {@link #encrypted}
   */
  public void encrypt(ByteBuf plain, int bytes, ByteBuf out) throws TlsFailure {
    int end = plain.readerIndex() + bytes;
    int room = out.writableBytes();
    SSL.bioSetByteBuffer(bio, out.memoryAddress() + out.writerIndex(), room, true);
    try {
      while (plain.readerIndex() < end) {
        int written =
            SSL.writeToSSL(
                ssl, plain.memoryAddress() + plain.readerIndex(), end - plain.readerIndex());
        if (written <= 0) {
          throw failure();
        }
        plain.skipBytes(written);
      }
    } finally {
      out.writerIndex(out.writerIndex() + room - SSL.bioLengthByteBuffer(bio));
      SSL.bioClearByteBuffer(bio);
    }
  }

  /** Makes it {@link #say} that nothing follows (close_notify). */
  public void sayEnd() {
    int _ = SSL.shutdownSSL(ssl);
    SSL.clearError();
  }

  /** Frees what it has; may be called again. */
  public void close() {
    if (!closed) {
      closed = true;
      tls.shaken(ssl);
      SSL.freeSSL(ssl);
      tls.release();
    }
  }
}
