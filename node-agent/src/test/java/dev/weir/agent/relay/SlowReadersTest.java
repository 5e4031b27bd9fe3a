package dev.weir.agent.relay;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.weir.agent.fairness.Limits;
import dev.weir.agent.fairness.PodUsage;
import dev.weir.testing.NeedsRoot;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Programs that are sent much more than they read, through tunnels. */
@NeedsRoot
@Timeout(60)
final class SlowReadersTest {
  private static final int MANY = 64;
  private static final long READ_BY_EACH = 300_000;

  private final List<SocketChannel> readers = new ArrayList<>();
  private final List<SocketChannel> senders = new ArrayList<>();
  private final ByteBuffer block = ByteBuffer.allocateDirect(64 * 1024);
  private final ByteBuffer sip = ByteBuffer.allocateDirect(4 * 1024);
  private final AtomicLong read = new AtomicLong();

  @AfterEach
  void close() throws IOException {
    for (SocketChannel each : readers) {
      each.close();
    }
    for (SocketChannel each : senders) {
      each.close();
    }
  }

  @Test
  void manyOfThemHoldLittleAndNoneIsCut() throws IOException {
    try (TwoPods pods = new TwoPods("epoll+tunnel", Limits.standard(64 << 20));
        ServerSocketChannel listener = pods.listen();
        ScheduledExecutorService programs = Executors.newScheduledThreadPool(2)) {
      pods.fairness.start();
      for (int i = 0; i < MANY; i++) {
        readers.add(pods.connect());
        senders.add(listener.accept());
        readers.getLast().configureBlocking(false);
        senders.getLast().configureBlocking(false);
      }
      programs.scheduleWithFixedDelay(this::send, 0, 20, TimeUnit.MICROSECONDS);
      programs.scheduleAtFixedRate(this::read, 0, 50, TimeUnit.MILLISECONDS);
      await()
          .atMost(Duration.ofSeconds(30))
          .until(() -> read.get() >= MANY * READ_BY_EACH || !pods.refused.isEmpty());
      assertThat(pods.refused).as("of 40 MiB for all, two agents' sides in one").isEmpty();
    }
  }

  /** As much as each connection takes. */
  private void send() {
    try {
      for (SocketChannel each : senders) {
        each.write(block.clear());
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private void read() {
    try {
      for (SocketChannel each : readers) {
        read.addAndGet(each.read(sip.clear()));
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  // ---- who never reads

  /** The budgets of two agents that have 64 MiB each: each has one of the two pods. */
  private static final Limits TWO_AGENTS =
      new Limits(20_000, 20_000, 2_000, 30 << 20, 2 * (40 << 20));

  private static long held(TwoPods pods, String pod) {
    return pods.fairness.usage().stream()
        .filter(each -> each.name().equals(pod))
        .mapToLong(PodUsage::buffered)
        .sum();
  }

  @Test
  void aThousandThatNeverReadAreCutOffByNobody() throws Exception {
    int thousand = 1000;
    try (TwoPods pods = new TwoPods("epoll+tunnel", TWO_AGENTS);
        ServerSocketChannel listener = pods.listen()) {
      pods.fairness.start();
      pods.smallKernelBuffers();
      for (int i = 0; i < thousand; i++) {
        readers.add(pods.connect());
        senders.add(listener.accept());
        senders.getLast().configureBlocking(false);
      }
      long mostOfReaders = 0;
      long mostOfSenders = 0;
      long lastTaken = System.nanoTime();
      while (System.nanoTime() - lastTaken < TimeUnit.SECONDS.toNanos(1)) {
        if (sendAll() > 0) {
          lastTaken = System.nanoTime();
        }
        mostOfReaders = Math.max(mostOfReaders, held(pods, "client"));
        mostOfSenders = Math.max(mostOfSenders, held(pods, "server"));
      }
      assertThat(pods.refused).isEmpty();
      assertThat(mostOfReaders).as("held for readers").isBetween(4L << 20, 30L << 20);
      assertThat(mostOfSenders).as("held for who sends to them").isLessThan(30 << 20);
      assertThat(pods.allocator.pinnedDirectMemory())
          .as("half of what the two have")
          .isLessThan(64 << 20);
      for (int i = 0; i < thousand; i += 50) {
        long taken = 0;
        while (taken < 200_000) {
          senders.get(i).write(block.clear());
          int n = readers.get(i).read(sip.clear());
          assertThat(n).as("reader %d is still connected", i).isPositive();
          taken += n;
        }
      }
    }
  }

  private long sendAll() throws IOException {
    long sent = 0;
    for (SocketChannel each : senders) {
      sent += each.write(block.clear());
    }
    return sent;
  }
}
