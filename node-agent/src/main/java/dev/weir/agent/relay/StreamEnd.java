package dev.weir.agent.relay;

import dev.weir.agent.fairness.Share;
import dev.weir.agent.tunnel.Baggage;
import dev.weir.agent.tunnel.ErrorCode;
import dev.weir.agent.tunnel.Reset;
import dev.weir.agent.tunnel.TunnelStream;
import io.netty.buffer.ByteBuf;

/**
 * A stream in a tunnel at one end of a relayed connection. END_STREAM is TCP's FIN and RST_STREAM
 * its RST (RFC 9113 §8.5), so ends and resets pass as between two sockets.
 *
 * <p>Back-pressure: what arrives is credited to the sender only while the peer takes it, so a
 * reader that stops holds one stream window at most and nobody else's. Owned by the tunnel's event
 * loop.
 */
final class StreamEnd implements End, TunnelStream.Events {
  private final Relay relay;
  private final TunnelStream stream;
  private final boolean client;
  private final Share.Work flush;
  private int owed;
  private boolean flushDue;
  private boolean widened;
  private boolean wanted = true;
  private boolean inputEnded;
  private boolean outputEnded;
  private boolean gone;

  StreamEnd(Relay relay, TunnelStream stream, boolean client) {
    this.relay = relay;
    this.stream = stream;
    this.client = client;
    this.flush = relay.share().work(this::flushPeer);
  }

  private End peer() {
    return client ? relay.server() : relay.client();
  }

  @Override
  public void data(ByteBuf bytes) {
    int count = bytes.readableBytes();
    owed += count;
    if (!widened && stream.isWidened()) {
      widened = true;
      if (peer() instanceof SocketEnd to) {
        to.widen();
      }
    }
    if (peer().write(bytes)) {
      relay.read(client, count);
    }
    // One burst brings many records; what they carry leaves in one write when the loop has read
    // all.
    if (!flushDue) {
      flushDue = true;
      flush.later();
    }
    credit();
  }

  private void flushPeer() {
    flushDue = false;
    if (!gone) {
      peer().flush();
    }
  }

  private void credit() {
    if (wanted && owed > 0) {
      int now = owed;
      owed = 0;
      stream.consumed(now);
    }
  }

  @Override
  public void reading(boolean on) {
    wanted = on;
    credit();
  }

  /** How much the other end should read at once, at most. */
  int room() {
    return stream.room();
  }

  @Override
  public long buffered() {
    return stream.buffered();
  }

  @Override
  public boolean write(ByteBuf bytes) {
    if (gone || outputEnded) {
      bytes.release();
      return false;
    }
    stream.write(bytes);
    if (!stream.isWritable()) {
      peer().reading(false);
    }
    return true;
  }

  /** All that comes from the other end is in memory that nobody else has. */
  void ownsWhatIsWritten() {
    stream.ownsWhatIsWritten();
  }

  @Override
  public int headroom(int bytes) {
    return bytes > TunnelStream.LONG ? TunnelStream.HEADROOM : 0;
  }

  @Override
  public void writable() {
    peer().reading(true);
  }

  /** The session sends once a turn of the loop, whatever its streams have written. */
  @Override
  public void flush() {}

  @Override
  public void end() {
    inputEnded = true;
    peer().endOutput();
    endIfDone();
  }

  @Override
  public void endOutput() {
    if (!gone && !outputEnded) {
      outputEnded = true;
      stream.end();
      endIfDone();
    }
  }

  private void endIfDone() {
    if (inputEnded && outputEnded) {
      gone(true);
    }
  }

  @Override
  public void answered(int status, Baggage peer) {
    throw new IllegalStateException("a stream is relayed only once it is answered");
  }

  @Override
  public void reset(Reset reason) {
    if (reason.isOfTunnel()) {
      relay.tunnelEnded(reason.cause());
    }
    // What came before it is the peer's to read.
    peer().flush();
    gone(false);
  }

  @Override
  public void reset() {
    if (!gone) {
      stream.reset(ErrorCode.CANCEL);
      gone(true);
    }
  }

  private void gone(boolean inOrder) {
    if (!gone) {
      gone = true;
      relay.closed(inOrder);
    }
  }
}
