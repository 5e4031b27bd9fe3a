package dev.weir.ffi;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.weir.testing.NeedsKernel;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Objects;
import java.util.Random;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.Parameter;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.ValueSource;

@NeedsKernel
@ParameterizedClass
@ValueSource(strings = {"ffm", "jnr"})
class SocketsContractTest {
  private static final int AF_INET = 2;
  private static final int AF_INET6 = 10;
  private static final int SOCK_STREAM = 1;
  private static final int SOCK_NONBLOCK = 0x800;
  private static final int MSG_PEEK = 2;
  private static final int SOL_SOCKET = 1;
  private static final int SO_MARK = 36;
  private static final int SO_COOKIE = 57;
  private static final int SO_NETNS_COOKIE = 71;
  private static final int SO_LINGER = 13;
  private static final Duration SOON = Duration.ofSeconds(5);

  @Parameter String binding = "";
  @TempDir Path folder = Path.of("");

  private Sockets sockets() {
    return Binding.named(binding).sockets();
  }

  @Test
  void optionsAreSetAndRead() {
    Sockets sockets = sockets();
    try (Fd socket = sockets.open(AF_INET, SOCK_STREAM, 0)) {
      sockets.setOption(socket, SOL_SOCKET, SO_MARK, 0x539);
      assertThat(sockets.option(socket, SOL_SOCKET, SO_MARK)).isEqualTo(0x539);
      byte[] linger =
          ByteBuffer.allocate(8).order(ByteOrder.nativeOrder()).putInt(1).putInt(7).array();
      sockets.setOption(socket, SOL_SOCKET, SO_LINGER, linger);
      assertThat(sockets.option(socket, SOL_SOCKET, SO_LINGER, 8)).isEqualTo(linger);
    }
  }

  @Test
  void aSocketKnowsItsCookieAndItsNamespaceS() {
    Kernel kernel = Binding.named(binding);
    try (Fd network = kernel.namespaces().newNetwork();
        Fd socket =
            kernel
                .namespaces()
                .inNetwork(network, () -> kernel.sockets().open(AF_INET, SOCK_STREAM, 0))) {
      assertThat(longOption(kernel.sockets(), socket, SO_NETNS_COOKIE))
          .isEqualTo(kernel.namespaces().cookie(network));
      assertThat(longOption(kernel.sockets(), socket, SO_COOKIE)).isNotZero();
    }
  }

  private static long longOption(Sockets sockets, Fd socket, int name) {
    return ByteBuffer.wrap(sockets.option(socket, SOL_SOCKET, name, Long.BYTES))
        .order(ByteOrder.nativeOrder())
        .getLong();
  }

  @Test
  void aTcpSocketIsConnectedPeekedAtAndWatchedByEdges() throws Exception {
    Sockets sockets = sockets();
    for (String loopback : List.of("127.0.0.1", "::1")) {
      InetAddress address = InetAddress.ofLiteral(loopback);
      int family = address.getAddress().length == 4 ? AF_INET : AF_INET6;
      int port;
      try (ServerSocket server = new ServerSocket(0, 1, address);
          Fd client = sockets.open(family, SOCK_STREAM, 0)) {
        sockets.connect(client, new InetSocketAddress(address, server.getLocalPort()));
        try (Socket accepted = server.accept();
            Sockets.EdgeWatch edges = sockets.watchEdges(client)) {
          assertThat(edges.await(Duration.ofMillis(20))).isFalse();
          accepted.getOutputStream().write("hello".getBytes(UTF_8));
          assertThat(edges.await(SOON)).isTrue();
          assertThat(edges.await(Duration.ofMillis(20))).as("the bytes are no news").isFalse();
          byte[] into = new byte[3];
          assertThat(sockets.receive(client, into, MSG_PEEK)).isEqualTo(3);
          assertThat(sockets.receive(client, into, 0)).isEqualTo(3);
          assertThat(into).asString(UTF_8).isEqualTo("hel");
          accepted.shutdownOutput();
          assertThat(edges.await(SOON)).isTrue();
          assertThat(sockets.receive(client, into, 0)).isEqualTo(2);
          assertThat(sockets.receive(client, into, 0)).isZero();
        }
        port = server.getLocalPort();
      }
      try (Fd other = sockets.open(family, SOCK_STREAM, 0)) {
        assertThatThrownBy(() -> sockets.connect(other, new InetSocketAddress(address, port)))
            .isInstanceOf(KernelException.class)
            .hasMessageContaining("connect: ECONNREFUSED");
      }
    }
  }

  @Test
  void aRefusedOptionNamesTheCallAndErrno() {
    Sockets sockets = sockets();
    try (Fd socket = sockets.open(AF_INET, SOCK_STREAM, 0)) {
      assertThatThrownBy(() -> sockets.setOption(socket, SOL_SOCKET, 9999, 1))
          .isInstanceOf(KernelException.class)
          .hasMessage("setsockopt: ENOPROTOOPT (Protocol not available): level 1 option 9999");
    }
    assertThatThrownBy(() -> sockets.open(9999, SOCK_STREAM, 0))
        .isInstanceOf(KernelException.class)
        .hasMessageContaining("socket: EAFNOSUPPORT");
  }

  @Test
  void packetsKeepTheirBoundsAndCarryDescriptors() throws Exception {
    Kernel kernel = Binding.named(binding);
    Path file = folder.resolve("zds.sock");
    try (Sockets.PacketListener listener = kernel.sockets().listenPackets(file);
        Sockets.Packets client = kernel.sockets().connectPackets(file, SOON);
        Sockets.Packets server = Objects.requireNonNull(listener.accept());
        Fd network = kernel.namespaces().newNetwork()) {
      client.send("one".getBytes(UTF_8), List.of());
      client.send("two".getBytes(UTF_8), List.of(network, network));
      Sockets.Packet one = received(server);
      assertThat(one.message()).asString(UTF_8).isEqualTo("one");
      assertThat(one.descriptors()).isEmpty();
      Sockets.Packet two = received(server);
      assertThat(two.message()).asString(UTF_8).isEqualTo("two");
      assertThat(two.descriptors())
          .hasSize(2)
          .allSatisfy(fd -> {
            assertThat(fd.number()).isNotEqualTo(network.number());
            assertThat(kernel.namespaces().inode(fd)).isEqualTo(kernel.namespaces().inode(network));
          });
      two.descriptors().forEach(Fd::close);
      server.send("back".getBytes(UTF_8), List.of());
      assertThat(received(client).message()).asString(UTF_8).isEqualTo("back");
    }
    assertThat(file).doesNotExist();
  }

  @Test
  void asManyDescriptorsAsTheKernelTakesTravelAtOnce() throws Exception {
    try (Connection connection = new Connection();
        Fd socket = sockets().open(AF_INET, SOCK_STREAM, 0)) {
      connection.client.send(new byte[] {1}, Collections.nCopies(253, socket));
      List<Fd> descriptors = received(connection.server).descriptors();
      assertThat(descriptors).hasSize(253);
      descriptors.forEach(Fd::close);
      assertThatThrownBy(
              () -> connection.client.send(new byte[] {1}, Collections.nCopies(254, socket)))
          .isInstanceOf(IllegalArgumentException.class);
    }
  }

  @Test
  void theEndOfTheStreamIsNull() throws Exception {
    try (Connection connection = new Connection()) {
      connection.client.close();
      assertThat(connection.server.receive(100, SOON)).isNull();
      assertThatThrownBy(() -> connection.server.send(new byte[] {1}, List.of()))
          .isInstanceOf(KernelException.class)
          .hasMessageContaining("sendmsg: EPIPE");
    }
  }

  @Test
  void aPacketTooLongIsRefusedAndItsDescriptorsClosed() throws Exception {
    try (Connection connection = new Connection();
        Fd socket = sockets().open(AF_INET, SOCK_STREAM, 0)) {
      long before = openDescriptors();
      connection.client.send(new byte[101], List.of(socket));
      assertThatThrownBy(() -> connection.server.receive(100, SOON))
          .isInstanceOf(KernelException.class)
          .hasMessageContaining("EMSGSIZE")
          .hasMessageContaining("longer than 100 bytes");
      assertThat(openDescriptors()).isEqualTo(before);
      connection.client.send("next".getBytes(UTF_8), List.of());
      assertThat(received(connection.server).message()).asString(UTF_8).isEqualTo("next");
    }
  }

  @Test
  void waitingForAPacketEndsAtItsTimeout() throws Exception {
    try (Connection connection = new Connection()) {
      assertThatThrownBy(() -> connection.server.receive(100, Duration.ofMillis(20)))
          .isInstanceOfSatisfying(
              KernelException.class, e -> assertThat(e.errno()).isEqualTo(Errno.ETIMEDOUT));
    }
  }

  @Test
  void aReaderThatStopsHoldsTheSenderNoLongerThanItsTimeout() throws Exception {
    try (Connection connection = new Connection()) {
      byte[] block = new byte[60_000];
      assertThatThrownBy(
              () -> {
                while (true) {
                  connection.client.send(block, List.of());
                }
              })
          .isInstanceOfSatisfying(
              KernelException.class, e -> assertThat(e.errno()).isEqualTo(Errno.ETIMEDOUT));
    }
  }

  @Test
  void closingWakesWhoeverWaits() throws Exception {
    try (Connection connection = new Connection()) {
      FutureTask<Sockets.@Nullable Packet> reading =
          new FutureTask<>(() -> connection.server.receive(100, Duration.ofMinutes(1)));
      FutureTask<Sockets.@Nullable Packets> accepting =
          new FutureTask<>(connection.listener::accept);
      Thread reader = Thread.ofPlatform().daemon().start(reading);
      Thread acceptor = Thread.ofPlatform().daemon().start(accepting);
      awaitBlocked(reader, acceptor);
      connection.server.close();
      connection.listener.close();
      assertThat(reading.get(5, TimeUnit.SECONDS)).isNull();
      assertThat(accepting.get(5, TimeUnit.SECONDS)).isNull();
    }
  }

  /** A thread inside a native call counts as runnable to Java; the kernel tells where it sleeps. */
  private static void awaitBlocked(Thread... threads) throws Exception {
    long deadline = System.nanoTime() + SOON.toNanos();
    List<Thread> left = new ArrayList<>(List.of(threads));
    while (!left.isEmpty() && System.nanoTime() < deadline) {
      left.removeIf(thread -> {
        for (StackTraceElement frame : thread.getStackTrace()) {
          if (frame.getClassName().endsWith("Calls")) {
            return true;
          }
        }
        return false;
      });
      Thread.onSpinWait();
    }
    assertThat(left).isEmpty();
  }

  @Test
  void aStaleSocketFileIsReplaced() throws Exception {
    Path file = folder.resolve("stale.sock");
    Path elsewhere = folder.resolve("elsewhere.sock");
    try (Sockets.PacketListener _ = sockets().listenPackets(file)) {
      Files.move(file, elsewhere);
    }
    assertThat(elsewhere).exists();
    try (Sockets.PacketListener listener = sockets().listenPackets(elsewhere);
        Sockets.Packets client = sockets().connectPackets(elsewhere, SOON);
        Sockets.Packets server = Objects.requireNonNull(listener.accept())) {
      client.send("hello".getBytes(UTF_8), List.of());
      assertThat(received(server).message()).asString(UTF_8).isEqualTo("hello");
    }
  }

  @Test
  void aLiveSocketFileIsLeftAloneAndItsHolderNamed() {
    Path file = folder.resolve("live.sock");
    try (Sockets.PacketListener _ = sockets().listenPackets(file)) {
      assertThatThrownBy(() -> sockets().listenPackets(file))
          .isInstanceOf(KernelException.class)
          .hasMessageContaining("EADDRINUSE")
          .hasMessageContaining("held by process " + ProcessHandle.current().pid());
      assertThat(file).exists();
    }
  }

  @Test
  void aListenerThatClosesLeavesItsSuccessorSFile() throws Exception {
    Path file = folder.resolve("taken.sock");
    Sockets.PacketListener first = sockets().listenPackets(file);
    Files.move(file, folder.resolve("aside.sock"));
    try (Sockets.PacketListener _ = sockets().listenPackets(file)) {
      first.close();
      assertThat(file).exists();
    }
    assertThat(file).doesNotExist();
  }

  @Test
  void whatIsNoSocketIsNeverReplaced() throws Exception {
    Path file = Files.writeString(folder.resolve("precious"), "data");
    assertThatThrownBy(() -> sockets().listenPackets(file))
        .isInstanceOf(KernelException.class)
        .hasMessageContaining("is no socket");
    assertThat(file).hasContent("data");
  }

  @Test
  void aPathTooLongForASocketSaysHowLongItMayBe() {
    Path file = folder.resolve("x".repeat(120));
    assertThatThrownBy(() -> sockets().listenPackets(file))
        .isInstanceOf(KernelException.class)
        .hasMessageContaining("ENAMETOOLONG")
        .hasMessageContaining("expected: < 108");
  }

  @Test
  void connectingToNobodyNamesTheFile() {
    assertThatThrownBy(() -> sockets().connectPackets(folder.resolve("nobody.sock"), SOON))
        .isInstanceOf(KernelException.class)
        .hasMessageContaining("connect: ENOENT")
        .hasMessageContaining("nobody.sock");
  }

  @Test
  void connectingToAFullBacklogEndsAtItsTimeout() {
    Path file = folder.resolve("full.sock");
    List<Sockets.Packets> waiting = new ArrayList<>();
    try (Sockets.PacketListener _ = sockets().listenPackets(file)) {
      assertThatThrownBy(
              () -> {
                while (waiting.size() < 100) {
                  waiting.add(sockets().connectPackets(file, Duration.ofMillis(50)));
                }
              })
          .isInstanceOfSatisfying(
              KernelException.class, e -> assertThat(e.errno()).isEqualTo(Errno.ETIMEDOUT));
    } finally {
      waiting.forEach(Sockets.Packets::close);
    }
  }

  @Test
  void anAdoptedDescriptorIsClosedByItsNewOwner() {
    Sockets sockets = sockets();
    Fd socket = sockets.open(AF_INET, SOCK_STREAM, 0);
    Fd adopted = sockets.adopt(socket.number());
    adopted.close();
    assertThatThrownBy(socket::close)
        .isInstanceOf(KernelException.class)
        .hasMessageContaining("close: EBADF");
    assertThatThrownBy(() -> sockets.adopt(-1)).isInstanceOf(IllegalArgumentException.class);
  }

  @Test
  void whatASocketReceivedGoesOnThroughAPipe() throws Exception {
    byte[] sent = new byte[200_000];
    new Random(7).nextBytes(sent);
    try (Ends from = new Ends();
        Ends to = new Ends();
        Pipe pipe = sockets().pipe(64 * 1024)) {
      assertThat(pipe.fill(from.number(), 1000)).as("nothing came yet").isZero();
      FutureTask<Void> sending =
          new FutureTask<>(() -> {
            from.program.getOutputStream().write(sent);
            from.program.shutdownOutput();
            return null;
          });
      FutureTask<byte[]> reading =
          new FutureTask<>(() -> to.program.getInputStream().readNBytes(sent.length));
      Thread.ofVirtual().start(sending);
      Thread.ofVirtual().start(reading);
      long deadline = System.nanoTime() + SOON.toNanos();
      while (!reading.isDone()) {
        assertThat(System.nanoTime()).isLessThan(deadline);
        for (int held = pipe.fill(from.number(), 50_000); held > 0; ) {
          held -= pipe.drain(to.number(), held);
        }
      }
      assertThat(reading.get()).isEqualTo(sent);
      sending.get(5, TimeUnit.SECONDS);
      assertThat(pipe.fill(from.number(), 1000)).as("at the end").isZero();
    }
  }

  @Test
  void aSocketThatIsFullLeavesTheRestInThePipe() throws Exception {
    try (Ends from = new Ends();
        Ends to = new Ends();
        Pipe pipe = sockets().pipe(1 << 20)) {
      Thread sending =
          Thread.ofVirtual()
              .start(() -> {
                try {
                  byte[] block = new byte[1 << 16];
                  while (true) {
                    from.program.getOutputStream().write(block);
                  }
                } catch (IOException e) {
                  // The test has ended.
                  return;
                }
              });
      long filled = 0;
      long drained = 0;
      long deadline = System.nanoTime() + SOON.toNanos();
      boolean full = false;
      while (!full) {
        assertThat(System.nanoTime()).isLessThan(deadline);
        filled += pipe.fill(from.number(), 1 << 20);
        int now;
        do {
          now = filled == drained ? 0 : pipe.drain(to.number(), 1 << 20);
          drained += now;
          full = now == 0 && filled > drained;
        } while (now > 0);
      }
      to.program.getInputStream().skipNBytes(drained);
      assertThat(pipe.drain(to.number(), 1 << 20)).as("with room again").isPositive();
      from.program.close();
      sending.join(SOON);
    }
  }

  @Test
  void aResetIsAnErrorOfThePipe() throws Exception {
    try (Ends from = new Ends();
        Pipe pipe = sockets().pipe(64 * 1024)) {
      from.program.setSoLinger(true, 0);
      from.program.close();
      long deadline = System.nanoTime() + SOON.toNanos();
      assertThatThrownBy(
              () -> {
                while (pipe.fill(from.number(), 1000) == 0) {
                  assertThat(System.nanoTime()).isLessThan(deadline);
                }
              })
          .isInstanceOf(KernelException.class)
          .hasMessageContaining("ECONNRESET");
    }
  }

  @Test
  void aClosedPipeLeavesNoDescriptor() throws Exception {
    sockets().pipe(1 << 16).close();
    long before = openDescriptors();
    for (int i = 0; i < 100; i++) {
      sockets().pipe(1 << 16).close();
    }
    assertThat(openDescriptors()).isLessThan(before + 50);
  }

  /**
   * A program's socket, and the other end of its connection as a descriptor that does not block.
   */
  private final class Ends implements AutoCloseable {
    final Socket program;
    private final Fd other;

    Ends() throws IOException {
      try (ServerSocket listener = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
        other = sockets().open(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        try {
          sockets()
              .connect(
                  other,
                  (InetSocketAddress) Objects.requireNonNull(listener.getLocalSocketAddress()));
        } catch (KernelException e) {
          assertThat(e).hasMessageContaining("EINPROGRESS");
        }
        program = listener.accept();
      }
    }

    int number() {
      return other.number();
    }

    @Override
    public void close() throws IOException {
      program.close();
      other.close();
    }
  }

  private static Sockets.Packet received(Sockets.Packets from) {
    return Objects.requireNonNull(from.receive(1000, SOON));
  }

  private static long openDescriptors() throws Exception {
    try (var open = Files.list(Path.of("/proc/self/fd"))) {
      return open.count();
    }
  }

  private final class Connection implements AutoCloseable {
    final Sockets.PacketListener listener = sockets().listenPackets(folder.resolve("pair.sock"));
    final Sockets.Packets client = sockets().connectPackets(folder.resolve("pair.sock"), SOON);
    final Sockets.Packets server = Objects.requireNonNull(listener.accept());

    @Override
    public void close() {
      client.close();
      server.close();
      listener.close();
    }
  }
}
