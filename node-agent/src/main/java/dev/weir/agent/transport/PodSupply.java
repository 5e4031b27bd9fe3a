package dev.weir.agent.transport;

import dev.weir.ffi.Fd;
import io.netty.channel.EventLoop;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * Unconnected sockets in one pod's namespace. A busy pod has some ready, made in batches: one trip
 * into the namespace serves up to {@value #MOST} connections instead of each paying two setns and a
 * thread switch. An idle pod has none. Event loops take, the pod-sockets thread makes.
 */
public final class PodSupply implements AutoCloseable {
  static final int MOST = 64;

  // Beyond this many connections waiting for one pod's first sockets, more are refused.
  private static final int MOST_WAITING = 4096;

  private static final long BUSY_NANOS = TimeUnit.MILLISECONDS.toNanos(100);

  private final PodSockets sockets;
  private final Fd netns;
  private final Shelf agent = new Shelf(PodSockets.MARK_AGENT);
  private final Shelf deliver = new Shelf(PodSockets.MARK_DELIVER);
  private volatile boolean closed;

  PodSupply(PodSockets sockets, Fd netns) {
    this.sockets = sockets;
    this.netns = netns;
  }

  /** Who gets a socket: on the loop that asked, at once where one was ready. Owns the socket. */
  public interface Taker {
    void socket(PodSocket socket);

    void none(Throwable why);
  }

  /** A socket that calls as the agent: its address is the pod's own. */
  public void dialling(EventLoop loop, Taker taker) {
    agent.take(loop, taker);
  }

  /** A socket that may bind any client's address and whose replies come back over lo. */
  public void delivering(EventLoop loop, Taker taker) {
    deliver.take(loop, taker);
  }

  /** Halves what nobody took since the last time; on the pod-sockets thread. */
  void shrink() {
    agent.shrink();
    deliver.shrink();
  }

  @Override
  public void close() {
    closed = true;
    sockets.forget(this);
    agent.clear();
    deliver.clear();
  }

  private record Waiting(EventLoop loop, Taker taker) {}

  private final class Shelf {
    private final int mark;
    private final ConcurrentLinkedQueue<PodSocket> ready = new ConcurrentLinkedQueue<>();
    private final AtomicInteger count = new AtomicInteger();
    private final ConcurrentLinkedQueue<Waiting> waiting = new ConcurrentLinkedQueue<>();
    private final AtomicInteger waitingCount = new AtomicInteger();
    private final AtomicBoolean ordered = new AtomicBoolean();
    private volatile int target;
    private volatile boolean used;

    /** On the pod-sockets thread. */
    private long lastTrip;

    Shelf(int mark) {
      this.mark = mark;
    }

    void take(EventLoop loop, Taker taker) {
      used = true;
      if (closed) {
        taker.none(new PodSockets.SocketException("the pod is no longer enrolled", null));
        return;
      }
      PodSocket socket = ready.poll();
      if (socket != null) {
        if (count.decrementAndGet() <= target / 2) {
          order();
        }
        taker.socket(socket);
        return;
      }
      if (waitingCount.incrementAndGet() > MOST_WAITING) {
        waitingCount.decrementAndGet();
        taker.none(
            new PodSockets.SocketException(
                "sockets in the pod: more than %d connections wait".formatted(MOST_WAITING), null));
        return;
      }
      waiting.add(new Waiting(loop, taker));
      order();
    }

    private void order() {
      if (ordered.compareAndSet(false, true) && !sockets.order(this::fill)) {
        ordered.set(false);
        fail(new PodSockets.SocketException("sockets in the pod: too many pods wait", null));
      }
    }

    private void fill() {
      // Cleared first: who comes during the trip orders another.
      ordered.set(false);
      try {
        sockets.within(netns, this::make);
      } catch (RuntimeException e) {
        fail(e);
      }
      if (closed) {
        clear();
      }
    }

    private void make() {
      long now = System.nanoTime();
      Waiting next = waiting.peek();
      if (next != null || now - lastTrip < BUSY_NANOS) {
        // Somebody had to wait, or what was brought did not last: bring more. One connection alone
        // leaves one socket behind.
        target = target == 0 && waitingCount.get() == 1 ? 1 : Math.clamp(target * 2L, 4, MOST);
      }
      lastTrip = now;
      while (!closed && (next = waiting.poll()) != null) {
        waitingCount.decrementAndGet();
        Taker taker = next.taker;
        PodSocket socket;
        try {
          socket = sockets.connector(mark);
        } catch (RuntimeException e) {
          next.loop.execute(() -> taker.none(e));
          continue;
        }
        next.loop.execute(() -> taker.socket(socket));
      }
      while (!closed && count.get() < target) {
        ready.add(sockets.connector(mark));
        count.incrementAndGet();
      }
    }

    private void fail(RuntimeException why) {
      Waiting next;
      while ((next = waiting.poll()) != null) {
        waitingCount.decrementAndGet();
        Taker taker = next.taker;
        next.loop.execute(() -> taker.none(why));
      }
    }

    void shrink() {
      if (used) {
        used = false;
        return;
      }
      target = target / 2;
      while (count.get() > target) {
        PodSocket socket = ready.poll();
        if (socket == null) {
          return;
        }
        count.decrementAndGet();
        socket.close();
      }
    }

    void clear() {
      target = 0;
      PodSocket socket;
      while ((socket = ready.poll()) != null) {
        count.decrementAndGet();
        socket.close();
      }
      fail(new PodSockets.SocketException("the pod is no longer enrolled", null));
    }
  }
}
