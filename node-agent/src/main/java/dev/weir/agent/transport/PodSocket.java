package dev.weir.agent.transport;

import io.netty.buffer.ByteBuf;
import io.netty.channel.ChannelException;
import io.netty.channel.ConnectTimeoutException;
import io.netty.channel.EventLoop;
import io.netty.channel.unix.IovArray;
import io.netty.channel.unix.Socket;
import io.netty.util.concurrent.FastThreadLocal;
import io.netty.util.concurrent.Future;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.NotYetConnectedException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.Objects;
import java.util.OptionalInt;
import java.util.concurrent.TimeUnit;
import java.util.function.UnaryOperator;
import org.jspecify.annotations.Nullable;

/**
 * A TCP socket in a pod's network namespace: what is to be written waits here in order, and what
 * has come stays in the kernel until its owner reads it. There is no pipeline and no promise in
 * between, since a short connection would spend most of its time on them; Netty drives the event
 * loop, lends buffers and makes the calls.
 *
 * <p>The kernel tells of changes only ({@link Watch}). So an owner that is told of something to
 * read reads until it is told that nothing is left, at once or later; {@link #mayRead} remembers.
 *
 * <p>Made by any thread, owned by its event loop from {@link #join} or {@link #connect} on; what
 * other threads may call says so.
 */
public final class PodSocket implements Watch.Ready {
  /** Whose connection it is; called on its loop. */
  public interface Owner {
    /** There is something to read, or the end of it, or an error that a read will tell. */
    void readable();

    /** Some of what waited has left. */
    void drained();

    /** Nothing can be written any more, and what waited is dropped. What came is still there. */
    void broken(IOException why);

    /** It is closed, since the event loop ends or something went wrong inside. */
    void lost(Throwable why);
  }

  /** Hears how connecting came out: a failure, or null. The socket of one that failed is closed. */
  public interface Connecting {
    void connected(@Nullable IOException failure);
  }

  /** What {@link #read} answers: nothing is there now. */
  public static final int NOTHING = 0;

  /** What {@link #read} answers: the peer has ended its output. */
  public static final int END = -1;

  // struct tcp_info up to tcpi_rtt.
  private static final int TCP_INFO = 11;
  private static final int INFO_BYTES = 72;
  private static final int INFO_UNACKED = 24;
  private static final int INFO_RTT = 68;
  private static final int TCP_CORK = 3;
  private static final int TCP_CONGESTION = 13;
  private static final int CONGESTION_BYTES = 16;

  /** Built into every kernel, and it does not pace. */
  private static final ByteBuffer RENO =
      ByteBuffer.wrap("reno".getBytes(StandardCharsets.US_ASCII)).asReadOnlyBuffer();

  private static final int BBR = 'b' << 16 | 'b' << 8 | 'r';
  private static final int SOL_TCP = 6;
  private static final int SOL_SOCKET = 1;
  private static final int SO_COOKIE = 57;

  /** A FIN joins what is sent before it only where that is the last segment anyway. */
  private static final int ONE_SEGMENT = 1_024;

  private static final int MOST_AT_ONCE = 64;

  private static final FastThreadLocal<IovArray> GATHERED =
      new FastThreadLocal<>() {
        @Override
        protected IovArray initialValue() {
          return new IovArray(MOST_AT_ONCE);
        }

        @Override
        protected void onRemoval(IovArray array) {
          array.release();
        }
      };

  private final Socket socket;
  private final Transport transport;
  private @Nullable InetSocketAddress remote;
  private @Nullable EventLoop loop;
  private @Nullable Watch watch;
  private @Nullable Owner owner;
  private @Nullable Connecting connecting;
  private @Nullable Future<?> deadline;

  // Nearly always at most one piece waits, so the queue behind it is made when needed.
  private @Nullable Object first;
  private @Nullable ArrayDeque<Object> rest;
  private int waiting;

  /** The kernel has no room; it says when it has. */
  private boolean blocked;

  private boolean readable;

  /** The peer has ended or reset it: a short read does not mean that nothing is left. */
  private boolean hungUp;

  /** The same of one that a sockmap puts bytes into, or that has had urgent data. */
  private boolean readsInPieces;

  private boolean ending;
  private boolean outputEnded;
  private boolean outputBroken;
  private volatile boolean closed;

  /**
   * @param remote whom it is connected to; null where it is not yet
   */
  PodSocket(Socket socket, Transport transport, @Nullable InetSocketAddress remote) {
    this.socket = socket;
    this.transport = transport;
    this.remote = remote;
  }

  // ---- what it is; any thread

  public boolean isOpen() {
    return !closed;
  }

  /** Whom it is connected to; null where it is not, or not any more. */
  public @Nullable InetSocketAddress remoteAddress() {
    InetSocketAddress known = remote;
    return known != null || closed ? known : socket.remoteAddress();
  }

  public @Nullable InetSocketAddress localAddress() {
    return closed ? null : socket.localAddress();
  }

  /** Bytes that wait to be written, about. */
  public int waiting() {
    return waiting;
  }

  /** SO_COOKIE: the kernel's own number of it; 0 where it has gone. */
  public long cookie() {
    ByteBuffer cookie = ask(SOL_SOCKET, SO_COOKIE, Long.BYTES);
    return cookie == null ? 0 : cookie.getLong(0);
  }

  /** Whether the other side has yet to acknowledge something that was sent. */
  public boolean isUnderway() {
    ByteBuffer info = ask(SOL_TCP, TCP_INFO, INFO_BYTES);
    return info != null && info.getInt(INFO_UNACKED) != 0;
  }

  /** What TCP takes for the time to the other side and back, once that is known. */
  public OptionalInt roundTripMicros() {
    ByteBuffer info = ask(SOL_TCP, TCP_INFO, INFO_BYTES);
    int micros = info == null ? 0 : info.getInt(INFO_RTT);
    return micros == 0 ? OptionalInt.empty() : OptionalInt.of(micros);
  }

  /**
   * Has it send as the peer's window allows, where the node's default is BBR: that waits for timers
   * between small bursts, of which each wakes somebody. Other defaults stay.
   */
  public void unpace() {
    ByteBuffer name = ask(SOL_TCP, TCP_CONGESTION, CONGESTION_BYTES);
    if (name != null && isBbr(name)) {
      try {
        socket.setRawOpt(SOL_TCP, TCP_CONGESTION, RENO.duplicate());
      } catch (IOException e) {
        throw new PodSockets.SocketException("set TCP_CONGESTION: " + e.getMessage(), e);
      }
    }
  }

  /** Any of its versions. */
  private static boolean isBbr(ByteBuffer name) {
    return (name.get(0) << 16 | name.get(1) << 8 | name.get(2)) == BBR;
  }

  /** Null where it is closed, or forgotten by the kernel. */
  private @Nullable ByteBuffer ask(int level, int name, int bytes) {
    ByteBuffer answer = ByteBuffer.allocate(bytes).order(ByteOrder.nativeOrder());
    try {
      socket.getRawOpt(level, name, answer);
      return answer;
    } catch (IOException e) {
      return null;
    }
  }

  /** SO_ERROR, which the kernel tells once. */
  public boolean hasFailed() {
    try {
      return socket.getSoError() != 0;
    } catch (IOException e) {
      return true;
    }
  }

  Socket socket() {
    return socket;
  }

  int number() {
    return socket.intValue();
  }

  // ---- its life

  /**
   * A connected socket begins to be looked at. What had come before is told of as well.
   *
   * @throws io.netty.channel.ChannelException where the loop cannot take it
   */
  public void join(EventLoop its, Owner whose) {
    assert its.inEventLoop();
    loop = its;
    owner = whose;
    if (watch == null) {
      var _ = watch();
    } else if (readable) {
      // It came while connecting, when nobody could be told.
      whose.readable();
    }
  }

  /**
   * Connects; it may have before this returns.
   *
   * @param from the address to call from; null for any
   */
  public void connect(
      EventLoop its,
      InetSocketAddress to,
      @Nullable InetSocketAddress from,
      long millis,
      Connecting then) {
    assert its.inEventLoop();
    loop = its;
    remote = to;
    boolean connected;
    try {
      if (from != null) {
        socket.bind(from);
      }
      connected = socket.connect(to);
      if (!connected) {
        // What is on this node has answered before that returns, and to ask again tells: no visit
        // of the loop to its sockets is waited for.
        connected = socket.connect(to);
      }
      if (!connected) {
        watch().lookForRoom();
      }
    } catch (IOException | ChannelException e) {
      close();
      then.connected(e instanceof IOException io ? io : new IOException(e));
      return;
    }
    if (connected) {
      then.connected(null);
      return;
    }
    connecting = then;
    deadline =
        its.schedule(
            () ->
                failConnecting(
                    new ConnectTimeoutException(
                        "no answer from %s in %d ms".formatted(to, millis))),
            millis,
            TimeUnit.MILLISECONDS);
  }

  private void tryToFinishConnecting() {
    Connecting then = connecting;
    InetSocketAddress to = remote;
    if (then == null || to == null) {
      return;
    }
    try {
      if (!socket.connect(to)) {
        return;
      }
    } catch (IOException e) {
      failConnecting(e);
      return;
    }
    connectingEnded();
    then.connected(null);
  }

  private void failConnecting(IOException why) {
    Connecting then = connecting;
    if (then != null) {
      connectingEnded();
      close();
      then.connected(why);
    }
  }

  private void connectingEnded() {
    connecting = null;
    Future<?> timer = deadline;
    if (timer != null) {
      timer.cancel(false);
      deadline = null;
    }
  }

  // ---- reading

  /** Whether a read may find anything. */
  public boolean mayRead() {
    return readable;
  }

  /**
   * Bytes may be put into it past TCP: one read then takes of those or of TCP's, never of both
   * (tcp_bpf_recvmsg), and is short though the other queue has more.
   */
  public void expectJoining() {
    readsInPieces = true;
  }

  /** Something has probably come before it is looked at: a read will tell. */
  public void expectInput() {
    readable = true;
  }

  /**
   * Reads as much as there is room for.
   *
   * @return how many bytes, {@link #NOTHING} or {@link #END}
   */
  public int read(ByteBuf into) throws IOException {
    int at = into.writerIndex();
    int room = into.writableBytes();
    int count;
    try {
      count = socket.recvAddress(into.memoryAddress(), at, at + room);
    } catch (NotYetConnectedException e) {
      // Linux says so of one whose reset was told before.
      throw new IOException("the connection is over", e);
    }
    if (count > 0) {
      into.writerIndex(at + count);
      // epoll(7): less than was asked for means that nothing is left, but for the end.
      readable = count == room || hungUp || readsInPieces;
    } else {
      readable = false;
    }
    return count;
  }

  // ---- writing

  /**
   * Takes bytes, which are its own from now on; they leave with the next {@link #flush}.
   *
   * @return false where nobody will read them any more
   */
  public boolean write(ByteBuf bytes) {
    if (closed || ending || outputBroken) {
      bytes.release();
      return false;
    }
    int count = bytes.readableBytes();
    if (count == 0) {
      bytes.release();
      return true;
    }
    add(bytes, count);
    return true;
  }

  /** The same of bytes in a pipe. */
  public boolean write(PipedBytes bytes) {
    if (closed || ending || outputBroken) {
      bytes.release();
      return false;
    }
    add(bytes, bytes.left());
    return true;
  }

  private void add(Object piece, int count) {
    waiting += count;
    if (first == null) {
      first = piece;
    } else {
      if (rest == null) {
        rest = new ArrayDeque<>(8);
      }
      rest.add(piece);
    }
  }

  /**
   * What waits first goes into another buffer, where that is to be had.
   *
   * @param other takes the bytes and gives the same ones back
   */
  public void moveFirst(UnaryOperator<ByteBuf> other) {
    if (first instanceof ByteBuf bytes) {
      first = other.apply(bytes);
    }
  }

  /** Whether the kernel has taken all so far. */
  public boolean hasWrittenAll() {
    return waiting == 0;
  }

  /** Whether nothing can be written any more but what waits. */
  public boolean isOutputOver() {
    return ending || outputBroken || closed;
  }

  /** Sends what waits, as far as the kernel takes it. */
  public void flush() {
    if (!blocked && !closed && !outputBroken) {
      send();
    }
  }

  /** Ends output (FIN) once all that waits is written. */
  public void endOutput() {
    if (!isOutputOver()) {
      ending = true;
      flush();
    }
  }

  /** Whether our FIN has left. */
  public boolean isOutputEnded() {
    return outputEnded;
  }

  private void send() {
    try {
      boolean corked = ending && first != null && waiting <= ONE_SEGMENT;
      if (corked) {
        // The FIN goes in the same segment, and whoever reads is woken once for both.
        socket.setIntOpt(SOL_TCP, TCP_CORK, 1);
      }
      while (first != null) {
        if (!sendOnce()) {
          if (corked) {
            socket.setIntOpt(SOL_TCP, TCP_CORK, 0);
          }
          blocked = true;
          watch().lookForRoom();
          return;
        }
      }
      if (ending && !outputEnded) {
        outputEnded = true;
        socket.shutdown(false, true);
      }
    } catch (IOException | NotYetConnectedException e) {
      outputBroken = true;
      drop();
      Owner told = owner;
      if (told != null) {
        told.broken(e instanceof IOException io ? io : new IOException(e));
      }
    }
  }

  /** One call for what waits first; false where the kernel had not room for all of it. */
  private boolean sendOnce() throws IOException {
    if (first instanceof PipedBytes piped) {
      int count = piped.drain(number());
      waiting -= count;
      if (piped.left() > 0) {
        return false;
      }
      piped.release();
      next();
      return true;
    }
    ByteBuf bytes = (ByteBuf) Objects.requireNonNull(first);
    if (rest != null && !rest.isEmpty()) {
      return sendGathered();
    }
    int count = socket.sendAddress(bytes.memoryAddress(), bytes.readerIndex(), bytes.writerIndex());
    waiting -= count;
    bytes.skipBytes(count);
    if (bytes.isReadable()) {
      return false;
    }
    bytes.release();
    next();
    return true;
  }

  private boolean sendGathered() throws IOException {
    IovArray array = GATHERED.get();
    array.clear();
    ByteBuf head = (ByteBuf) Objects.requireNonNull(first);
    array.add(head, head.readerIndex(), head.readableBytes());
    for (Object each : Objects.requireNonNull(rest)) {
      if (!(each instanceof ByteBuf more)
          || !array.add(more, more.readerIndex(), more.readableBytes())) {
        break;
      }
    }
    long all = array.size();
    long count = socket.writevAddresses(array.memoryAddress(0), array.count());
    long left = count;
    while (left > 0) {
      ByteBuf bytes = (ByteBuf) Objects.requireNonNull(first);
      int of = (int) Math.min(left, bytes.readableBytes());
      bytes.skipBytes(of);
      waiting -= of;
      left -= of;
      if (!bytes.isReadable()) {
        bytes.release();
        next();
      }
    }
    return count == all;
  }

  private void next() {
    first = rest == null ? null : rest.poll();
    if (rest != null && rest.isEmpty()) {
      rest = null;
    }
  }

  private void drop() {
    release(first);
    first = null;
    if (rest != null) {
      rest.forEach(PodSocket::release);
      rest = null;
    }
    waiting = 0;
  }

  private static void release(@Nullable Object piece) {
    switch (piece) {
      case ByteBuf bytes -> bytes.release();
      case PipedBytes piped -> piped.release();
      case null, default -> {
        // Nothing waited.
      }
    }
  }

  private Watch watch() {
    Watch known = watch;
    if (known == null) {
      EventLoop its = Objects.requireNonNull(loop, "it belongs to no loop yet");
      known = transport.watches().of(socket, this);
      watch = known;
      known.begin(its);
    }
    return known;
  }

  // ---- the end

  /**
   * Closes it; what waits is lost. The kernel sends FIN, or RST where something was left unread.
   */
  public void close() {
    if (closed) {
      return;
    }
    closed = true;
    connectingEnded();
    drop();
    Watch known = watch;
    if (known != null) {
      known.ending();
    }
    try {
      socket.close();
    } catch (IOException e) {
      // close(2) gives the descriptor back whatever it says, and nobody is left to hear it.
    }
    if (known != null) {
      known.ended();
    }
  }

  /** Closes it, and the peer hears of it as a reset. */
  public void reset() {
    if (!closed) {
      boolean _ = willEndByReset();
      close();
    }
  }

  /**
   * Whether closing it resets it from now on; where the kernel has forgotten it, nobody is left.
   */
  public boolean willEndByReset() {
    if (closed) {
      return false;
    }
    try {
      socket.setSoLinger(0);
      return true;
    } catch (IOException e) {
      return false;
    }
  }

  // ---- the kernel's word

  @Override
  public void ready(int events) {
    if (closed) {
      return;
    }
    if (connecting != null) {
      tryToFinishConnecting();
      if (connecting != null || closed) {
        return;
      }
    }
    if ((events & (Watch.PEER_DONE | Watch.ERROR | Watch.HANG_UP)) != 0) {
      hungUp = true;
    }
    if ((events & Watch.URGENT) != 0) {
      // A read ends before the urgent byte, whatever is behind it (tcp(7)).
      readsInPieces = true;
    }
    if ((events & ~Watch.OUT) != 0) {
      readable = true;
    }
    Owner told = owner;
    if (told == null) {
      return;
    }
    if (blocked && (events & (Watch.OUT | Watch.ERROR | Watch.HANG_UP)) != 0) {
      blocked = false;
      send();
      if (!closed) {
        told.drained();
      }
    }
    if ((events & ~Watch.OUT) != 0 && !closed) {
      told.readable();
    }
  }

  @Override
  public void lost(Throwable why) {
    Owner told = owner;
    Connecting waits = connecting;
    close();
    if (waits != null) {
      waits.connected(new IOException(why));
    } else if (told != null) {
      told.lost(why);
    }
  }

  @Override
  public String toString() {
    SocketAddress to = remote;
    return "socket " + socket.intValue() + (to == null ? "" : " to " + to);
  }
}
