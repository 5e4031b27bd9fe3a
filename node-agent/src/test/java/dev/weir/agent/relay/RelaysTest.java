package dev.weir.agent.relay;

import static dev.weir.agent.relay.Programs.assertReset;
import static dev.weir.agent.relay.Programs.receive;
import static dev.weir.agent.relay.Programs.reset;
import static dev.weir.agent.relay.Programs.say;
import static dev.weir.agent.relay.Programs.send;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import dev.weir.agent.config.MeshView;
import dev.weir.agent.telemetry.Refusal;
import dev.weir.api.model.Workload;
import dev.weir.testing.NeedsRoot;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.StandardProtocolFamily;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.zip.CRC32C;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.Parameter;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.ValueSource;

@NeedsRoot
@ParameterizedClass
@ValueSource(strings = {"epoll", "io_uring", "epoll+tunnel", "io_uring+tunnel"})
@Timeout(60)
final class RelaysTest {
  private static final int MIB = 1 << 20;

  @Parameter String way = "";

  private TwoPods pods;

  @BeforeEach
  void open() {
    pods = new TwoPods(way);
  }

  @AfterEach
  void nothingIsHeldWhenAllHasEnded() {
    pods.endHoldingNothing();
  }

  private static long receiveToEnd(SocketChannel channel) throws IOException {
    ByteBuffer buffer = ByteBuffer.allocate(64 * 1024);
    long total = 0;
    int read;
    while ((read = channel.read(buffer.clear())) >= 0) {
      total += read;
    }
    return total;
  }

  private static void sendMany(SocketChannel channel, long bytes) throws IOException {
    ByteBuffer block = ByteBuffer.allocate(64 * 1024);
    for (long left = bytes; left > 0; ) {
      left -= channel.write(block.clear().limit((int) Math.min(left, block.capacity())));
    }
  }

  private static InetAddress remote(SocketChannel channel) throws IOException {
    return ((InetSocketAddress) channel.getRemoteAddress()).getAddress();
  }

  @Test
  void whatIsSentArrivesBothWays() throws IOException {
    try (ServerSocketChannel listener = pods.listen();
        SocketChannel client = pods.connect();
        SocketChannel server = listener.accept()) {
      send(client, "question");
      assertThat(receive(server, 8)).isEqualTo("question");
      send(server, "answer");
      assertThat(receive(client, 6)).isEqualTo("answer");
    }
  }

  @Test
  void aSuccessorAcceptsNothingBeforeItIsToldTo() throws IOException {
    Relays successor = pods.successor();
    List<SocketChannel> open = new ArrayList<>();
    try (ServerSocketChannel listener = pods.listen()) {
      for (int i = 0; i < 40; i++) {
        open.add(pods.connect());
        open.add(listener.accept());
      }
      assertThat(successor.liveCount()).as("with two that listen, each gets half").isZero();
      successor.accept();
      pods.relays.drain();
      int before = pods.relays.liveCount();
      SocketChannel client = pods.connect();
      open.add(client);
      SocketChannel server = listener.accept();
      open.add(server);
      send(client, "next");
      assertThat(receive(server, 4)).isEqualTo("next");
      assertThat(successor.liveCount()).isPositive();
      assertThat(pods.relays.liveCount()).isEqualTo(before);
    } finally {
      for (SocketChannel each : open) {
        each.close();
      }
      successor.abortAll();
      successor.withdrawn(pods.client);
      successor.withdrawn(pods.server);
      await().until(() -> successor.liveCount() == 0);
    }
  }

  @Test
  void theServerSeesTheClientPodsOwnAddress() throws IOException {
    try (ServerSocketChannel listener = pods.listen();
        SocketChannel client = pods.connect();
        SocketChannel server = listener.accept()) {
      assertThat(client.isConnected()).isTrue();
      assertThat(remote(server)).isEqualTo(InetAddress.ofLiteral("10.9.0.1"));
    }
  }

  @Test
  void theServerSeesTheClientPodsOwnAddressOverIpv6() throws IOException {
    try (ServerSocketChannel listener = pods.listen(pods.server, "fd09::2", 50);
        SocketChannel client = pods.connect("::1", StandardProtocolFamily.INET6);
        SocketChannel server = listener.accept()) {
      assertThat(remote(server)).isEqualTo(InetAddress.ofLiteral("fd09::1"));
      send(client, "six");
      assertThat(receive(server, 3)).isEqualTo("six");
    }
  }

  @Test
  void aMappedClientReachesAnIpv4Server() throws IOException {
    try (ServerSocketChannel listener = pods.listen();
        SocketChannel client = pods.connect("127.0.0.1", StandardProtocolFamily.INET6);
        SocketChannel server = listener.accept()) {
      assertThat(remote(server)).isEqualTo(InetAddress.ofLiteral("10.9.0.1"));
      send(client, "mapped");
      assertThat(receive(server, 6)).isEqualTo("mapped");
    }
  }

  @Test
  void aServerElsewhereIsDialledFromTheClientsPod() throws IOException {
    pods.sameNode = false;
    try (ServerSocketChannel listener = pods.listen();
        SocketChannel client = pods.connect();
        SocketChannel server = listener.accept()) {
      assertThat(remote(server)).isEqualTo(InetAddress.ofLiteral("10.9.0.1"));
      send(client, "far");
      assertThat(receive(server, 3)).isEqualTo("far");
      assertThat(pods.allowed).isEmpty();
    }
  }

  @Test
  void aPodReachesItself() throws IOException {
    try (ServerSocketChannel listener = pods.listen(pods.client, "10.9.0.1", 50);
        SocketChannel client = pods.connect();
        SocketChannel server = listener.accept()) {
      assertThat(remote(server)).isEqualTo(InetAddress.ofLiteral("10.9.0.1"));
      send(client, "self");
      assertThat(receive(server, 4)).isEqualTo("self");
    }
  }

  @Test
  void aServerMaySpeakFirst() throws IOException {
    try (ServerSocketChannel listener = pods.listen();
        SocketChannel client = pods.connect();
        SocketChannel server = listener.accept()) {
      send(server, "220 ready");
      assertThat(receive(client, 9)).isEqualTo("220 ready");
    }
  }

  @Test
  void theAgentsVerdictFollowsAnAllowedConnection() throws IOException {
    try (ServerSocketChannel listener = pods.listen();
        SocketChannel client = pods.connect();
        SocketChannel server = listener.accept()) {
      send(client, "x");
      receive(server, 1);
      int port = ((InetSocketAddress) listener.getLocalAddress()).getPort();
      if (pods.tunnelled) {
        assertThat(pods.allowed).as("the kernel cannot encrypt").isEmpty();
      } else {
        // The first bytes pass before the verdict is noted.
        await()
            .untilAsserted(() -> assertThat(pods.allowed).containsExactly("client>server:" + port));
      }
    }
  }

  @Test
  void aClientThatHasEndedStillHearsAllOfALongAnswer() throws Exception {
    try (ServerSocketChannel listener = pods.listen();
        SocketChannel client = pods.connect();
        SocketChannel server = listener.accept()) {
      send(client, "all of it, please");
      client.shutdownOutput();
      assertThat(receiveToEnd(server)).isEqualTo(17);
      CompletableFuture<Void> sending = async(() -> sendMany(server, 64L * MIB));
      sending.thenRun(() -> close(server));
      assertThat(receiveToEnd(client)).isEqualTo(64L * MIB);
      sending.get(10, TimeUnit.SECONDS);
    }
  }

  @Test
  void aClientThatHasEndedMayReadTheAnswerLate() throws Exception {
    pods.fairness.start();
    try (ServerSocketChannel listener = pods.listen();
        SocketChannel client = pods.connect();
        SocketChannel server = listener.accept()) {
      client.shutdownOutput();
      assertThat(receiveToEnd(server)).isZero();
      CompletableFuture<Void> sending = async(() -> sendMany(server, 64L * MIB));
      // Every buffer on the way is full: the agent must be woken again by a half-closed socket.
      await().atMost(Duration.ofSeconds(5)).until(() -> pods.buffered() > 32 * 1024);
      assertThat(sending).isNotDone();
      sending.thenRun(() -> close(server));
      assertThat(receiveToEnd(client)).isEqualTo(64L * MIB);
      sending.get(10, TimeUnit.SECONDS);
    }
  }

  @Test
  void anEndBehindAFullPipeArrivesAfterAllOfIt() throws Exception {
    pods.fairness.start();
    try (ServerSocketChannel listener = pods.listen();
        SocketChannel client = pods.connect();
        SocketChannel server = listener.accept()) {
      CompletableFuture<Void> sending =
          async(() -> {
            sendMany(client, 24L * MIB);
            client.shutdownOutput();
          });
      await().atMost(Duration.ofSeconds(5)).until(() -> pods.buffered() > 32 * 1024);
      assertThat(receiveToEnd(server)).isEqualTo(24L * MIB);
      sending.get(10, TimeUnit.SECONDS);
      send(server, "got it");
      assertThat(receive(client, 6)).isEqualTo("got it");
    }
  }

  @Test
  void aServerThatHasEndedStillHearsTheClient() throws Exception {
    try (ServerSocketChannel listener = pods.listen();
        SocketChannel client = pods.connect();
        SocketChannel server = listener.accept()) {
      send(server, "bye");
      server.shutdownOutput();
      assertThat(receiveToEnd(client)).isEqualTo(3);
      CompletableFuture<Void> sending = async(() -> sendMany(client, 64L * MIB));
      sending.thenRun(() -> close(client));
      assertThat(receiveToEnd(server)).isEqualTo(64L * MIB);
    }
  }

  @Test
  void anEndAtOnceIsAnEnd() throws IOException {
    try (ServerSocketChannel listener = pods.listen();
        SocketChannel client = pods.connect()) {
      send(client, "in one go");
      client.shutdownOutput();
      try (SocketChannel server = listener.accept()) {
        assertThat(receiveToEnd(server)).isEqualTo(9);
        send(server, "ok");
        server.shutdownOutput();
        assertThat(receiveToEnd(client)).isEqualTo(2);
      }
    }
  }

  @Test
  void aResetOfTheClientIsAResetForTheServer() throws IOException {
    try (ServerSocketChannel listener = pods.listen();
        SocketChannel client = pods.connect();
        SocketChannel server = listener.accept()) {
      send(client, "x");
      receive(server, 1);
      reset(client);
      assertReset(server);
    }
  }

  @Test
  void aResetWaitsForBytesThatAreStillUnderWay() throws IOException {
    try (ServerSocketChannel listener = pods.listen();
        SocketChannel client = pods.connect();
        SocketChannel server = listener.accept()) {
      say(client, server, "first");
      // As if another core had them: the server hears all else, a reset for one, before.
      pods.nft(
          """
          table inet late {
            counter kept { }
            chain input {
              type filter hook input priority 0;
              tcp dport %d meta length > 1000 counter name kept drop
            }
          }
          """
              .formatted(((InetSocketAddress) server.getLocalAddress()).getPort()));
      send(client, "x".repeat(4000));
      await().until(() -> kept() > 0);
      reset(client);
      long before = kept();
      await().untilAsserted(() -> assertThat(kept()).as("sent again").isGreaterThan(before));
      pods.nft("delete table inet late");
      assertThat(receive(server, 4000)).hasSize(4000);
      assertReset(server);
    }
  }

  private long kept() {
    Matcher packets =
        Pattern.compile("packets (\\d+)").matcher(pods.nft("list counter inet late kept"));
    assertThat(packets.find()).isTrue();
    return Long.parseLong(packets.group(1));
  }

  @Test
  void aResetOfTheServerIsAResetForTheClient() throws IOException {
    try (ServerSocketChannel listener = pods.listen();
        SocketChannel client = pods.connect();
        SocketChannel server = listener.accept()) {
      send(client, "x");
      receive(server, 1);
      reset(server);
      assertReset(client);
    }
  }

  @Test
  void aResetAfterAnEndIsStillAReset() throws IOException {
    try (ServerSocketChannel listener = pods.listen();
        SocketChannel client = pods.connect();
        SocketChannel server = listener.accept()) {
      client.shutdownOutput();
      assertThat(receiveToEnd(server)).isZero();
      reset(client);
      // The server's program sleeps, and learns of the reset all the same.
      assertServerNoticesReset(server);
    }
  }

  private static void assertServerNoticesReset(SocketChannel server) {
    await()
        .atMost(Duration.ofSeconds(5))
        .pollInterval(Duration.ofMillis(100))
        .untilAsserted(() ->
            assertThatThrownBy(() -> send(server, "still there?")).isInstanceOf(IOException.class));
  }

  @Test
  void anAnswerThatCameBeforeAResetIsDelivered() throws Exception {
    try (ServerSocketChannel listener = pods.listen();
        SocketChannel client = pods.connect()) {
      SocketChannel server = listener.accept();
      send(client, "a request that nobody reads");
      await()
          .atMost(Duration.ofSeconds(5))
          .until(() -> server.socket().getInputStream().available() > 0);
      send(server, "413 too large");
      // Unread input makes this close a reset.
      server.close();
      assertThat(receive(client, 13)).isEqualTo("413 too large");
      assertReset(client);
    }
  }

  @Test
  void aRefusedPortIsAResetAtOnce() throws IOException {
    ServerSocketChannel listener = pods.listen();
    listener.close();
    long start = System.nanoTime();
    pods.assertRefused();
    assertThat(Duration.ofNanos(System.nanoTime() - start)).isLessThan(Duration.ofMillis(400));
    assertThat(pods.refused).containsEntry(Refusal.CONNECT_REFUSED, 1);
  }

  @Test
  void aServerThatNeverAnswersIsAResetAfterTheTimeout() throws IOException {
    try (ServerSocketChannel listener = pods.listen(pods.server, "10.9.0.2", 1)) {
      // A full backlog drops SYNs, as a black hole does.
      List<SocketChannel> fillers = new ArrayList<>();
      for (int i = 0; i < 2; i++) {
        SocketChannel filler = pods.unconnected(pods.server, StandardProtocolFamily.INET);
        filler.connect(listener.getLocalAddress());
        fillers.add(filler);
      }
      pods.assertRefused();
      for (SocketChannel filler : fillers) {
        filler.close();
      }
    }
    assertThat(pods.refused).containsEntry(Refusal.CONNECT_TIMEOUT, 1);
  }

  @Test
  void aReaderThatStopsStopsTheWriter() throws IOException {
    try (ServerSocketChannel listener = pods.listen();
        SocketChannel client = pods.connect();
        SocketChannel server = listener.accept()) {
      client.configureBlocking(false);
      long written = 0;
      ByteBuffer block = ByteBuffer.allocate(MIB);
      long quietSince = System.nanoTime();
      while (System.nanoTime() - quietSince < TimeUnit.MILLISECONDS.toNanos(500)) {
        int now = client.write(block.clear());
        if (now > 0) {
          written += now;
          quietSince = System.nanoTime();
        }
        assertThat(written).as("bytes taken with nobody reading").isLessThan(64L * MIB);
      }
      assertThat(pods.allocator.pinnedDirectMemory())
          .as("bytes that the agent holds")
          .isLessThan(pods.tunnelled ? 2 * MIB : MIB / 2);
      client.configureBlocking(true);
      client.shutdownOutput();
      assertThat(receiveToEnd(server)).isEqualTo(written);
    }
  }

  @Test
  void aGibibyteOfAFileArrivesByteForByte(@TempDir Path folder) throws Exception {
    Path file = folder.resolve("data");
    byte[] block = new byte[MIB];
    new java.util.SplittableRandom(11).nextBytes(block);
    try (FileChannel out =
        FileChannel.open(file, StandardOpenOption.CREATE, StandardOpenOption.WRITE)) {
      for (int i = 0; i < 64; i++) {
        block[i] = (byte) i;
        out.write(ByteBuffer.wrap(block));
      }
    }
    int times = 16;
    CRC32C expected = new CRC32C();
    byte[] whole = Files.readAllBytes(file);
    for (int i = 0; i < times; i++) {
      expected.update(whole);
    }
    try (ServerSocketChannel listener = pods.listen();
        SocketChannel client = pods.connect();
        SocketChannel server = listener.accept();
        FileChannel in = FileChannel.open(file)) {
      CompletableFuture<Void> sending =
          async(() -> {
            for (int i = 0; i < times; i++) {
              // sendfile(2), as nginx does.
              for (long at = 0; at < in.size(); ) {
                at += in.transferTo(at, in.size() - at, client);
              }
            }
            client.shutdownOutput();
          });
      CRC32C seen = new CRC32C();
      ByteBuffer buffer = ByteBuffer.allocateDirect(256 * 1024);
      long total = 0;
      int read;
      while ((read = server.read(buffer.clear())) >= 0) {
        total += read;
        seen.update(buffer.flip());
      }
      sending.get(10, TimeUnit.SECONDS);
      assertThat(total).isEqualTo((long) whole.length * times);
      assertThat(seen.getValue()).isEqualTo(expected.getValue());
    }
  }

  @Test
  void manyShortConnectionsLeaveNothingBehind() throws IOException {
    try (ServerSocketChannel listener = pods.listen()) {
      for (int i = 0; i < 300; i++) {
        try (SocketChannel client = pods.connect();
            SocketChannel server = listener.accept()) {
          send(client, "x");
          receive(server, 1);
          send(server, "y");
          receive(client, 1);
        }
      }
    }
    await().atMost(Duration.ofSeconds(5)).until(() -> pods.relays.liveCount() == 0);
  }

  @Test
  void anEndpointThatRefusesIsPassedOver() throws IOException {
    try (ServerSocketChannel listener = pods.listen()) {
      int port = ((InetSocketAddress) listener.getLocalAddress()).getPort();
      pods.asked = new InetSocketAddress(InetAddress.ofLiteral("10.96.0.1"), 80);
      // The kernel's pick refuses: nothing listens at the client's own pod.
      pods.target = new InetSocketAddress(InetAddress.ofLiteral("10.9.0.1"), port);
      pods.view = Meshes.service("10.96.0.1", 80, port, "10.9.0.1", "10.9.0.2");
      try (SocketChannel client = pods.connect();
          SocketChannel server = listener.accept()) {
        send(client, "found");
        assertThat(receive(server, 5)).isEqualTo("found");
      }
    }
    assertThat(pods.refused).isEmpty();
  }

  @Test
  void aServiceWithoutEndpointsIsRefused() throws IOException {
    pods.ask(new InetSocketAddress(InetAddress.ofLiteral("10.96.0.1"), 80));
    pods.view = Meshes.service("10.96.0.1", 80, 8080);
    pods.assertRefused();
    assertThat(pods.refused).containsEntry(Refusal.NO_ENDPOINT, 1);
  }

  @Test
  void aPortOfTheAgentIsRefused() throws IOException {
    pods.ask(new InetSocketAddress(InetAddress.ofLiteral("10.9.0.2"), 15006));
    pods.assertRefused();
    assertThat(pods.refused).containsEntry(Refusal.SELF_PORT, 1);
  }

  @Test
  void aPodWithoutIpv6IsServedOverIpv4() throws IOException {
    pods.switchIpv6Off();
    pods.relays.withdrawn(pods.client);
    pods.relays.enrolled(pods.client);
    assertThat(pods.relays.listeners(pods.client)).hasSize(3);
    try (ServerSocketChannel listener = pods.listen();
        SocketChannel client = pods.connect();
        SocketChannel server = listener.accept()) {
      send(client, "four");
      assertThat(receive(server, 4)).isEqualTo("four");
    }
  }

  @Test
  void connectionsOfAPodThatOptedOutGoOn() throws IOException {
    try (ServerSocketChannel listener = pods.listen();
        SocketChannel client = pods.connect();
        SocketChannel server = listener.accept()) {
      pods.relays.withdrawn(pods.client);
      await()
          .atMost(Duration.ofSeconds(5))
          .untilAsserted(() ->
              assertThatThrownBy(() -> pods.connect().close()).isInstanceOf(IOException.class));
      send(client, "still here");
      assertThat(receive(server, 10)).isEqualTo("still here");
    }
  }

  @Test
  void connectionsOfADeletedPodAreReset() throws IOException {
    try (ServerSocketChannel listener = pods.listen();
        SocketChannel client = pods.connect();
        SocketChannel server = listener.accept()) {
      pods.view = MeshView.of(List.of(), List.<Workload>of());
      pods.relays.withdrawn(pods.server);
      assertReset(client);
      assertReset(server);
    }
  }

  private interface Work {
    void run() throws IOException;
  }

  private static CompletableFuture<Void> async(Work work) {
    CompletableFuture<Void> done = new CompletableFuture<>();
    Thread.ofPlatform()
        .daemon()
        .start(() -> {
          try {
            work.run();
            done.complete(null);
          } catch (IOException e) {
            done.completeExceptionally(e);
          }
        });
    return done;
  }

  private static void close(SocketChannel channel) {
    try {
      channel.shutdownOutput();
    } catch (IOException e) {
      throw new java.io.UncheckedIOException(e);
    }
  }
}
