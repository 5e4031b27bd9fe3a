package dev.weir.agent.capture;

import dev.weir.agent.log.Log;
import dev.weir.bpf.Layouts;
import dev.weir.bpf.Programs;
import dev.weir.ffi.Fd;
import dev.weir.ffi.Kernel;
import dev.weir.ffi.KernelException;
import dev.weir.ffi.Netlink;
import dev.weir.ffi.Sockets;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ProtocolFamily;
import java.net.StandardProtocolFamily;
import java.net.StandardSocketOptions;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.IntConsumer;
import java.util.zip.CRC32C;
import org.jspecify.annotations.Nullable;

/**
 * Tries every known hazard of joined sockets on this very kernel, between two throwaway namespaces
 * that are enrolled for as long as it takes, by the programs and maps that will do it for real. A
 * check also fails where the bytes were not joined: it would have proved nothing. Runs on a thread
 * of its own and blocks; each check has a deadline, since a hang is one of the hazards.
 */
final class JoiningTrial {
  private static final int PORT = 7;
  private static final Duration DEADLINE = Duration.ofSeconds(10);
  private static final int CONNECT_MILLIS = 2_000;
  private static final int INTEGRITY_BYTES = 64 << 20;
  private static final int CHUNK_BYTES = 64 << 10;
  // What plain TCP would take from a sender whose receiver sleeps: both buffers at their largest.
  private static final long SLEEPING_READER_BYTES = 16 << 20;
  private static final int SLEEP_ROUNDS = 15;
  private static final int AF_INET = 2;
  private static final int SOCK_STREAM = 1;
  private static final int SOL_SOCKET = 1;
  private static final int SO_RCVTIMEO = 20;
  private static final int MSG_PEEK = 2;
  // struct timeval
  private static final byte[] ONE_SECOND = Layouts.allocate(16).putLong(1).putLong(0).array();

  private final CaptureThread thread;
  private final Kernel kernel;
  private final KernelState state;
  private final PodBook book;
  private final KernelFlowReader flows;
  private final Log log;

  JoiningTrial(
      CaptureThread thread,
      Kernel kernel,
      KernelState state,
      PodBook book,
      KernelFlowReader flows,
      Log log) {
    this.thread = thread;
    this.kernel = kernel;
    this.state = state;
    this.book = book;
    this.flows = flows;
    this.log = log;
  }

  Joining run() {
    List<Joining.Check> checks = new ArrayList<>();
    try (Range range = new Range()) {
      checks.add(check("echo", range, this::echo));
      // Where not even this is joined, the others would test plain TCP.
      if (checks.getFirst().passed()) {
        checks.add(check("fionread", range, this::fionread));
        checks.add(check("peek", range, this::peek));
        checks.add(check("epoll", range, this::readiness));
        checks.add(check("epoll-et", range, this::edges));
        checks.add(check("half-close", range, this::halfClose));
        checks.add(check("reset", range, this::reset));
        checks.add(check("sleeping-reader", range, this::sleepingReader));
        checks.add(check("integrity", range, this::integrity));
      }
    } catch (KernelException | UncheckedIOException | CaptureException e) {
      return new Joining(
          Joining.State.OFF, "the self-test could not be set up: " + e.getMessage(), checks);
    }
    for (Joining.Check check : checks) {
      if (!check.passed()) {
        return new Joining(
            Joining.State.OFF, "%s: %s".formatted(check.name(), check.detail()), checks);
      }
    }
    return new Joining(Joining.State.ON, "", checks);
  }

  @FunctionalInterface
  private interface Hazard {
    /** What was seen; throws where it is not what must be. */
    String tryOn(Range range) throws IOException, InterruptedException;
  }

  /** What a check did not find as it must be. */
  private static final class Unfit extends IOException {
    private static final long serialVersionUID = 1;

    Unfit(String message) {
      super(message);
    }
  }

  private Joining.Check check(String name, Range range, Hazard hazard) {
    long from = System.nanoTime();
    String detail;
    boolean passed = false;
    FutureTask<String> task = new FutureTask<>(() -> hazard.tryOn(range));
    Thread runner = Thread.ofPlatform().name("weir-self-test-" + name).daemon().start(task);
    try {
      detail = task.get(DEADLINE.toMillis(), TimeUnit.MILLISECONDS);
      passed = true;
    } catch (ExecutionException e) {
      Throwable cause = e.getCause() == null ? e : e.getCause();
      detail = String.valueOf(cause.getMessage());
    } catch (TimeoutException e) {
      detail = "hangs for %d s".formatted(DEADLINE.toSeconds());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      detail = "interrupted";
    }
    range.closeSockets();
    try {
      runner.join(Duration.ofSeconds(1));
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    long millis = TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - from);
    log.debug("self-test", "check", name, "passed", passed, "detail", detail, "millis", millis);
    return new Joining.Check(name, passed, detail, millis);
  }

  // ---- the hazards

  private String echo(Range range) throws IOException {
    // A socket of either family for IPv4: Java and Go use the v6 one.
    ping("IPv4", range, StandardProtocolFamily.INET, range.server4);
    ping("v4-mapped", range, StandardProtocolFamily.INET6, range.server4);
    ping("IPv6", range, StandardProtocolFamily.INET6, range.server6);
    return "IPv4, v4-mapped, IPv6";
  }

  private void ping(String kind, Range range, ProtocolFamily family, InetAddress to)
      throws IOException {
    try {
      ping(range.connect(family, to));
    } catch (IOException e) {
      throw new IOException(kind + ": " + e.getMessage(), e);
    }
  }

  private void ping(Pair pair) throws IOException {
    ByteBuffer there = ByteBuffer.allocate(64);
    ByteBuffer back = ByteBuffer.allocate(64);
    for (int i = 0; i < 200; i++) {
      there.clear().putInt(0, i);
      write(pair.client, there);
      readFully(pair.server, back.clear());
      write(pair.server, back.flip());
      readFully(pair.client, there.clear());
      if (there.getInt(0) != i) {
        throw new Unfit("sent %d, came back as %d".formatted(i, there.getInt(0)));
      }
    }
    pair.requireJoined();
  }

  private String fionread(Range range) throws IOException, InterruptedException {
    Pair pair = range.warm();
    write(pair.client, ByteBuffer.allocate(1_000));
    requireAvailable(pair.server, 1_000);
    readFully(pair.server, ByteBuffer.allocate(400));
    requireAvailable(pair.server, 600);
    pair.requireJoined();
    return "1000, then 600 of 1000";
  }

  private static void requireAvailable(SocketChannel socket, int expected)
      throws IOException, InterruptedException {
    long until = System.nanoTime() + TimeUnit.SECONDS.toNanos(1);
    int seen;
    do {
      seen = socket.socket().getInputStream().available();
      if (seen == expected) {
        return;
      }
      Thread.sleep(1);
    } while (System.nanoTime() < until);
    throw new Unfit("FIONREAD says %d (expected: %d)".formatted(seen, expected));
  }

  private String peek(Range range) throws IOException {
    try (RawPair pair = range.connectRaw()) {
      write(pair.server, ByteBuffer.wrap(new byte[] {1, 2, 3, 4}));
      byte[] seen = new byte[3];
      byte[] read = new byte[3];
      for (int i = 0; i < 2; i++) {
        if (pair.receive(seen, MSG_PEEK) != 3 || seen[0] != 1 || seen[2] != 3) {
          throw new Unfit("MSG_PEEK shows other bytes than were sent");
        }
      }
      if (pair.receive(read, 0) != 3 || !Arrays.equals(read, seen)) {
        throw new Unfit("bytes shown by MSG_PEEK were not those read then");
      }
      if (pair.receive(read, MSG_PEEK) != 1 || read[0] != 4) {
        throw new Unfit("MSG_PEEK does not show what is left");
      }
      pair.requireJoined();
      return "twice the same, then read";
    }
  }

  private String edges(Range range) throws IOException {
    try (RawPair pair = range.connectRaw();
        Sockets.EdgeWatch edges = kernel.sockets().watchEdges(pair.client)) {
      byte[] into = new byte[100];
      for (int i = 0; i < 200; i++) {
        write(pair.server, ByteBuffer.allocate(10));
        if (!edges.await(Duration.ofSeconds(1))) {
          throw new Unfit("no edge for bytes that were sent");
        }
        int read = 0;
        // As edge-triggered programs must: to the end of what is there.
        while (read < 10) {
          read += pair.receive(into, 0);
        }
        if (read != 10) {
          throw new Unfit("%d bytes for 10".formatted(read));
        }
      }
      pair.requireJoined();
      return "200 edges, none missed";
    }
  }

  private String readiness(Range range) throws IOException {
    Pair pair = range.warm();
    try (Selector selector = Selector.open()) {
      pair.server.configureBlocking(false);
      SelectionKey key = pair.server.register(selector, SelectionKey.OP_READ);
      for (int i = 0; i < 200; i++) {
        if (selector.selectNow() != 0) {
          throw new Unfit("readable with nothing sent");
        }
        write(pair.client, ByteBuffer.allocate(10));
        if (selector.select(1_000) != 1) {
          throw new Unfit("no wake-up for bytes that were sent");
        }
        selector.selectedKeys().clear();
        readFully(pair.server, ByteBuffer.allocate(4));
        if (selector.select(1_000) != 1) {
          throw new Unfit("not readable with bytes left");
        }
        selector.selectedKeys().clear();
        readFully(pair.server, ByteBuffer.allocate(6));
      }
      key.cancel();
    }
    pair.requireJoined();
    return "200 wake-ups, none missed, none idle";
  }

  private String halfClose(Range range) throws IOException {
    Pair pair = range.warm();
    write(pair.client, ByteBuffer.allocate(100_000));
    pair.client.shutdownOutput();
    readFully(pair.server, ByteBuffer.allocate(100_000));
    requireEnd(pair.server);
    write(pair.server, ByteBuffer.allocate(100_000));
    readFully(pair.client, ByteBuffer.allocate(100_000));
    pair.requireJoined();
    pair.server.close();
    requireEnd(pair.client);
    return "100 kB after the other side had ended";
  }

  private static void requireEnd(SocketChannel socket) throws IOException {
    if (socket.read(ByteBuffer.allocate(1)) >= 0) {
      throw new Unfit("bytes where the end must be");
    }
  }

  private String reset(Range range) throws IOException {
    Pair pair = range.warm();
    write(pair.server, ByteBuffer.allocate(10));
    readFully(pair.client, ByteBuffer.allocate(10));
    pair.requireJoined();
    pair.server.setOption(StandardSocketOptions.SO_LINGER, 0);
    pair.server.close();
    int read;
    try {
      read = pair.client.read(ByteBuffer.allocate(1));
    } catch (IOException e) {
      return "reset comes as reset";
    }
    throw new Unfit(read < 0 ? "a reset came as a clean end" : "bytes where the reset must be");
  }

  private String sleepingReader(Range range) throws IOException, InterruptedException {
    Pair pair = range.warm();
    pair.client.configureBlocking(false);
    SplittableRandom random = new SplittableRandom(1);
    CRC32C sent = new CRC32C();
    ByteBuffer chunk = ByteBuffer.allocate(CHUNK_BYTES);
    long written = 0;
    for (int idle = 0; idle < SLEEP_ROUNDS; ) {
      fill(chunk.clear(), random);
      int size = pair.client.write(chunk.flip());
      if (size == 0) {
        idle++;
        Thread.sleep(10);
      } else {
        idle = 0;
        sent.update(chunk.array(), 0, size);
        written += size;
      }
      if (written > SLEEPING_READER_BYTES) {
        throw new Unfit("a reader that sleeps was sent %d bytes with no end".formatted(written));
      }
    }
    int held = pair.server.socket().getInputStream().available();
    // Linux doubles what is asked for, and Java halves what Linux says.
    int allowed = 2 * pair.server.getOption(StandardSocketOptions.SO_RCVBUF);
    if (held > allowed) {
      throw new Unfit(
          "a reader that sleeps holds %d bytes (expected: at most its buffer, %d)"
              .formatted(held, allowed));
    }
    // Now it wakes up: first what was joined, then what spilled to TCP, then joined again, in
    // order.
    CRC32C received = new CRC32C();
    long read = 0;
    ByteBuffer buffer = ByteBuffer.allocate(CHUNK_BYTES);
    while (read < written) {
      int size = pair.server.read(buffer.clear());
      if (size < 0) {
        throw new Unfit("ended after %d of %d bytes".formatted(read, written));
      }
      received.update(buffer.array(), 0, size);
      read += size;
    }
    if (sent.getValue() != received.getValue()) {
      throw new Unfit("bytes came in another order across the spill");
    }
    pair.requireJoined();
    return "holds %d of %d bytes, the sender stopped after %d".formatted(held, allowed, written);
  }

  private static void fill(ByteBuffer chunk, SplittableRandom random) {
    // Sizes of all magnitudes; the content differs at every position so that order shows.
    int size = 1 + random.nextInt(1 << (1 + random.nextInt(16)));
    long value = random.nextLong();
    while (chunk.position() + 8 <= size) {
      chunk.putLong(value);
      value = value * 6364136223846793005L + 1442695040888963407L;
    }
    while (chunk.position() < size) {
      chunk.put((byte) (value += 37));
    }
  }

  private String integrity(Range range) throws IOException, InterruptedException {
    Pair pair = range.warm();
    FutureTask<Long> writer =
        new FutureTask<>(() -> {
          SplittableRandom random = new SplittableRandom(2);
          CRC32C sum = new CRC32C();
          ByteBuffer chunk = ByteBuffer.allocate(CHUNK_BYTES);
          long left = INTEGRITY_BYTES;
          while (left > 0) {
            fill(chunk.clear(), random);
            chunk.flip().limit((int) Math.min(chunk.limit(), left));
            sum.update(chunk.array(), 0, chunk.limit());
            left -= chunk.limit();
            write(pair.client, chunk);
          }
          pair.client.shutdownOutput();
          return sum.getValue();
        });
    Thread.ofPlatform().name("weir-self-test-writer").daemon().start(writer);
    SplittableRandom pace = new SplittableRandom(3);
    CRC32C sum = new CRC32C();
    ByteBuffer buffer = ByteBuffer.allocate(CHUNK_BYTES);
    long read = 0;
    for (int size = pair.server.read(buffer); size >= 0; size = pair.server.read(buffer)) {
      sum.update(buffer.array(), 0, size);
      read += size;
      buffer.clear();
      if (pace.nextInt(64) == 0) {
        buffer.limit(1 + pace.nextInt(1_000));
        // Now and then slower than the sender, so that it spills and comes back.
        Thread.sleep(pace.nextInt(3));
      }
    }
    long expected;
    try {
      expected = writer.get(1, TimeUnit.SECONDS);
    } catch (ExecutionException | TimeoutException e) {
      throw new IOException("the sender failed: " + e.getMessage(), e);
    }
    if (read != INTEGRITY_BYTES || sum.getValue() != expected) {
      throw new Unfit(
          "%d of %d bytes came, %s"
              .formatted(read, INTEGRITY_BYTES, read == INTEGRITY_BYTES ? "altered" : "cut"));
    }
    return "%d MiB as sent".formatted(INTEGRITY_BYTES >> 20);
  }

  private static void write(SocketChannel to, ByteBuffer bytes) throws IOException {
    while (bytes.hasRemaining()) {
      to.write(bytes);
    }
  }

  private static void readFully(SocketChannel from, ByteBuffer bytes) throws IOException {
    while (bytes.hasRemaining()) {
      if (from.read(bytes) < 0) {
        throw new Unfit("ended after %d of %d bytes".formatted(bytes.position(), bytes.limit()));
      }
    }
  }

  // ---- where it happens

  /** A connection between the two namespaces. */
  private final class Pair {
    final SocketChannel client;
    final SocketChannel server;

    Pair(SocketChannel client, SocketChannel server) {
      this.client = client;
      this.server = server;
    }

    void requireJoined() throws IOException {
      JoiningTrial.this.requireJoined(
          (InetSocketAddress) client.getLocalAddress(),
          (InetSocketAddress) client.getRemoteAddress());
    }
  }

  /** One whose client is read by bare system calls, after its first bytes. */
  private final class RawPair implements AutoCloseable {
    final Fd client;
    final SocketChannel server;

    RawPair(Fd client, SocketChannel server) {
      this.client = client;
      this.server = server;
    }

    /** Blocks for a second at most. */
    int receive(byte[] into, int flags) {
      return kernel.sockets().receive(client, into, flags);
    }

    void requireJoined() throws IOException {
      // Here the server writes, so its bytes are those that the client's flow received.
      JoiningTrial.this.requireJoined(
          (InetSocketAddress) server.getRemoteAddress(),
          (InetSocketAddress) server.getLocalAddress());
    }

    @Override
    public void close() {
      client.close();
    }
  }

  private void requireJoined(InetSocketAddress from, InetSocketAddress to) throws Unfit {
    byte[] value =
        state
            .map(Programs.FLOWS)
            .lookup(
                new Layouts.Tuple(
                        from.getAddress(), from.getPort(), to.getAddress(), to.getPort(), 0)
                    .bytes());
    if (value == null) {
      throw new Unfit("the programs did not see it: does the agent run below --cgroup?");
    }
    Layouts.Flow flow = Layouts.Flow.of(value);
    if (flow.path() != Layouts.PATH_JOINED || flow.joinedSent() + flow.joinedReceived() == 0) {
      throw new Unfit(
          "its bytes went by TCP (path %d, %d bytes joined)"
              .formatted(flow.path(), flow.joinedSent() + flow.joinedReceived()));
    }
  }

  /** Two enrolled namespaces on one veth pair. */
  private final class Range implements AutoCloseable {
    final InetAddress client4;
    final InetAddress server4;
    final InetAddress client6;
    final InetAddress server6;
    private final Fd client = kernel.namespaces().newNetwork();
    private final Fd server = kernel.namespaces().newNetwork();
    private final long clientCookie = kernel.namespaces().cookie(client);
    private final long serverCookie = kernel.namespaces().cookie(server);
    private final List<AutoCloseable> sockets = new ArrayList<>();
    private final List<ServerSocketChannel> listeners = new ArrayList<>();
    private Layouts.@Nullable VerdictKey verdict;

    Range() {
      // From the block for benchmarks (RFC 2544), by the cookie so that two agents on a node do not
      // meet.
      int third = (int) (clientCookie & 0xff);
      client4 = InetAddress.ofLiteral("198.19.%d.1".formatted(third));
      server4 = InetAddress.ofLiteral("198.19.%d.2".formatted(third));
      client6 = InetAddress.ofLiteral("2001:2:0:%x::1".formatted(third));
      server6 = InetAddress.ofLiteral("2001:2:0:%x::2".formatted(third));
      boolean done = false;
      try {
        kernel
            .namespaces()
            .inNetwork(
                client,
                () -> {
                  kernel.netlink().addVeth("eth0", "eth0", server);
                  return true;
                });
        // Both ends up before they have addresses: what IPv6 asks of its neighbours while the link
        // has no carrier is lost, and asked again a second later.
        raise(client);
        raise(server);
        address(client, client4, client6);
        address(server, server4, server6);
        // The programs ask for the agent's listener before they look at verdicts.
        listeners.add(listen(client, InetAddress.ofLiteral("127.0.0.1"), 15_001));
        listeners.add(listen(client, InetAddress.ofLiteral("::1"), 15_001));
        listeners.add(listen(server, server4, PORT));
        listeners.add(listen(server, server6, PORT));
        var _ = thread.call(this::enrol).orTimeout(5, TimeUnit.SECONDS).join();
        done = true;
      } finally {
        if (!done) {
          close();
        }
      }
    }

    private void raise(Fd netns) {
      onDevice(netns, device -> kernel.netlink().setUp(device));
    }

    private void address(Fd netns, InetAddress four, InetAddress six) {
      onDevice(
          netns,
          device -> {
            kernel.netlink().addAddress(device, four, 30);
            kernel.netlink().addAddress(device, six, 64);
          });
    }

    private void onDevice(Fd netns, IntConsumer action) {
      kernel
          .namespaces()
          .inNetwork(
              netns,
              () -> {
                action.accept(
                    kernel.netlink().interfaces().stream()
                        .filter(one -> one.name().equals("eth0"))
                        .mapToInt(Netlink.Interface::index)
                        .findFirst()
                        .orElseThrow());
                return true;
              });
    }

    private boolean enrol() {
      int clientNumber = book.nextPodNumber();
      int serverNumber = book.nextPodNumber();
      int identity = book.identityNumber("weir:self-test", 0);
      flows.ignore(clientNumber);
      flows.ignore(serverNumber);
      int flags = Layouts.PodEntry.JOINED | Layouts.PodEntry.SELF_TEST;
      state
          .map(Programs.PODS)
          .update(
              Layouts.cookie(clientCookie),
              new Layouts.PodEntry(
                      clientNumber,
                      identity,
                      flags,
                      Layouts.mapped(client4),
                      Layouts.mapped(client6))
                  .bytes());
      state
          .map(Programs.PODS)
          .update(
              Layouts.cookie(serverCookie),
              new Layouts.PodEntry(
                      serverNumber,
                      identity,
                      flags,
                      Layouts.mapped(server4),
                      Layouts.mapped(server6))
                  .bytes());
      byte[] there =
          new Layouts.AddressEntry(serverCookie, serverNumber, Layouts.AddressEntry.POD).bytes();
      state.map(Programs.ADDRESSES).update(Layouts.mapped(server4), there);
      state.map(Programs.ADDRESSES).update(Layouts.mapped(server6), there);
      Layouts.VerdictKey allowed = new Layouts.VerdictKey(identity, serverNumber, PORT);
      state
          .map(Programs.VERDICTS)
          .update(allowed.bytes(), Layouts.verdict(Layouts.VERDICT_JOINED, 0));
      verdict = allowed;
      return true;
    }

    private boolean forget() {
      state.map(Programs.PODS).delete(Layouts.cookie(clientCookie));
      state.map(Programs.PODS).delete(Layouts.cookie(serverCookie));
      state.map(Programs.ADDRESSES).delete(Layouts.mapped(server4));
      state.map(Programs.ADDRESSES).delete(Layouts.mapped(server6));
      Layouts.VerdictKey allowed = verdict;
      if (allowed != null) {
        state.map(Programs.VERDICTS).delete(allowed.bytes());
      }
      return true;
    }

    private ServerSocketChannel listen(Fd netns, InetAddress address, int port) {
      ServerSocketChannel channel =
          kernel
              .namespaces()
              .inNetwork(
                  netns,
                  () -> {
                    try {
                      return ServerSocketChannel.open(
                          address.getAddress().length == 4
                              ? StandardProtocolFamily.INET
                              : StandardProtocolFamily.INET6);
                    } catch (IOException e) {
                      throw new UncheckedIOException(e);
                    }
                  });
      try {
        // An IPv6 address may still be tentative.
        long until = System.nanoTime() + TimeUnit.SECONDS.toNanos(3);
        while (true) {
          try {
            return channel.bind(new InetSocketAddress(address, port));
          } catch (IOException e) {
            if (System.nanoTime() > until) {
              throw e;
            }
            Thread.sleep(20);
          }
        }
      } catch (IOException e) {
        closeQuietly(channel);
        throw new UncheckedIOException("%s:%d".formatted(address.getHostAddress(), port), e);
      } catch (InterruptedException e) {
        closeQuietly(channel);
        Thread.currentThread().interrupt();
        throw new CaptureException("interrupted", e);
      }
    }

    Pair connect(ProtocolFamily family, InetAddress to) throws IOException {
      SocketChannel from =
          keep(
              kernel
                  .namespaces()
                  .inNetwork(
                      client,
                      () -> {
                        try {
                          return SocketChannel.open(family);
                        } catch (IOException e) {
                          throw new UncheckedIOException(e);
                        }
                      }));
      from.socket().connect(new InetSocketAddress(to, PORT), CONNECT_MILLIS);
      from.setOption(StandardSocketOptions.TCP_NODELAY, true);
      ServerSocketChannel listener = listeners.get(to.equals(server4) ? 2 : 3);
      SocketChannel at = keep(listener.accept());
      at.setOption(StandardSocketOptions.TCP_NODELAY, true);
      return new Pair(from, at);
    }

    /** A connection past its first bytes, which go by TCP: from here on they are joined. */
    Pair warm() throws IOException {
      Pair pair = connect(StandardProtocolFamily.INET, server4);
      ByteBuffer one = ByteBuffer.allocate(1);
      for (int i = 0; i < 8; i++) {
        write(pair.client, one.clear());
        readFully(pair.server, one.clear());
        write(pair.server, one.flip());
        readFully(pair.client, one.clear());
      }
      return pair;
    }

    RawPair connectRaw() throws IOException {
      Fd from =
          kernel
              .namespaces()
              .inNetwork(client, () -> kernel.sockets().open(AF_INET, SOCK_STREAM, 0));
      kernel.sockets().setOption(from, SOL_SOCKET, SO_RCVTIMEO, ONE_SECOND);
      kernel.sockets().connect(from, new InetSocketAddress(server4, PORT));
      SocketChannel at = keep(listeners.get(2).accept());
      at.setOption(StandardSocketOptions.TCP_NODELAY, true);
      RawPair pair = new RawPair(from, at);
      byte[] one = new byte[1];
      for (int i = 0; i < 8; i++) {
        write(at, ByteBuffer.wrap(one));
        pair.receive(one, 0);
      }
      return pair;
    }

    private SocketChannel keep(SocketChannel socket) {
      synchronized (sockets) {
        sockets.add(socket);
      }
      return socket;
    }

    /** Ends a check that hangs, too: its thread sees the channel closed. */
    void closeSockets() {
      synchronized (sockets) {
        sockets.forEach(this::closeQuietly);
        sockets.clear();
      }
    }

    private void closeQuietly(AutoCloseable socket) {
      try {
        socket.close();
      } catch (Exception e) {
        log.debug("self-test socket not closed", "cause", e.getMessage());
      }
    }

    @Override
    public void close() {
      closeSockets();
      listeners.forEach(this::closeQuietly);
      var _ = thread.call(this::forget).orTimeout(5, TimeUnit.SECONDS).exceptionally(e -> false);
      client.close();
      server.close();
    }
  }
}
