package dev.weir.agent.admin;

import dev.weir.agent.log.Log;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.net.StandardProtocolFamily;
import java.net.StandardSocketOptions;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.CancelledKeyException;
import java.nio.channels.ClosedSelectorException;
import java.nio.channels.NetworkChannel;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * HTTP/1.1 for a handful of callers: one thread, one selector. A connection reads one request at a
 * time into a buffer that grows to 8 KiB at most, has ten seconds to bring it and as long to take
 * each part of the answer, and a minute between requests; the 65th connection waits in the kernel.
 * So a caller that trickles or never reads costs a slot for seconds, and memory not at all.
 */
final class HttpServer implements AutoCloseable {
  static final int MAX_CONNECTIONS = 64;
  private static final long REQUEST_NANOS = TimeUnit.SECONDS.toNanos(10);
  private static final long IDLE_NANOS = TimeUnit.SECONDS.toNanos(60);
  private static final long SWEEP_MILLIS = 1_000;
  private static final long CLOSE_MILLIS = 2_000;
  private static final int FIRST_BUFFER_BYTES = 512;

  /** Length, two line ends and the last chunk. */
  private static final int CHUNK_FRAME_BYTES = 24;

  private static final byte[] CRLF = {'\r', '\n'};
  private static final byte[] LAST_CHUNK = {'0', '\r', '\n', '\r', '\n'};

  private final Log log;
  private final Selector selector;
  private final List<ServerSocketChannel> listeners = new ArrayList<>();
  private volatile boolean leavingPorts;

  /** Files that are ours, by what the kernel knows them by: a successor may have taken the name. */
  private final Map<Path, Object> sockets = new HashMap<>();

  private final Thread thread;
  private final Runnable everySecond;
  private int connections;
  private volatile boolean closed;

  /** {@code everySecond} runs on the server's thread. */
  HttpServer(String name, Log log, Runnable everySecond) throws IOException {
    this.log = log;
    this.everySecond = everySecond;
    this.selector = Selector.open();
    this.thread = Thread.ofPlatform().daemon().name(name).unstarted(this::run);
  }

  /** Listens; before {@link #start}. Gives the address with the port that was bound. */
  SocketAddress listen(SocketAddress address, Function<HttpRequest, HttpResponse> site)
      throws IOException {
    ServerSocketChannel listener = ServerSocketChannel.open();
    try {
      // Without it a restarted agent would wait for TIME_WAIT; a live one still holds the port.
      listener.setOption(StandardSocketOptions.SO_REUSEADDR, true);
      // During an upgrade two agents live on the node; any other program's port stays its own.
      listener.setOption(StandardSocketOptions.SO_REUSEPORT, true);
      listener.bind(address, MAX_CONNECTIONS);
      register(listener, site);
    } catch (IOException | RuntimeException e) {
      listener.close();
      throw e;
    }
    return listener.getLocalAddress();
  }

  /**
   * A Unix socket for its owner alone. It is made under another name and moved into place, so the
   * name never leads to a socket that others may use or nobody answers on; a stale one is replaced,
   * and so is that of the agent which this one takes over from.
   */
  void listen(Path file, Function<HttpRequest, HttpResponse> site) throws IOException {
    Path made = file.resolveSibling("." + file.getFileName() + "." + ProcessHandle.current().pid());
    Files.deleteIfExists(made);
    ServerSocketChannel listener = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
    try {
      listener.bind(UnixDomainSocketAddress.of(made), MAX_CONNECTIONS);
      Files.setPosixFilePermissions(made, PosixFilePermissions.fromString("rw-------"));
      register(listener, site);
      sockets.put(file, identity(made));
      Files.move(made, file, StandardCopyOption.ATOMIC_MOVE);
    } catch (IOException | RuntimeException e) {
      listener.close();
      Files.deleteIfExists(made);
      throw e;
    }
  }

  private static Object identity(Path file) throws IOException {
    Object key =
        Files.readAttributes(file, BasicFileAttributes.class, LinkOption.NOFOLLOW_LINKS).fileKey();
    return key == null ? file : key;
  }

  void start() {
    thread.start();
  }

  /**
   * Leaves TCP ports to another agent that listens on them, too: callers that wait are answered
   * first. The Unix socket stays.
   */
  void leavePorts() {
    leavingPorts = true;
    selector.wakeup();
  }

  /** Its ports are free when this returns, unless a page is still being made after two seconds. */
  @Override
  public void close() {
    closed = true;
    if (thread.getState() == Thread.State.NEW) {
      closeAll();
      return;
    }
    selector.wakeup();
    if (Thread.currentThread().equals(thread)) {
      return;
    }
    try {
      thread.join(CLOSE_MILLIS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private void register(ServerSocketChannel listener, Function<HttpRequest, HttpResponse> site)
      throws IOException {
    listener.configureBlocking(false);
    listener.register(selector, SelectionKey.OP_ACCEPT, site);
    listeners.add(listener);
  }

  private void run() {
    long nextSweep = System.nanoTime();
    try {
      while (!closed) {
        selector.select(SWEEP_MILLIS);
        long now = System.nanoTime();
        for (SelectionKey key : selector.selectedKeys()) {
          serve(key, now);
        }
        selector.selectedKeys().clear();
        if (leavingPorts) {
          leavingPorts = false;
          closePorts(now);
        }
        if (now - nextSweep >= 0) {
          nextSweep = now + TimeUnit.MILLISECONDS.toNanos(SWEEP_MILLIS);
          sweep(now);
          everySecond.run();
        }
      }
    } catch (ClosedSelectorException e) {
      log.debug("admin ended with its selector");
    } catch (IOException e) {
      log.error("admin stops answering", "reason", e);
    } finally {
      closeAll();
    }
  }

  private void closePorts(long now) {
    for (SelectionKey key : List.copyOf(selector.keys())) {
      if (key.channel() instanceof ServerSocketChannel listener && isOfPort(key)) {
        int before = -1;
        while (before != connections && connections < MAX_CONNECTIONS) {
          before = connections;
          serve(key, now);
        }
        listeners.remove(listener);
        quietly(listener);
      }
    }
    for (SelectionKey key : List.copyOf(selector.keys())) {
      if (key.attachment() instanceof Connection connection && isOfPort(key)) {
        connection.endAfterAnswer();
      }
    }
  }

  /** What was closed in this round is among the keys until the next. */
  private static boolean isOfPort(SelectionKey key) {
    try {
      return key.channel() instanceof NetworkChannel channel
          && channel.getLocalAddress() instanceof InetSocketAddress;
    } catch (IOException e) {
      return false;
    }
  }

  private void serve(SelectionKey key, long now) {
    try {
      if (key.attachment() instanceof Connection connection) {
        connection.ready(now);
      } else {
        accept(key, now);
      }
    } catch (IOException | CancelledKeyException e) {
      // The caller went away: its loss, and nothing to tell anybody.
      if (key.attachment() instanceof Connection connection) {
        connection.close();
      }
    }
  }

  @SuppressWarnings("unchecked") // register() attaches nothing else to a listener.
  private void accept(SelectionKey key, long now) throws IOException {
    if (connections >= MAX_CONNECTIONS) {
      key.interestOps(0);
      return;
    }
    SocketChannel channel = ((ServerSocketChannel) key.channel()).accept();
    if (channel == null) {
      return;
    }
    channel.configureBlocking(false);
    connections++;
    SelectionKey own = channel.register(selector, SelectionKey.OP_READ);
    own.attach(
        new Connection(channel, own, (Function<HttpRequest, HttpResponse>) key.attachment(), now));
  }

  private void sweep(long now) {
    for (SelectionKey key : selector.keys()) {
      if (key.attachment() instanceof Connection connection && now - connection.deadline > 0) {
        connection.close();
      }
    }
  }

  private void slotFreed() {
    connections--;
    if (connections == MAX_CONNECTIONS - 1) {
      for (SelectionKey key : selector.keys()) {
        if (key.isValid() && key.channel() instanceof ServerSocketChannel) {
          key.interestOps(SelectionKey.OP_ACCEPT);
        }
      }
    }
  }

  private void closeAll() {
    if (!selector.isOpen()) {
      return;
    }
    for (SelectionKey key : List.copyOf(selector.keys())) {
      if (key.attachment() instanceof Connection connection) {
        connection.close();
      }
    }
    for (ServerSocketChannel listener : listeners) {
      quietly(listener);
    }
    quietly(selector);
    sockets.forEach((file, identity) -> {
      try {
        if (Files.exists(file, LinkOption.NOFOLLOW_LINKS) && identity(file).equals(identity)) {
          Files.delete(file);
        }
      } catch (IOException e) {
        log.warn("the admin socket's file stays", "file", file, "reason", e);
      }
    });
  }

  private void quietly(AutoCloseable resource) {
    try {
      resource.close();
    } catch (Exception e) {
      log.debug("close failed", "reason", e);
    }
  }

  private final class Connection {
    private final SocketChannel channel;
    private final SelectionKey key;
    private final Function<HttpRequest, HttpResponse> site;
    private byte[] input = new byte[FIRST_BUFFER_BYTES];
    private int length;
    private @Nullable ByteBuffer output;
    private Iterator<String> rest = Collections.emptyIterator();
    private boolean inChunks;
    private boolean last;
    private boolean leaving;
    private boolean answered;
    private boolean open = true;
    private long deadline;

    Connection(
        SocketChannel channel,
        SelectionKey key,
        Function<HttpRequest, HttpResponse> site,
        long now) {
      this.channel = channel;
      this.key = key;
      this.site = site;
      this.deadline = now + REQUEST_NANOS;
    }

    void ready(long now) throws IOException {
      if (output != null) {
        flush(now);
        if (output == null && open) {
          answer(now);
        }
        return;
      }
      if (length == input.length) {
        input = Arrays.copyOf(input, Math.min(HttpRequest.MAX_BYTES, input.length * 2));
      }
      int read = channel.read(ByteBuffer.wrap(input, length, input.length - length));
      if (read < 0) {
        close();
        return;
      }
      if (length == 0 && read > 0) {
        deadline = now + REQUEST_NANOS;
      }
      length += read;
      answer(now);
    }

    /** One that has asked nothing yet may have its question on the way: it gets its answer. */
    void endAfterAnswer() {
      leaving = true;
      if (answered && output == null && length == 0) {
        close();
      }
    }

    void close() {
      if (open) {
        open = false;
        key.cancel();
        quietly(channel);
        slotFreed();
      }
    }

    /**
     * Answers what is whole, one request after the other: the next is read when the last answer has
     * left.
     */
    private void answer(long now) throws IOException {
      while (output == null && length > 0) {
        switch (HttpRequest.parse(input, length)) {
          case HttpRequest.Unfinished _ -> {
            return;
          }
          case HttpRequest.Refused refused -> {
            last = true;
            length = 0;
            begin(HttpResponse.text(refused.status(), refused.why()), false, true);
          }
          case HttpRequest.Whole whole -> {
            length -= whole.bytes();
            System.arraycopy(input, whole.bytes(), input, 0, length);
            HttpRequest request = whole.request();
            last = leaving || !request.keepAlive();
            answered = true;
            begin(respond(request), request.method().equals("HEAD"), request.chunks());
          }
        }
        flush(now);
        if (!open) {
          return;
        }
      }
    }

    private void begin(HttpResponse response, boolean headOnly, boolean chunks) {
      Iterator<String> body = response.body();
      String whole = body.hasNext() ? body.next() : "";
      boolean streamed = body.hasNext();
      // An HTTP/1.0 caller knows the end of a streamed body by the end of the connection (RFC 9112
      // §6.3).
      last |= streamed && !chunks;
      inChunks = streamed && chunks;
      rest = streamed && !headOnly ? body : Collections.emptyIterator();
      byte[] first = headOnly ? new byte[0] : whole.getBytes(StandardCharsets.UTF_8);
      int size = streamed ? -1 : whole.getBytes(StandardCharsets.UTF_8).length;
      byte[] head = response.head(size, inChunks, !last);
      ByteBuffer message =
          ByteBuffer.allocate(head.length + first.length + CHUNK_FRAME_BYTES).put(head);
      part(message, first);
      output = message.flip();
    }

    /**
     * Puts one part of the body, framed where the body comes in chunks; the last chunk too where
     * nothing follows.
     */
    private void part(ByteBuffer message, byte[] bytes) {
      if (inChunks && bytes.length > 0) {
        message.put(
            (Integer.toHexString(bytes.length) + "\r\n").getBytes(StandardCharsets.ISO_8859_1));
        message.put(bytes).put(CRLF);
      } else {
        message.put(bytes);
      }
      if (inChunks && bytes.length > 0 && !rest.hasNext()) {
        message.put(LAST_CHUNK);
      }
    }

    private HttpResponse respond(HttpRequest request) {
      try {
        return site.apply(request);
      } catch (RuntimeException e) {
        log.error("admin request failed", "path", request.path(), "reason", e);
        return HttpResponse.text(500, "failed: " + e);
      }
    }

    private void flush(long now) throws IOException {
      ByteBuffer out = output;
      while (out != null) {
        int written = channel.write(out);
        if (out.hasRemaining()) {
          if (written > 0) {
            deadline = now + REQUEST_NANOS;
          }
          key.interestOps(SelectionKey.OP_WRITE);
          return;
        }
        out = null;
        if (rest.hasNext()) {
          byte[] bytes = rest.next().getBytes(StandardCharsets.UTF_8);
          out = ByteBuffer.allocate(bytes.length + CHUNK_FRAME_BYTES);
          part(out, bytes);
          out.flip();
        }
        output = out;
      }
      if (last) {
        close();
        return;
      }
      deadline = now + IDLE_NANOS;
      key.interestOps(SelectionKey.OP_READ);
      if (length == 0 && input.length > FIRST_BUFFER_BYTES) {
        input = new byte[FIRST_BUFFER_BYTES];
      }
    }
  }
}
