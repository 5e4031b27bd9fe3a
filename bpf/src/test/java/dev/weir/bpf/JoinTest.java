package dev.weir.bpf;

import static org.assertj.core.api.Assertions.assertThat;

import dev.weir.testing.NeedsKernel;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ProtocolFamily;
import java.net.StandardProtocolFamily;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.locks.LockSupport;
import java.util.zip.CRC32C;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Joined sockets: the bytes are moved by sk_msg, in order, all of them, and never more than fit.
 */
@NeedsKernel
class JoinTest {
  private static final int PORT = 8080;
  private static final int SO_MEMINFO = 55;
  private static final int RMEM_ALLOC = 0;
  private static final int RCVBUF = 4;

  private final TestPods pods = new TestPods();

  @SuppressWarnings("NullAway.Init") // connect() is each test's first line
  private SocketChannel client;

  @SuppressWarnings("NullAway.Init")
  private SocketChannel server;

  @BeforeEach
  void enrol() {
    pods.agentOutbound(pods.client, TestPods.LOOPBACK4);
    pods.agentOutbound(pods.client, TestPods.LOOPBACK6);
    pods.agentInbound(pods.server);
    pods.loaded.allowJoining();
    pods.enrolClient(Layouts.PodEntry.JOINED).enrolServer(Layouts.PodEntry.JOINED);
    pods.loaded.allow(TestPods.CLIENT, TestPods.SERVER, PORT, true);
  }

  @AfterEach
  void remove() throws IOException {
    pods.close();
  }

  private void connect(ProtocolFamily family, InetAddress address) throws IOException {
    ServerSocketChannel listener = pods.listen(pods.server, address, PORT);
    client = pods.connect(pods.client, family, address, PORT);
    server = pods.accept(listener);
  }

  private void connect() throws IOException {
    connect(StandardProtocolFamily.INET, TestPods.SERVER4);
  }

  private Layouts.Flow flow() {
    List<Layouts.Flow> flows = new ArrayList<>();
    pods.loaded.map(Programs.FLOWS).forEach((_, value) -> flows.add(Layouts.Flow.of(value)));
    assertThat(flows).hasSize(1);
    return flows.getFirst();
  }

  private static void write(SocketChannel to, int bytes) throws IOException {
    ByteBuffer buffer = ByteBuffer.allocate(bytes);
    while (buffer.hasRemaining()) {
      to.write(buffer);
    }
  }

  private static void read(SocketChannel from, int bytes) throws IOException {
    ByteBuffer buffer = ByteBuffer.allocate(bytes);
    while (buffer.hasRemaining()) {
      assertThat(from.read(buffer)).isPositive();
    }
  }

  private static <T> FutureTask<T> aside(Callable<T> work) {
    FutureTask<T> task = new FutureTask<>(work);
    Thread.ofPlatform().daemon().start(task);
    return task;
  }

  private static <T> T result(FutureTask<T> task)
      throws ExecutionException, InterruptedException, TimeoutException {
    return task.get(60, TimeUnit.SECONDS);
  }

  static List<Arguments> ways() {
    return List.of(
        Arguments.of(StandardProtocolFamily.INET, TestPods.SERVER4),
        Arguments.of(StandardProtocolFamily.INET6, TestPods.SERVER6),
        Arguments.of(StandardProtocolFamily.INET6, TestPods.SERVER4));
  }

  @ParameterizedTest
  @MethodSource("ways")
  void bothDirectionsAreJoinedAndCounted(ProtocolFamily family, InetAddress address)
      throws IOException {
    connect(family, address);
    for (int i = 0; i < 10; i++) {
      write(client, 100);
      read(server, 100);
      write(server, 30);
      read(client, 30);
    }
    Layouts.Flow flow = flow();
    assertThat(flow.path()).isEqualTo(Layouts.PATH_JOINED);
    assertThat(flow.joinedSent()).isEqualTo(1_000);
    assertThat(flow.joinedReceived()).isEqualTo(300);
  }

  @Test
  void withoutTheSelfTestsWordNothingIsJoined() throws IOException {
    pods.loaded.forbidJoining();
    connect();
    write(client, 100);
    read(server, 100);
    assertThat(flow().path()).isEqualTo(Layouts.PATH_DIRECT);
  }

  @Test
  void theMoreCarefulPodDecides() throws IOException {
    pods.loaded.enrol(pods.server, TestPods.SERVER, 0, TestPods.SERVER4, TestPods.SERVER6);
    connect();
    write(client, 100);
    read(server, 100);
    assertThat(flow().path()).isEqualTo(Layouts.PATH_DIRECT);
  }

  @Test
  void theHopToTheAgentIsJoinedByThePodsOwnConsent() throws IOException {
    ServerSocketChannel agent = pods.replaceOutbound(pods.client);
    client = pods.connect(pods.client, TestPods.SERVER4, PORT + 1);
    server = pods.accept(agent);
    for (int i = 0; i < 5; i++) {
      write(client, 100);
      read(server, 100);
      write(server, 100);
      read(client, 100);
    }
    // What is joined is in no segment.
    assertThat(TestPods.socketFrom(pods.client, portOf(server)).bytesReceived()).isZero();
  }

  /** The client's port, seen from the server's end. */
  private static int portOf(SocketChannel accepted) throws IOException {
    return ((InetSocketAddress) accepted.getRemoteAddress()).getPort();
  }

  /** Reader's pause in microseconds after each read, bytes it reads at once, MiB in all. */
  @ParameterizedTest
  @CsvSource({
    "0, 65536, 256",
    "0, 1000, 16",
    "200, 65536, 64",
    "2000, 16384, 8",
    "0, 4000000, 256"
  })
  void everyByteArrivesOnceAndInOrderWhateverTheReadersSpeed(int pause, int chunk, int mebibytes)
      throws Exception {
    connect();
    long total = (long) mebibytes << 20;
    FutureTask<Long> reading =
        aside(() -> {
          CRC32C sum = new CRC32C();
          ByteBuffer buffer = ByteBuffer.allocateDirect(chunk);
          for (long got = 0; got < total; ) {
            int read = server.read(buffer.clear());
            if (read < 0) {
              throw new IOException("ended after %d of %d bytes".formatted(got, total));
            }
            got += read;
            sum.update(buffer.flip());
            if (pause > 0) {
              LockSupport.parkNanos(pause * 1_000L); // a slow reader is what is tested
            }
          }
          return sum.getValue();
        });
    CRC32C sum = new CRC32C();
    SplittableRandom random = new SplittableRandom(chunk);
    ByteBuffer buffer = ByteBuffer.allocateDirect(1 << 20);
    for (long sent = 0; sent < total; ) {
      int size = (int) Math.min(total - sent, 1 + random.nextInt(buffer.capacity()));
      buffer.clear().limit(size);
      for (int at = 0; at + Long.BYTES <= size; at += Long.BYTES) {
        buffer.putLong(at, random.nextLong());
      }
      sum.update(buffer.duplicate());
      while (buffer.hasRemaining()) {
        client.write(buffer);
      }
      sent += size;
    }
    assertThat(result(reading)).isEqualTo(sum.getValue());
    assertThat(flow().joinedSent()).isPositive();
  }

  @Test
  void aFileSentBySendfileArrivesWhole(@TempDir Path folder) throws Exception {
    byte[] content = new byte[3 << 20];
    new SplittableRandom(1).nextBytes(content);
    Path file = Files.write(folder.resolve("file"), content);
    connect();
    write(client, 100);
    read(server, 100);
    FutureTask<byte[]> reading =
        aside(() -> server.socket().getInputStream().readNBytes(content.length));
    try (FileChannel from = FileChannel.open(file)) {
      for (long at = 0; at < content.length; ) {
        at += from.transferTo(at, content.length - at, client);
      }
    }
    assertThat(result(reading)).isEqualTo(content);
    assertThat(flow().joinedSent()).isGreaterThan(100);
  }

  @Test
  void aSleepingReaderHoldsNoMoreThanItsBufferAndTheWriterIsStopped() throws Exception {
    connect();
    write(client, 100);
    read(server, 100);
    client.configureBlocking(false);
    ByteBuffer buffer = ByteBuffer.allocateDirect(1 << 16);
    long sent = 0;
    // Refused ten times with time between for TCP to move what it will: the writer is stopped.
    for (int refused = 0; refused < 10; ) {
      int written = client.write(buffer.clear());
      sent += written;
      if (written == 0) {
        refused++;
        LockSupport.parkNanos(20_000_000);
      }
      assertThat(sent).isLessThan(64L << 20);
    }
    ByteBuffer memory =
        ByteBuffer.wrap(
                TestPods.option(TestPods.socketFrom(pods.server, portOf(server)), SO_MEMINFO, 36))
            .order(ByteOrder.nativeOrder());
    assertThat(memory.getInt(RMEM_ALLOC)).isLessThanOrEqualTo(memory.getInt(RCVBUF));
    assertThat(flow().joinedSent()).isPositive();

    // It wakes: all of it is there.
    long expected = sent;
    FutureTask<Long> reading =
        aside(() -> {
          long got = 0;
          ByteBuffer into = ByteBuffer.allocateDirect(1 << 16);
          while (got < expected) {
            got += server.read(into.clear());
          }
          return got;
        });
    assertThat(result(reading)).isEqualTo(expected);
  }

  @Test
  void aSpillEndsInJoiningAgain() throws Exception {
    connect();
    write(client, 100);
    read(server, 100);
    client.configureBlocking(false);
    ByteBuffer buffer = ByteBuffer.allocateDirect(1 << 16);
    long sent = 0;
    for (int written = 1; written > 0; sent += written) {
      written = client.write(buffer.clear());
    }
    long stopped = flow().joinedSent();
    assertThat(stopped).isLessThan(sent);
    client.configureBlocking(true);
    read(server, (int) sent);
    // The kernel keeps the verdict of a message that it could not push whole (tcp_bpf_send_verdict
    // leaves psock->eval), so one more may go by TCP unasked.
    write(client, 1_000);
    read(server, 1_000);
    long again = flow().joinedSent();
    write(client, 1_000);
    read(server, 1_000);
    assertThat(flow().joinedSent()).isEqualTo(again + 1_000);
    assertThat(again).isBetween(stopped, stopped + 1_000);
  }

  @Test
  void halfACloseLeavesTheOtherHalfOpen() throws IOException {
    connect();
    write(client, 5_000);
    client.shutdownOutput();
    read(server, 5_000);
    assertThat(server.read(ByteBuffer.allocate(1))).isEqualTo(-1);
    write(server, 5_000);
    read(client, 5_000);
    server.close();
    assertThat(client.read(ByteBuffer.allocate(1))).isEqualTo(-1);
  }

  @Test
  void aWriterIsToldThatItsReaderHasGone() throws IOException {
    connect();
    write(client, 10);
    read(server, 10);
    server.close();
    List<String> told = new ArrayList<>();
    TestPods.await(
        "writing fails",
        () -> {
          try {
            client.write(ByteBuffer.allocate(1));
            return false;
          } catch (IOException e) {
            told.add(String.valueOf(e.getMessage()));
            return true;
          }
        });
    assertThat(told).singleElement().asString().containsAnyOf("reset", "pipe");
  }

  @Test
  void manyComeAndGoAndNothingStays() throws IOException {
    ServerSocketChannel listener = pods.listen(pods.server, TestPods.SERVER4, PORT);
    for (int i = 0; i < 200; i++) {
      try (SocketChannel here = pods.connect(pods.client, TestPods.SERVER4, PORT);
          SocketChannel there = pods.accept(listener)) {
        write(here, 1 + i);
        read(there, 1 + i);
        write(there, 1 + i);
        read(here, 1 + i);
      }
    }
    TestPods.await(
        "flows and meetings are gone",
        () -> entries(Programs.FLOWS) + entries(Programs.MEETINGS) == 0);
  }

  private int entries(String map) {
    List<byte[]> keys = new ArrayList<>();
    pods.loaded.map(map).forEach((key, _) -> keys.add(key));
    return keys.size();
  }
}
