package dev.weir.agent.transport;

import io.netty.channel.ChannelFactory;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.IoHandlerFactory;
import io.netty.channel.MultiThreadIoEventLoopGroup;
import io.netty.channel.epoll.Epoll;
import io.netty.channel.epoll.EpollDatagramChannel;
import io.netty.channel.epoll.EpollIoHandler;
import io.netty.channel.epoll.EpollServerDomainSocketChannel;
import io.netty.channel.epoll.EpollServerSocketChannel;
import io.netty.channel.epoll.EpollSocketChannel;
import io.netty.channel.socket.DatagramChannel;
import io.netty.channel.socket.ServerSocketChannel;
import io.netty.channel.socket.SocketChannel;
import io.netty.channel.unix.FileDescriptor;
import io.netty.channel.unix.ServerDomainSocketChannel;
import io.netty.channel.uring.IoUring;
import io.netty.channel.uring.IoUringDatagramChannel;
import io.netty.channel.uring.IoUringIoHandler;
import io.netty.channel.uring.IoUringIoHandlerConfig;
import io.netty.channel.uring.IoUringServerDomainSocketChannel;
import io.netty.channel.uring.IoUringServerSocketChannel;
import io.netty.channel.uring.IoUringSocketChannel;
import java.util.concurrent.ThreadFactory;

/**
 * One way to do I/O. Everything else asks this record for its channels, so both transports run the
 * same code.
 *
 * @param handlers what drives an event loop
 * @param sockets makes an unconnected TCP socket in the calling thread's network namespace
 * @param listeners makes an unbound TCP listener there
 * @param datagrams makes an unbound UDP socket there
 * @param domainListeners makes an unbound Unix stream listener
 * @param watches look at the sockets of relays and tunnels, which have no channels
 */
public record Transport(
    String name,
    IoHandlerFactory handlers,
    ChannelFactory<SocketChannel> sockets,
    ChannelFactory<ServerSocketChannel> listeners,
    ChannelFactory<DatagramChannel> datagrams,
    ChannelFactory<ServerDomainSocketChannel> domainListeners,
    Watches watches) {

  /** How a descriptor is looked at. */
  interface Watches {
    Watch of(FileDescriptor descriptor, Watch.Ready ready);
  }

  public static final String AUTO = "auto";
  public static final String EPOLL = "epoll";
  public static final String IO_URING = "io_uring";

  // A ring is locked memory; an entry is one operation between two visits of the loop, and a loop
  // that has more submits early.
  private static final int RING_ENTRIES = 256;

  /** That the kernel or the machine does not offer what was asked for. */
  public static final class UnavailableException extends RuntimeException {
    private static final long serialVersionUID = 1;

    UnavailableException(String message, Throwable cause) {
      super(message, cause);
    }
  }

  /**
   * {@code auto} takes epoll: measured on Linux 6.18 with two cores it relays a round trip and a
   * stream at least as fast as io_uring, needs no locked memory, and no seccomp profile forbids it.
   */
  public static Transport named(String name) {
    return switch (name) {
      case AUTO, EPOLL -> epoll();
      case IO_URING -> ioUring();
      default ->
          throw new IllegalArgumentException(
              "transport: %s (expected: auto, io_uring or epoll)".formatted(name));
    };
  }

  private static Transport epoll() {
    if (!Epoll.isAvailable()) {
      throw unavailable(EPOLL, Epoll.unavailabilityCause());
    }
    return new Transport(
        EPOLL,
        EpollIoHandler.newFactory(),
        EpollSocketChannel::new,
        EpollServerSocketChannel::new,
        EpollDatagramChannel::new,
        EpollServerDomainSocketChannel::new,
        EpollWatch::new);
  }

  private static Transport ioUring() {
    if (!IoUring.isAvailable()) {
      throw unavailable(IO_URING, IoUring.unavailabilityCause());
    }
    return new Transport(
        IO_URING,
        IoUringIoHandler.newFactory(new IoUringIoHandlerConfig().setRingSize(RING_ENTRIES)),
        IoUringSocketChannel::new,
        IoUringServerSocketChannel::new,
        IoUringDatagramChannel::new,
        IoUringServerDomainSocketChannel::new,
        RingWatch::new);
  }

  private static UnavailableException unavailable(String name, Throwable cause) {
    Throwable root = cause;
    while (root.getCause() != null) {
      root = root.getCause();
    }
    return new UnavailableException(
        "transport %s is not available: %s; --transport auto takes one that is"
            .formatted(name, root.getMessage()),
        cause);
  }

  public EventLoopGroup loops(int count, ThreadFactory threads) {
    return new MultiThreadIoEventLoopGroup(count, threads, handlers);
  }
}
