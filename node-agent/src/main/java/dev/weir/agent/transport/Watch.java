package dev.weir.agent.transport;

import io.netty.channel.ChannelException;
import io.netty.channel.EventLoop;
import io.netty.channel.IoEventLoop;
import io.netty.channel.IoHandle;
import io.netty.channel.IoRegistration;
import io.netty.util.concurrent.Future;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * One descriptor in its event loop's set. It is told of changes alone, not of what is still as it
 * was (edge-triggered): one call to the kernel for a connection's life in place of one each time
 * that somebody wants to read or does not. Owned by the loop.
 */
abstract class Watch implements IoHandle {
  /** As poll(2) and epoll(7) have them, on every architecture that Linux runs on. */
  static final int IN = 0x1;

  static final int URGENT = 0x2;
  static final int OUT = 0x4;
  static final int ERROR = 0x8;
  static final int HANG_UP = 0x10;
  static final int PEER_DONE = 0x2000;

  /** Whose descriptor it is. */
  interface Ready {
    /** Some of the constants above; more than has changed may be said. */
    void ready(int events);

    /** Nobody will look at the descriptor any more: the loop ends, or {@link #ready} threw. */
    void lost(Throwable why);
  }

  private final Ready ready;
  private @Nullable IoRegistration registration;

  Watch(Ready ready) {
    this.ready = ready;
  }

  /**
   * Begins to look: for what comes, and the end of it.
   *
   * @throws ChannelException where the loop cannot take it
   */
  final void begin(EventLoop loop) {
    Future<IoRegistration> registered = ((IoEventLoop) loop).register(this);
    if (!registered.isSuccess()) {
      // On the loop itself it is done when the call returns.
      throw new ChannelException("an event loop takes no more sockets", registered.cause());
    }
    registration = registered.getNow();
    look();
  }

  final IoRegistration registration() {
    return Objects.requireNonNull(registration, "not in a loop's set yet");
  }

  /** An exception would have all of the loop's sockets wait (EpollIoHandler sleeps a second). */
  final void tell(int events) {
    try {
      ready.ready(events);
    } catch (RuntimeException e) {
      ready.lost(e);
    }
  }

  /** Asks for {@link #IN}, {@link #URGENT} and {@link #PEER_DONE}. */
  abstract void look();

  /** Asks for {@link #OUT} as well, which comes when there is room, at once if there is. */
  abstract void lookForRoom();

  /** The descriptor is about to be closed. */
  abstract void ending();

  /** The descriptor is closed: its number may be somebody else's. */
  final void ended() {
    IoRegistration known = registration;
    if (known != null) {
      known.cancel();
    }
  }

  @Override
  public final void close() {
    ready.lost(new ChannelException("the event loop ends"));
  }
}
