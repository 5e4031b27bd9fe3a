package dev.weir.agent.transport;

import dev.weir.agent.log.Log;
import dev.weir.ffi.Fd;
import dev.weir.ffi.Namespaces;
import io.netty.channel.Channel;
import io.netty.channel.ChannelHandler;
import io.netty.channel.ChannelOption;
import io.netty.channel.ChannelPromise;
import io.netty.channel.EventLoop;
import io.netty.channel.socket.DatagramChannel;
import io.netty.channel.socket.ServerSocketChannel;
import io.netty.channel.socket.SocketChannel;
import io.netty.channel.unix.Socket;
import io.netty.channel.unix.UnixChannel;
import io.netty.util.concurrent.Future;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.util.Set;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * Sockets in pods' network namespaces. A socket belongs for life to the namespace that the thread
 * calling socket(2) is in, so one platform thread goes in, makes sockets and comes back; binding,
 * connecting and I/O then run on the shared loops. Listeners are made on demand; what relays
 * connect with comes from a {@link PodSupply}, so that no connection waits for a trip.
 */
public final class PodSockets implements AutoCloseable {
  /** SO_MARK of the agent's own sockets: programs let them pass. */
  public static final int MARK_AGENT = 0x539;

  /** SO_MARK of sockets that deliver with the client's address: replies come back over lo. */
  public static final int MARK_DELIVER = 0x53a;

  // As ztunnel has them: a peer that vanished is noticed after 180 + 9 * 180 s.
  private static final int KEEPALIVE_SECONDS = 180;
  private static final int KEEPALIVE_PROBES = 9;

  // The kernel caps it at net.core.somaxconn of the pod's namespace, 4096 unless told.
  private static final int BACKLOG = 4096;

  private static final int MAX_ORDERS = 8192;
  private static final long WAIT_SECONDS = 5;
  private static final long SWEEP_NANOS = TimeUnit.SECONDS.toNanos(5);

  private final Transport transport;
  private final Namespaces namespaces;
  private final Log log;
  private final BlockingQueue<Runnable> orders = new ArrayBlockingQueue<>(MAX_ORDERS);
  private final Set<PodSupply> supplies = ConcurrentHashMap.newKeySet();
  private final Thread thread;
  private volatile boolean closed;

  public PodSockets(Transport transport, Namespaces namespaces, Log log) {
    this.transport = transport;
    this.namespaces = namespaces;
    this.log = log;
    this.thread = Thread.ofPlatform().name("pod-sockets").daemon().unstarted(this::run);
  }

  public PodSockets start() {
    thread.start();
    return this;
  }

  /** Sockets to connect with from inside a namespace, until it is closed. */
  public PodSupply supply(Fd netns) {
    PodSupply supply = new PodSupply(this, netns);
    supplies.add(supply);
    return supply;
  }

  /**
   * A TCP listener inside the namespace for channels, bound and listening when this returns. The
   * handler gets accepted channels by channelRead, not yet registered with a loop; their keepalive,
   * mark and TCP_NODELAY are the listener's.
   *
   * @throws SocketException where the port is taken or the namespace is gone
   */
  public ServerSocketChannel listen(
      Fd netns, EventLoop loop, InetSocketAddress address, ChannelHandler handler) {
    ServerSocketChannel listener = inside(netns, transport.listeners()::newChannel);
    try {
      set(listener, ChannelOption.SO_REUSEADDR, true);
      set(listener, SocketOptions.REUSEPORT, 1);
      set(listener, ChannelOption.SO_BACKLOG, BACKLOG);
      set(listener, SocketOptions.MARK, MARK_AGENT);
      configure(listener);
    } catch (RuntimeException e) {
      listener.unsafe().closeForcibly();
      throw e;
    }
    bind(listener, loop, address, handler);
    return listener;
  }

  /** A UDP socket inside the namespace, bound when this returns. */
  public DatagramChannel datagram(
      Fd netns, EventLoop loop, InetSocketAddress address, ChannelHandler handler) {
    DatagramChannel socket = inside(netns, transport.datagrams()::newChannel);
    try {
      set(socket, SocketOptions.REUSEPORT, 1);
      set(socket, SocketOptions.MARK, MARK_AGENT);
    } catch (RuntimeException e) {
      socket.unsafe().closeForcibly();
      throw e;
    }
    bind(socket, loop, address, handler);
    return socket;
  }

  /**
   * From now on the kernel gives what arrives to the other socket of the same address, that of
   * another agent; what this one has in its queue is still read, and answers still leave by it. UDP
   * has nothing like tcp_migrate_req: what waits at a socket that closes is lost.
   */
  public static void stopTaking(DatagramChannel socket) {
    if (socket instanceof UnixChannel descriptor && socket.localAddress() != null) {
      try {
        // A connected socket hears its peer only, and a reuseport group passes over it. Its own
        // address is a peer that never calls.
        new Socket(descriptor.fd().intValue()).connect(socket.localAddress());
      } catch (IOException e) {
        throw new SocketException("leave datagrams to the next agent: " + e.getMessage(), e);
      }
    }
  }

  private void bind(
      Channel channel, EventLoop loop, InetSocketAddress address, ChannelHandler handler) {
    channel.pipeline().addLast(handler);
    ChannelPromise bound = channel.newPromise();
    loop.register(channel)
        .addListener(registered -> {
          if (registered.isSuccess()) {
            channel.bind(address, bound);
          } else {
            bound.setFailure(registered.cause());
          }
        });
    boolean inTime = bound.awaitUninterruptibly(WAIT_SECONDS, TimeUnit.SECONDS);
    if (!inTime || !bound.isSuccess()) {
      channel.close();
      Throwable cause = inTime ? bound.cause() : new TimeoutException("event loop is stuck");
      throw cannotListen(address, cause);
    }
  }

  private static String reason(@Nullable Throwable cause) {
    return cause == null ? "unknown" : String.valueOf(cause.getMessage());
  }

  /**
   * A port of relays inside the namespace, bound and listening when this returns. Keepalive, mark
   * and TCP_NODELAY of what is accepted are the port's: no call a connection.
   *
   * @param transparent accept connections to addresses that are not ours (IP_TRANSPARENT)
   * @throws SocketException where the port is taken or the namespace is gone
   */
  public PodPort port(
      Fd netns,
      EventLoop loop,
      InetSocketAddress address,
      boolean transparent,
      PodPort.Arrivals arrivals) {
    Socket socket = inside(netns, Socket::newSocketStream);
    PodPort port = new PodPort(socket, transport, loop, arrivals);
    try {
      socket.setReuseAddress(true);
      SocketOptions.set(socket, SocketOptions.REUSEPORT, 1);
      SocketOptions.set(socket, SocketOptions.MARK, MARK_AGENT);
      if (transparent) {
        SocketOptions.set(socket, SocketOptions.TRANSPARENT, 1);
      }
      keepAlive(socket);
      socket.bind(address);
      socket.listen(BACKLOG);
    } catch (IOException e) {
      port.closeUnwatched();
      throw cannotListen(address, e);
    }
    Future<?> begun = loop.submit(port::begin);
    if (!begun.awaitUninterruptibly(WAIT_SECONDS, TimeUnit.SECONDS) || !begun.isSuccess()) {
      var _ = port.close();
      throw cannotListen(
          address, begun.isDone() ? begun.cause() : new TimeoutException("event loop is stuck"));
    }
    return port;
  }

  private static SocketException cannotListen(
      InetSocketAddress address, @Nullable Throwable cause) {
    return new SocketException(
        "listen on %s:%d in the pod: %s"
            .formatted(address.getAddress().getHostAddress(), address.getPort(), reason(cause)),
        cause);
  }

  /** What relays and tunnels connect with; a new one for each connection. */
  PodSocket connector(int mark) {
    Socket socket = Socket.newSocketStream();
    try {
      SocketOptions.set(socket, SocketOptions.MARK, mark);
      if (mark == MARK_DELIVER) {
        SocketOptions.set(socket, SocketOptions.TRANSPARENT, 1);
        // Its port is given, and may serve one connection to each server at a time.
        socket.setReuseAddress(true);
        // No keepalive: the server is a program on this node, which cannot vanish unnoticed.
        SocketOptions.set(socket, SocketOptions.NODELAY, 1);
      } else {
        // The port is chosen at connect, by the whole 4-tuple: otherwise all connections from one
        // address share 28,000 ports whatever they connect to.
        SocketOptions.set(socket, SocketOptions.BIND_NO_PORT, 1);
        keepAlive(socket);
      }
      return new PodSocket(socket, transport, null);
    } catch (IOException e) {
      new PodSocket(socket, transport, null).close();
      throw new SocketException("a socket in the pod: " + e.getMessage(), e);
    }
  }

  /** A channel that calls as the agent, for what is asked seldom. */
  public void channel(Fd netns, EventLoop loop, ChannelTaker taker) {
    boolean ordered =
        order(() -> {
          SocketChannel made;
          try {
            made = namespaces.inNetwork(netns, transport.sockets()::newChannel);
            set(made, SocketOptions.MARK, MARK_AGENT);
            set(made, SocketOptions.BIND_NO_PORT, 1);
            configure(made);
          } catch (RuntimeException e) {
            loop.execute(() -> taker.none(e));
            return;
          }
          loop.execute(() -> taker.socket(made));
        });
    if (!ordered) {
      taker.none(new SocketException("sockets in the pod: too many pods wait", null));
    }
  }

  /** Who gets a channel, on the loop that asked; it is its own from then on. */
  public interface ChannelTaker {
    void socket(SocketChannel channel);

    void none(Throwable why);
  }

  private static void keepAlive(Socket socket) throws IOException {
    SocketOptions.set(socket, SocketOptions.NODELAY, 1);
    SocketOptions.set(socket, SocketOptions.KEEPALIVE, 1);
    SocketOptions.set(socket, SocketOptions.KEEPALIVE_IDLE, KEEPALIVE_SECONDS);
    SocketOptions.set(socket, SocketOptions.KEEPALIVE_INTERVAL, KEEPALIVE_SECONDS);
    SocketOptions.set(socket, SocketOptions.KEEPALIVE_COUNT, KEEPALIVE_PROBES);
  }

  private static void configure(Channel channel) {
    set(channel, SocketOptions.NODELAY, 1);
    set(channel, SocketOptions.KEEPALIVE, 1);
    set(channel, SocketOptions.KEEPALIVE_IDLE, KEEPALIVE_SECONDS);
    set(channel, SocketOptions.KEEPALIVE_INTERVAL, KEEPALIVE_SECONDS);
    set(channel, SocketOptions.KEEPALIVE_COUNT, KEEPALIVE_PROBES);
  }

  private static <T> void set(Channel channel, ChannelOption<T> option, T value) {
    if (!channel.config().setOption(option, value)) {
      throw new SocketException("set %s: not known to the transport".formatted(option), null);
    }
  }

  /**
   * Runs work inside the namespace on the thread for that, and waits; for rare things such as
   * listeners, never on an event loop.
   */
  public <T> T inside(Fd netns, Supplier<T> work) {
    CompletableFuture<T> result = new CompletableFuture<>();
    boolean taken =
        order(() -> {
          try {
            result.complete(namespaces.inNetwork(netns, work));
          } catch (RuntimeException e) {
            result.completeExceptionally(e);
          }
        });
    if (!taken) {
      throw new SocketException("enter the pod's network namespace: too many are waiting", null);
    }
    try {
      return result.get(WAIT_SECONDS, TimeUnit.SECONDS);
    } catch (ExecutionException e) {
      throw new SocketException(
          "socket in the pod's network namespace: " + reason(e.getCause()), e.getCause());
    } catch (TimeoutException e) {
      throw new SocketException(
          "enter the pod's network namespace: not done in %d s".formatted(WAIT_SECONDS), e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new SocketException("enter the pod's network namespace: interrupted", e);
    }
  }

  /** False where the queue is full or this is closed. */
  boolean order(Runnable work) {
    return !closed && orders.offer(work);
  }

  void within(Fd netns, Runnable work) {
    namespaces.inNetwork(
        netns,
        () -> {
          work.run();
          return Boolean.TRUE;
        });
  }

  void forget(PodSupply supply) {
    supplies.remove(supply);
  }

  private void run() {
    long lastSweep = System.nanoTime();
    while (!closed) {
      try {
        Runnable order = orders.poll(1, TimeUnit.SECONDS);
        if (order != null) {
          order.run();
        }
      } catch (InterruptedException e) {
        // Only close() interrupts; the loop's condition ends it.
        continue;
      } catch (RuntimeException e) {
        log.error("a pod's sockets could not be made", "reason", String.valueOf(e.getMessage()));
      }
      long now = System.nanoTime();
      if (now - lastSweep > SWEEP_NANOS) {
        lastSweep = now;
        supplies.forEach(PodSupply::shrink);
      }
    }
  }

  @Override
  public void close() {
    closed = true;
    thread.interrupt();
    supplies.forEach(PodSupply::close);
  }

  /** That a socket in a pod could not be had: what was tried, and why not. */
  public static final class SocketException extends RuntimeException {
    private static final long serialVersionUID = 1;

    SocketException(String message, @Nullable Throwable cause) {
      super(message, cause);
    }

    /** Whether the namespace lacks the address that was to be bound (EADDRNOTAVAIL). */
    public boolean isNoSuchAddress() {
      return String.valueOf(getMessage()).contains("Cannot assign requested address");
    }
  }
}
