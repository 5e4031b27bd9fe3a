package dev.weir.agent.relay;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.weir.testing.NeedsRoot;
import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;
import java.util.zip.CRC32C;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Streams between two sockets, which go through pipes of the kernel's where they may. */
@NeedsRoot
@Timeout(60)
final class SplicingTest {
  private static final int MIB = 1 << 20;
  private static final int STREAM = 64 * MIB;

  // 16 for each of the fixture's four loops.
  private static final int MOST_PIPES = 64;

  private final AtomicInteger asked = new AtomicInteger();
  private final int pipesBefore = pipes();
  private @Nullable TwoPods pods;

  @BeforeEach
  void open() {
    pods = new TwoPods("epoll");
    pods.mayBeJoined = true;
    pods.joined =
        cookie -> {
          asked.incrementAndGet();
          return false;
        };
  }

  @AfterEach
  void nothingIsHeldWhenAllHasEnded() {
    pods().endHoldingNothing();
    assertThat(pipes()).as("pipes of loops that have ended").isEqualTo(pipesBefore);
  }

  private TwoPods pods() {
    TwoPods open = pods;
    if (open == null) {
      throw new AssertionError("no pods");
    }
    return open;
  }

  /** Ends of pipes that this process has open. */
  private static int pipes() {
    try (Stream<Path> open = Files.list(Path.of("/proc/self/fd"))) {
      return (int) open.filter(SplicingTest::isPipe).count() / 2;
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  private static boolean isPipe(Path descriptor) {
    try {
      return Files.readSymbolicLink(descriptor).toString().startsWith("pipe:");
    } catch (NoSuchFileException e) {
      return false;
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  /** Sends bytes that depend on their place, and ends; the checksum of all. */
  private static CompletableFuture<Long> send(SocketChannel channel, int bytes) {
    return CompletableFuture.supplyAsync(() -> {
      SplittableRandom random = new SplittableRandom(5);
      CRC32C sum = new CRC32C();
      try {
        for (int left = bytes; left > 0; ) {
          byte[] block = new byte[Math.min(left, 1 + random.nextInt(200_000))];
          random.nextBytes(block);
          sum.update(block);
          ByteBuffer out = ByteBuffer.wrap(block);
          while (out.hasRemaining()) {
            channel.write(out);
          }
          left -= block.length;
        }
        channel.shutdownOutput();
      } catch (IOException e) {
        throw new AssertionError(e);
      }
      return sum.getValue();
    });
  }

  /** Reads to the end in pieces of many sizes; the checksum of all. */
  private static long receive(SocketChannel channel, int bytes) throws IOException {
    SplittableRandom random = new SplittableRandom(3);
    CRC32C sum = new CRC32C();
    ByteBuffer buffer = ByteBuffer.allocateDirect(512 * 1024);
    long total = 0;
    while (channel.read(buffer.clear().limit(1 + random.nextInt(buffer.capacity()))) >= 0) {
      total += buffer.flip().remaining();
      sum.update(buffer);
    }
    assertThat(total).isEqualTo(bytes);
    return sum.getValue();
  }

  @Test
  void aStreamArrivesByteForByte() throws Exception {
    try (ServerSocketChannel listener = pods().listen();
        SocketChannel client = pods().connect();
        SocketChannel server = listener.accept()) {
      CompletableFuture<Long> sent = send(client, STREAM);
      assertThat(receive(server, STREAM)).isEqualTo(sent.get(10, TimeUnit.SECONDS));
      sent = send(server, STREAM);
      assertThat(receive(client, STREAM)).isEqualTo(sent.get(10, TimeUnit.SECONDS));
    }
    assertThat(asked).as("sockets of streams that might be joined").hasValue(4);
    assertThat(pipes()).as("pipes that wait for the next stream").isGreaterThan(pipesBefore);
  }

  @Test
  void aJoinedSocketIsReadAsAlways() throws Exception {
    pods().joined = cookie -> true;
    try (ServerSocketChannel listener = pods().listen();
        SocketChannel client = pods().connect();
        SocketChannel server = listener.accept()) {
      CompletableFuture<Long> sent = send(client, STREAM);
      assertThat(receive(server, STREAM)).isEqualTo(sent.get(10, TimeUnit.SECONDS));
    }
    assertThat(pipes()).isEqualTo(pipesBefore);
  }

  @Test
  void roundTripsTakeNoPipe() throws Exception {
    try (ServerSocketChannel listener = pods().listen();
        SocketChannel client = pods().connect();
        SocketChannel server = listener.accept()) {
      ByteBuffer message = ByteBuffer.allocate(4096);
      for (int i = 0; i < 1000; i++) {
        client.write(message.clear());
        readWhole(server, message);
        server.write(message.clear());
        readWhole(client, message);
      }
    }
    assertThat(asked).hasValue(0);
    assertThat(pipes()).isEqualTo(pipesBefore);
  }

  private static void readWhole(SocketChannel channel, ByteBuffer into) throws IOException {
    into.clear();
    while (into.hasRemaining()) {
      if (channel.read(into) < 0) {
        throw new EOFException();
      }
    }
  }

  @Test
  void aResetOfAStreamIsAReset() throws Exception {
    for (int i = 0; i < 20; i++) {
      try (ServerSocketChannel listener = pods().listen();
          SocketChannel client = pods().connect();
          SocketChannel server = listener.accept()) {
        ByteBuffer block = ByteBuffer.allocate(MIB);
        CompletableFuture<Void> sending =
            CompletableFuture.runAsync(() -> {
              try {
                for (int n = 0; n < 16; n++) {
                  client.write(block.clear());
                }
                Programs.reset(client);
              } catch (IOException e) {
                throw new AssertionError(e);
              }
            });
        assertThatThrownBy(() -> receive(server, 0))
            .as("a clean end would pass for the whole")
            .isInstanceOf(IOException.class);
        sending.get(10, TimeUnit.SECONDS);
      }
    }
  }

  @Test
  void readersThatStopHoldSoManyPipesAndNoMore() throws Exception {
    int many = 80;
    int each = 12 * MIB;
    List<SocketChannel> clients = new ArrayList<>();
    List<SocketChannel> servers = new ArrayList<>();
    try (ServerSocketChannel listener = pods().listen()) {
      for (int i = 0; i < many; i++) {
        clients.add(pods().connect());
        servers.add(listener.accept());
        clients.getLast().configureBlocking(false);
      }
      ByteBuffer block = ByteBuffer.allocate(256 * 1024);
      long quietSince = System.nanoTime();
      long[] written = new long[many];
      while (System.nanoTime() - quietSince < TimeUnit.MILLISECONDS.toNanos(300)) {
        for (int i = 0; i < many; i++) {
          int most = (int) Math.min(block.capacity(), each - written[i]);
          int now = clients.get(i).write(block.clear().limit(most));
          if (now > 0) {
            written[i] += now;
            quietSince = System.nanoTime();
          }
        }
      }
      assertThat(pipes() - pipesBefore).isBetween(1, MOST_PIPES);
      for (int i = 0; i < many; i++) {
        clients.get(i).shutdownOutput();
        assertThat(readToEnd(servers.get(i))).isEqualTo(written[i]);
      }
    } finally {
      for (int i = 0; i < servers.size(); i++) {
        clients.get(i).close();
        servers.get(i).close();
      }
    }
  }

  private static long readToEnd(SocketChannel channel) throws IOException {
    ByteBuffer buffer = ByteBuffer.allocateDirect(MIB);
    long total = 0;
    int read;
    while ((read = channel.read(buffer.clear())) >= 0) {
      total += read;
    }
    return total;
  }
}
