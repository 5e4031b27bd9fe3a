package dev.weir.agent.transport;

import io.netty.channel.ChannelException;
import io.netty.channel.EventLoop;
import io.netty.channel.unix.NativeInetAddress;
import io.netty.channel.unix.Socket;
import io.netty.util.concurrent.Future;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.util.Objects;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/** A port in a pod's network namespace where connections are accepted. Owned by its event loop. */
public final class PodPort implements Watch.Ready {
  /** Who takes the connections; called on the port's loop. */
  public interface Arrivals {
    /** A connection, which belongs to no loop yet. */
    void arrived(PodSocket socket);

    /** None can be accepted; it is tried again. */
    void failed(IOException why);
  }

  // As many in one visit as one write of a tunnel may well ask for together.
  private static final int AT_ONCE = 16;

  // Out of descriptors: accept would fail again at once, and turn the loop into a busy one.
  private static final long PAUSE_MILLIS = 500;

  private final Socket socket;
  private final Transport transport;
  private final EventLoop loop;
  private final Arrivals arrivals;
  private final Watch watch;

  /** What accept(2) tells of the peer: a length, an address, its scope and its port. */
  private final byte[] peer = new byte[25];

  private boolean paused;
  private volatile @Nullable InetSocketAddress bound;
  private volatile boolean closed;

  PodPort(Socket socket, Transport transport, EventLoop loop, Arrivals arrivals) {
    this.socket = socket;
    this.transport = transport;
    this.loop = loop;
    this.arrivals = arrivals;
    this.watch = transport.watches().of(socket, this);
  }

  void begin() {
    bound = socket.localAddress();
    watch.begin(loop);
  }

  /** Where it listens, or did. Any thread. */
  public InetSocketAddress localAddress() {
    return Objects.requireNonNull(bound, "it has begun");
  }

  /** Any thread. */
  public boolean isOpen() {
    return !closed;
  }

  private void accept() {
    paused = false;
    for (int count = 0; count < AT_ONCE; count++) {
      if (closed) {
        return;
      }
      int number;
      try {
        number = socket.accept(peer);
      } catch (IOException e) {
        arrivals.failed(e);
        paused = true;
        var _ = loop.schedule(this::accept, PAUSE_MILLIS, TimeUnit.MILLISECONDS);
        return;
      }
      if (number < 0) {
        return;
      }
      InetSocketAddress from = NativeInetAddress.address(peer, 1, peer[0]);
      arrivals.arrived(new PodSocket(new Socket(number), transport, from));
    }
    // The others of the loop first.
    loop.execute(this::accept);
  }

  @Override
  public void ready(int events) {
    if (!paused) {
      accept();
    }
  }

  @Override
  public void lost(Throwable why) {
    closeNow();
    if (!(why instanceof ChannelException)) {
      arrivals.failed(new IOException("the port is closed: " + why, why));
    }
  }

  /** Any thread. What was accepted has been handed on when the future is done. */
  public Future<?> close() {
    return loop.submit(this::closeNow);
  }

  private void closeNow() {
    if (!closed) {
      closed = true;
      refuse();
      watch.ending();
      closeUnwatched();
      watch.ended();
    }
  }

  /** From now on nobody is accepted, though io_uring holds the descriptor for a moment. */
  private void refuse() {
    try {
      socket.shutdown(true, false);
    } catch (IOException e) {
      // It did not listen any more.
    }
  }

  /** Before {@link #begin}. */
  void closeUnwatched() {
    try {
      socket.close();
    } catch (IOException e) {
      // close(2) gives the descriptor back whatever it says.
    }
  }
}
