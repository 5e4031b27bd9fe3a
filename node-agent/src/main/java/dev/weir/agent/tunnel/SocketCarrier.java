package dev.weir.agent.tunnel;

import dev.weir.agent.fairness.Share;
import dev.weir.agent.transport.PodSocket;
import dev.weir.agent.transport.ReadSize;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.ByteBufAllocator;
import io.netty.channel.EventLoop;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * A socket that carries a tunnel. It is read when it is its pod's turn, and always: windows of
 * HTTP/2 bound what is here, not the socket's.
 */
final class SocketCarrier implements Carrier, PodSocket.Owner {
  private static final int READS_AT_ONCE = 2;

  private final EventLoop loop;
  private final PodSocket socket;
  private final ByteBufAllocator allocator;
  private final Share share;
  private final Share.Work reads;
  private final Runnable drain = this::drainNow;
  private final ReadSize size = new ReadSize();
  private @Nullable SecureLine line;
  private boolean closing;

  /**
   * @param socket connected
   * @param share of the pod that the tunnel belongs to
   */
  SocketCarrier(EventLoop loop, PodSocket socket, ByteBufAllocator allocator, Share share) {
    this.loop = loop;
    this.socket = socket;
    this.allocator = allocator;
    this.share = share;
    this.reads = share.work(this::read);
  }

  @Override
  public EventLoop loop() {
    return loop;
  }

  @Override
  public void begin(SecureLine to) {
    line = to;
    socket.join(loop, this);
  }

  private SecureLine line() {
    return Objects.requireNonNull(line, "it was begun");
  }

  @Override
  public void readable() {
    reads.now();
  }

  private void read() {
    try {
      readSome();
    } catch (RuntimeException e) {
      lost(e);
    }
  }

  private void readSome() {
    if (!socket.isOpen()) {
      return;
    }
    for (int visits = 0; visits < READS_AT_ONCE && socket.mayRead(); visits++) {
      ByteBuf records = allocator.directBuffer(size.guess());
      try {
        int count = socket.read(records);
        if (count == PodSocket.END) {
          line().receivedAll();
          line().ended(new IOException("the connection was closed"));
          return;
        }
        if (count == PodSocket.NOTHING) {
          break;
        }
        size.was(count, records.capacity());
        line().received(records);
      } catch (IOException e) {
        line().receivedAll();
        line().ended(e);
        return;
      } finally {
        records.release();
      }
      if (!socket.isOpen()) {
        return;
      }
      if (share.isOver()) {
        break;
      }
    }
    line().receivedAll();
    if (socket.isOpen() && socket.mayRead()) {
      reads.inNextTurn();
    }
  }

  @Override
  public void drained() {
    share.atOnce(drain);
  }

  private void drainNow() {
    if (closing) {
      closeIfSent();
    } else {
      line().drained();
    }
  }

  @Override
  public void broken(IOException why) {
    line().ended(why);
  }

  @Override
  public void lost(Throwable why) {
    line().ended(new IOException(String.valueOf(why), why));
  }

  @Override
  public void write(ByteBuf bytes) {
    boolean _ = socket.write(bytes);
  }

  @Override
  public void flush() {
    socket.flush();
  }

  @Override
  public int waiting() {
    return socket.waiting();
  }

  @Override
  public boolean isOpen() {
    return socket.isOpen();
  }

  @Override
  public @Nullable InetSocketAddress remoteAddress() {
    return socket.remoteAddress();
  }

  @Override
  public @Nullable InetSocketAddress localAddress() {
    return socket.localAddress();
  }

  @Override
  public void closeWhenSent() {
    closing = true;
    socket.endOutput();
    closeIfSent();
  }

  private void closeIfSent() {
    if (socket.hasWrittenAll() && socket.isOpen()) {
      line().ended(new IOException("closed"));
    }
  }

  @Override
  public void close() {
    socket.close();
  }
}
