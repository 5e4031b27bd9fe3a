package dev.weir.agent.transport;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.weir.agent.log.Level;
import dev.weir.agent.log.Log;
import dev.weir.agent.log.Logs;
import dev.weir.agent.relay.Nft;
import dev.weir.ffi.Fd;
import dev.weir.ffi.Kernel;
import dev.weir.ffi.Netlink;
import dev.weir.testing.NeedsRoot;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.PooledByteBufAllocator;
import io.netty.channel.ConnectTimeoutException;
import io.netty.channel.EventLoop;
import io.netty.channel.EventLoopGroup;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.ConnectException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.StandardSocketOptions;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.InstantSource;
import java.util.List;
import java.util.Queue;
import java.util.Random;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;
import java.util.zip.CRC32C;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.Parameter;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.ValueSource;

/** Sockets and ports of the agent in a network namespace, with programs at their other ends. */
@NeedsRoot
@Timeout(60)
@ParameterizedClass
@ValueSource(strings = {"epoll", "io_uring"})
final class PodSocketTest {
  private static final InetAddress LOOPBACK = InetAddress.ofLiteral("127.0.0.1");
  private static final int PATIENCE_MILLIS = 10_000;
  private static final Path CONGESTION_OF_NEW_SOCKETS =
      Path.of("/proc/sys/net/ipv4/tcp_congestion_control");

  @Parameter private String transportName = "";

  private final Kernel kernel = Kernel.instance();
  private final PooledByteBufAllocator allocator =
      new PooledByteBufAllocator(true, 0, 2, 8192, 6, 0, 0, false);
  private @Nullable Network opened;

  /** A namespace, and what an agent has in it. */
  private final class Network {
    final Fd netns = kernel.namespaces().newNetwork();
    final Transport transport = Transport.named(transportName);
    final Log log = new Logs(System.err, InstantSource.system(), Level.INFO).room("test");
    final EventLoopGroup loops =
        transport.loops(1, Thread.ofPlatform().name("loop-", 0).daemon().factory());
    final EventLoop loop = loops.next();
    final PodSockets sockets = new PodSockets(transport, kernel.namespaces(), log).start();

    void close() {
      loops.shutdownGracefully(0, 5, TimeUnit.SECONDS).awaitUninterruptibly(10, TimeUnit.SECONDS);
      sockets.close();
      netns.close();
    }
  }

  /** Reads on its loop and keeps what it was told. */
  private final class Reader implements PodSocket.Owner {
    final PodSocket socket;
    final CompletableFuture<String> ended = new CompletableFuture<>();
    final CompletableFuture<IOException> broke = new CompletableFuture<>();
    final CompletableFuture<Throwable> lost = new CompletableFuture<>();
    final Queue<String> read = new ConcurrentLinkedQueue<>();
    final AtomicInteger drained = new AtomicInteger();

    Reader(PodSocket socket) {
      this.socket = socket;
    }

    @Override
    public void readable() {
      while (socket.isOpen() && socket.mayRead()) {
        ByteBuf bytes = allocator.directBuffer(512);
        try {
          int count = socket.read(bytes);
          read.add(bytes.toString(StandardCharsets.US_ASCII));
          if (count == PodSocket.END) {
            ended.complete("end");
            return;
          }
        } catch (IOException e) {
          ended.complete("error: " + e.getMessage());
          return;
        } finally {
          bytes.release();
        }
      }
    }

    String text() {
      return String.join("", read);
    }

    @Override
    public void drained() {
      drained.incrementAndGet();
    }

    @Override
    public void broken(IOException why) {
      broke.complete(why);
    }

    @Override
    public void lost(Throwable why) {
      lost.complete(why);
    }
  }

  @BeforeEach
  void open() {
    Network network = new Network();
    opened = network;
    kernel
        .namespaces()
        .inNetwork(
            network.netns,
            () -> {
              Netlink netlink = kernel.netlink();
              netlink.interfaces().stream()
                  .filter(Netlink.Interface::loopback)
                  .forEach(each -> netlink.setUp(each.index()));
              return true;
            });
  }

  @AfterEach
  void nothingIsHeld() {
    network().close();
    assertThat(allocator.pinnedDirectMemory()).as("bytes in buffers").isZero();
  }

  private Network network() {
    Network now = opened;
    if (now == null) {
      throw new AssertionError("no network");
    }
    return now;
  }

  private ServerSocketChannel listen() {
    return kernel
        .namespaces()
        .inNetwork(
            network().netns,
            () -> {
              try {
                return ServerSocketChannel.open().bind(new InetSocketAddress(LOOPBACK, 0));
              } catch (IOException e) {
                throw new UncheckedIOException(e);
              }
            });
  }

  private SocketChannel program() {
    return kernel
        .namespaces()
        .inNetwork(
            network().netns,
            () -> {
              try {
                return SocketChannel.open();
              } catch (IOException e) {
                throw new UncheckedIOException(e);
              }
            });
  }

  private <T> T onLoop(Callable<T> work) throws Exception {
    return network().loop.submit(work).get(PATIENCE_MILLIS, TimeUnit.MILLISECONDS);
  }

  private PodSocket unconnected() {
    return kernel
        .namespaces()
        .inNetwork(network().netns, () -> network().sockets.connector(PodSockets.MARK_AGENT));
  }

  private @Nullable IOException connect(PodSocket socket, InetSocketAddress to, long millis)
      throws Exception {
    CompletableFuture<List<IOException>> done = new CompletableFuture<>();
    onLoop(() -> {
      socket.connect(
          network().loop,
          to,
          null,
          millis,
          failure -> done.complete(failure == null ? List.of() : List.of(failure)));
      return true;
    });
    List<IOException> failures = done.get(PATIENCE_MILLIS, TimeUnit.MILLISECONDS);
    return failures.isEmpty() ? null : failures.getFirst();
  }

  /** The agent's end of a connection, and the program's. */
  private record Both(Reader ours, SocketChannel theirs) {}

  private Both connected() throws Exception {
    try (ServerSocketChannel listener = listen()) {
      PodSocket socket = unconnected();
      assertThat(connect(socket, (InetSocketAddress) listener.getLocalAddress(), PATIENCE_MILLIS))
          .isNull();
      Reader reader = new Reader(socket);
      onLoop(() -> {
        socket.join(network().loop, reader);
        return true;
      });
      return new Both(reader, listener.accept());
    }
  }

  private static void send(SocketChannel to, String text) throws IOException {
    to.write(ByteBuffer.wrap(text.getBytes(StandardCharsets.US_ASCII)));
  }

  private static String receive(SocketChannel from, int bytes) throws IOException {
    ByteBuffer buffer = ByteBuffer.allocate(bytes);
    while (buffer.hasRemaining() && from.read(buffer) >= 0) {
      // More is to come.
    }
    return new String(buffer.array(), 0, buffer.position(), StandardCharsets.US_ASCII);
  }

  private ByteBuf bytes(String text) {
    return allocator
        .directBuffer(text.length())
        .writeBytes(text.getBytes(StandardCharsets.US_ASCII));
  }

  private void write(PodSocket to, String... pieces) throws Exception {
    onLoop(() -> {
      for (String each : pieces) {
        assertThat(to.write(bytes(each))).isTrue();
      }
      to.flush();
      return true;
    });
  }

  @Test
  void aProgramOfTheNodeIsConnectedToBeforeTheCallReturns() throws Exception {
    try (ServerSocketChannel listener = listen()) {
      InetSocketAddress to = (InetSocketAddress) listener.getLocalAddress();
      PodSocket socket = unconnected();
      boolean atOnce =
          onLoop(() -> {
            CompletableFuture<Boolean> done = new CompletableFuture<>();
            socket.connect(
                network().loop,
                to,
                null,
                PATIENCE_MILLIS,
                failure -> done.complete(failure == null));
            return done.getNow(false);
          });
      assertThat(atOnce).isTrue();
      try (SocketChannel accepted = listener.accept()) {
        assertThat(accepted.isConnected()).isTrue();
      }
      assertThat(socket.remoteAddress()).isEqualTo(to);
      onLoop(() -> {
        socket.close();
        return true;
      });
    }
  }

  @Test
  void whereNobodyListensConnectingIsRefused() throws Exception {
    InetSocketAddress nobody;
    try (ServerSocketChannel listener = listen()) {
      nobody = (InetSocketAddress) listener.getLocalAddress();
    }
    PodSocket socket = unconnected();
    assertThat(connect(socket, nobody, PATIENCE_MILLIS)).isInstanceOf(ConnectException.class);
    assertThat(socket.isOpen()).isFalse();
  }

  @Test
  void whoNeverAnswersIsGivenUp() throws Exception {
    try (ServerSocketChannel listener = listen()) {
      Nft.run(
          network().netns,
          """
          table inet silent {
            chain input {
              type filter hook input priority 0;
              tcp flags & (syn|ack) == syn drop
            }
          }
          """);
      PodSocket socket = unconnected();
      assertThat(connect(socket, (InetSocketAddress) listener.getLocalAddress(), 50))
          .isInstanceOf(ConnectTimeoutException.class);
      assertThat(socket.isOpen()).isFalse();
    }
  }

  @Test
  void anAnswerThatComesLateIsTakenAndWhatWasSaidWithItIsRead() throws Exception {
    try (ServerSocketChannel listener = listen()) {
      Nft.run(
          network().netns,
          """
          table inet late {
            chain input {
              type filter hook input priority 0;
              tcp flags & (syn|ack) == syn drop
            }
          }
          """);
      PodSocket socket = unconnected();
      CompletableFuture<Boolean> done = new CompletableFuture<>();
      Reader reader = new Reader(socket);
      onLoop(() -> {
        socket.connect(
            network().loop,
            (InetSocketAddress) listener.getLocalAddress(),
            null,
            PATIENCE_MILLIS,
            failure -> {
              socket.join(network().loop, reader);
              done.complete(failure == null);
            });
        return true;
      });
      assertThat(done).isNotDone();
      Nft.run(network().netns, "delete table inet late");
      try (SocketChannel accepted = listener.accept()) {
        send(accepted, "hello");
        assertThat(done.get(PATIENCE_MILLIS, TimeUnit.MILLISECONDS)).isTrue();
        await().until(() -> reader.text().equals("hello"));
      }
    }
  }

  @Test
  void whatComesIsToldAndTheEndAfterIt() throws Exception {
    Both both = connected();
    send(both.theirs(), "one");
    await().until(() -> both.ours().text().equals("one"));
    send(both.theirs(), "two");
    both.theirs().shutdownOutput();
    assertThat(both.ours().ended.get(PATIENCE_MILLIS, TimeUnit.MILLISECONDS)).isEqualTo("end");
    assertThat(both.ours().text()).isEqualTo("onetwo");
    write(both.ours().socket, "still here");
    assertThat(receive(both.theirs(), 10)).isEqualTo("still here");
    both.theirs().close();
  }

  @Test
  void whatIsBehindAnUrgentByteIsReadAsWell() throws Exception {
    try (ServerSocketChannel listener = listen()) {
      Reader reader = new Reader(unconnected());
      assertThat(
              connect(
                  reader.socket, (InetSocketAddress) listener.getLocalAddress(), PATIENCE_MILLIS))
          .isNull();
      try (SocketChannel theirs = listener.accept()) {
        sayWithAnUrgentByte(theirs);
        onLoop(() -> {
          reader.socket.join(network().loop, reader);
          return true;
        });
        await().until(() -> reader.text().equals("onetwo"));
      }
    }
  }

  private static void sayWithAnUrgentByte(SocketChannel to) throws IOException {
    send(to, "one");
    to.socket().sendUrgentData('!');
    send(to, "two");
  }

  /** The urgent byte stands for a joined socket here: the kernel ends a read at either. */
  @Test
  void aShortReadSaysNothingWhereBytesMayComePastTcp() throws Exception {
    for (boolean joined : new boolean[] {false, true}) {
      try (ServerSocketChannel listener = listen()) {
        PodSocket socket = unconnected();
        assertThat(connect(socket, (InetSocketAddress) listener.getLocalAddress(), PATIENCE_MILLIS))
            .isNull();
        try (SocketChannel theirs = listener.accept()) {
          sayWithAnUrgentByte(theirs);
          onLoop(() -> {
            socket.expectInput();
            if (joined) {
              socket.expectJoining();
            }
            assertThat(read(socket)).isEqualTo("one");
            assertThat(socket.mayRead()).isEqualTo(joined);
            assertThat(read(socket)).isEqualTo("two");
            assertThat(read(socket)).isEmpty();
            assertThat(socket.mayRead()).isFalse();
            socket.close();
            return true;
          });
        }
      }
    }
  }

  private String read(PodSocket socket) throws IOException {
    ByteBuf bytes = allocator.directBuffer(512);
    try {
      int _ = socket.read(bytes);
      return bytes.toString(StandardCharsets.US_ASCII);
    } finally {
      bytes.release();
    }
  }

  @Test
  void whatBbrWouldPaceHasRenoAndOtherChoicesStay() throws Exception {
    for (String name : available()) {
      kernel.namespaces().inNetwork(network().netns, () -> write(CONGESTION_OF_NEW_SOCKETS, name));
      Both both = connected();
      both.ours().socket.unpace();
      assertThat(congestion(both.ours().socket)).isEqualTo(name.equals("bbr") ? "reno" : name);
      assertThat(both.ours().socket.roundTripMicros().orElseThrow()).isBetween(1, 1_000_000);
      both.theirs().close();
      assertThat(both.ours().ended.get(PATIENCE_MILLIS, TimeUnit.MILLISECONDS)).isEqualTo("end");
    }
  }

  /** What this kernel has of the usual ones. */
  private static List<String> available() throws IOException {
    List<String> known =
        List.of(
            Files.readString(Path.of("/proc/sys/net/ipv4/tcp_available_congestion_control"))
                .strip()
                .split(" "));
    return Stream.of("reno", "cubic", "bbr").filter(known::contains).toList();
  }

  private static Path write(Path file, String text) {
    try {
      return Files.writeString(file, text);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static String congestion(PodSocket socket) throws IOException {
    ByteBuffer name = ByteBuffer.allocate(16);
    socket.socket().getRawOpt(6, 13, name);
    return new String(name.array(), StandardCharsets.US_ASCII).replace("\0", "");
  }

  @Test
  void aResetIsAnErrorOfTheNextRead() throws Exception {
    Both both = connected();
    both.theirs().setOption(StandardSocketOptions.SO_LINGER, 0);
    both.theirs().close();
    assertThat(both.ours().ended.get(PATIENCE_MILLIS, TimeUnit.MILLISECONDS)).startsWith("error: ");
    onLoop(() -> {
      assertThat(both.ours().socket.write(bytes("in vain"))).isTrue();
      both.ours().socket.flush();
      return true;
    });
    assertThat(both.ours().broke.get(PATIENCE_MILLIS, TimeUnit.MILLISECONDS)).isNotNull();
    assertThat(both.ours().socket.hasWrittenAll()).isTrue();
  }

  @Test
  void theEndJoinsTheLastThatIsSaid() throws Exception {
    Both both = connected();
    Nft.run(
        network().netns,
        """
        table inet seen {
          counter alone { }
          counter together { }
          chain input {
            type filter hook input priority 0;
            tcp flags & fin == fin meta length <= 52 counter name alone
            tcp flags & fin == fin meta length > 52 counter name together
          }
        }
        """);
    onLoop(() -> {
      PodSocket socket = both.ours().socket;
      assertThat(socket.write(bytes("bye"))).isTrue();
      socket.endOutput();
      assertThat(socket.isOutputEnded()).isTrue();
      assertThat(socket.write(bytes("too late"))).isFalse();
      return true;
    });
    assertThat(receive(both.theirs(), 10)).isEqualTo("bye");
    String counters = Nft.run(network().netns, "list counters table inet seen");
    assertThat(counters)
        .containsPattern("counter alone \\{\\s+packets 0 ")
        .containsPattern("counter together \\{\\s+packets 1 ");
    both.theirs().close();
  }

  @Test
  void whatTheKernelHasNoRoomForWaitsInOrderAndTheEndBehindIt() throws Exception {
    Both both = connected();
    PodSocket socket = both.ours().socket;
    int pieces = 2_000;
    CRC32C sent = new CRC32C();
    Random random = new Random(7);
    onLoop(() -> {
      for (int i = 0; i < pieces; i++) {
        byte[] piece = new byte[1 + random.nextInt(20_000)];
        random.nextBytes(piece);
        sent.update(piece);
        assertThat(socket.write(allocator.directBuffer(piece.length).writeBytes(piece))).isTrue();
        if (i % 7 == 0) {
          socket.flush();
        }
      }
      socket.endOutput();
      assertThat(socket.hasWrittenAll()).as("nobody has read yet").isFalse();
      assertThat(socket.isOutputEnded()).isFalse();
      return true;
    });
    CRC32C received = new CRC32C();
    ByteBuffer buffer = ByteBuffer.allocate(100_000);
    while (both.theirs().read(buffer.clear()) >= 0) {
      received.update(buffer.flip());
    }
    assertThat(received.getValue()).isEqualTo(sent.getValue());
    await().until(socket::isOutputEnded);
    assertThat(both.ours().drained).hasPositiveValue();
    both.theirs().close();
  }

  @Test
  void theEndOfTheLoopClosesItsSockets() throws Exception {
    Both both = connected();
    // With no quiet period a loop that is at its tasks just then ends without a look at its
    // sockets.
    network()
        .loops
        .shutdownGracefully(50, 5_000, TimeUnit.MILLISECONDS)
        .get(PATIENCE_MILLIS, TimeUnit.MILLISECONDS);
    assertThat(both.ours().lost.get(PATIENCE_MILLIS, TimeUnit.MILLISECONDS)).isNotNull();
    assertThat(both.theirs().read(ByteBuffer.allocate(1))).isEqualTo(-1);
    both.theirs().close();
  }

  @Test
  void oneThatThrowsLosesItsSocketAndNobodyElseWaits() throws Exception {
    Both bad = connected();
    Both good = connected();
    CompletableFuture<Throwable> lost = new CompletableFuture<>();
    onLoop(() -> {
      bad.ours()
          .socket
          .join(
              network().loop,
              new PodSocket.Owner() {
                @Override
                public void readable() {
                  throw new IllegalStateException("a mistake");
                }

                @Override
                public void drained() {}

                @Override
                public void broken(IOException why) {}

                @Override
                public void lost(Throwable why) {
                  lost.complete(why);
                }
              });
      return true;
    });
    send(bad.theirs(), "x");
    assertThat(lost.get(PATIENCE_MILLIS, TimeUnit.MILLISECONDS)).hasMessage("a mistake");
    assertThat(bad.ours().socket.isOpen()).isFalse();
    send(good.theirs(), "y");
    await().until(() -> good.ours().text().equals("y"));
    bad.theirs().close();
    good.theirs().close();
  }

  @Test
  void aPortHandsOnWhoeverComesAndKnowsWhoItIs() throws Exception {
    BlockingQueue<PodSocket> arrived = new LinkedBlockingQueue<>();
    PodPort port =
        network()
            .sockets
            .port(
                network().netns,
                network().loop,
                new InetSocketAddress(LOOPBACK, 0),
                false,
                new PodPort.Arrivals() {
                  @Override
                  public void arrived(PodSocket socket) {
                    arrived.add(socket);
                  }

                  @Override
                  public void failed(IOException why) {
                    throw new AssertionError(why);
                  }
                });
    int many = 50;
    for (int i = 0; i < many; i++) {
      try (SocketChannel program = program()) {
        program.connect(port.localAddress());
        PodSocket accepted = arrived.poll(PATIENCE_MILLIS, TimeUnit.MILLISECONDS);
        assertThat(accepted).isNotNull();
        assertThat(accepted.remoteAddress()).isEqualTo(program.getLocalAddress());
        assertThat(accepted.localAddress()).isEqualTo(port.localAddress());
        accepted.close();
      }
    }
    SocketChannel[] together = new SocketChannel[many];
    // While the loop has other things to do.
    CompletableFuture<Boolean> busy = new CompletableFuture<>();
    network().loop.execute(busy::join);
    for (int i = 0; i < many; i++) {
      together[i] = program();
      together[i].connect(port.localAddress());
    }
    busy.complete(true);
    for (int i = 0; i < many; i++) {
      PodSocket accepted = arrived.poll(PATIENCE_MILLIS, TimeUnit.MILLISECONDS);
      assertThat(accepted).isNotNull();
      accepted.close();
      together[i].close();
    }
    InetSocketAddress at = port.localAddress();
    assertThat(port.isOpen()).isTrue();
    port.close().get(PATIENCE_MILLIS, TimeUnit.MILLISECONDS);
    assertThat(port.isOpen()).isFalse();
    assertThat(port.localAddress()).as("who asks for status may come late").isEqualTo(at);
    try (SocketChannel late = program()) {
      assertThat(connects(late, at)).isFalse();
    }
  }

  private static boolean connects(SocketChannel channel, InetSocketAddress to) {
    try {
      return channel.connect(to);
    } catch (IOException e) {
      return false;
    }
  }

  @Test
  void aReadThatFindsLittleGuessesLess() {
    ReadSize size = new ReadSize();
    int first = size.guess();
    size.was(first, first);
    assertThat(size.guess()).isGreaterThan(first);
    for (int i = 0; i < 20; i++) {
      size.was(size.guess(), size.guess());
    }
    int most = size.guess();
    assertThat(most).isEqualTo(128 * 1024);
    size.was(1, most);
    assertThat(size.guess()).as("one small read says nothing").isEqualTo(most);
    for (int i = 0; i < 40; i++) {
      size.was(1, size.guess());
    }
    assertThat(size.guess()).isEqualTo(1024);
  }
}
