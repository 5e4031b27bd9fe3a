package dev.weir.shop;

import java.io.BufferedInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.util.ArrayDeque;
import java.util.Deque;
import org.jspecify.annotations.Nullable;

/** Another role, called over kept connections. */
final class Upstream {
  private static final int CONNECT_MILLIS = 3_000;
  private static final int READ_MILLIS = 5_000;
  private static final int MAX_IDLE = 8;
  private static final long MAX_IDLE_NANOS = 10_000_000_000L;

  /**
   * After so many requests a connection is done: a layer-4 balancer chooses per connection, so one
   * kept for ever would pin its backend.
   */
  private static final int MAX_REQUESTS = 50;

  private final String host;
  private final int port;
  private final Deque<Connection> idle = new ArrayDeque<>();

  Upstream(String hostAndPort) {
    int colon = hostAndPort.lastIndexOf(':');
    this.host = colon < 0 ? hostAndPort : hostAndPort.substring(0, colon);
    this.port = colon < 0 ? Main.PORT : Integer.parseInt(hostAndPort.substring(colon + 1));
  }

  String host() {
    return host;
  }

  /** The body of a 200; anything else is an exception that says what and from whom. */
  String get(String path) throws IOException {
    Message response = call(path);
    if (response.status() != 200) {
      throw new IOException(
          "%s%s: %d %s".formatted(host, path, response.status(), response.body()));
    }
    return response.body();
  }

  private Message call(String path) throws IOException {
    Connection kept = take();
    if (kept != null) {
      try {
        return exchange(kept, path);
      } catch (UnansweredException e) {
        // RFC 9110 9.2.2: the peer may close a kept connection at any time; a GET that met that is
        // safe to send once more.
        return exchange(dial(), path);
      }
    }
    return exchange(dial(), path);
  }

  private Message exchange(Connection connection, String path) throws IOException {
    Message response;
    try {
      Message request = Message.of("GET " + path + " HTTP/1.1", "");
      request.fields().put("host", host);
      request.write(connection.socket.getOutputStream());
      response = Message.read(connection.in);
    } catch (IOException e) {
      connection.close();
      throw connection.requests > 0
          ? new UnansweredException(e)
          : new IOException(host + ": " + e.getMessage(), e);
    }
    if (response == null) {
      connection.close();
      IOException closed = new IOException(host + ": closed without an answer");
      throw connection.requests > 0 ? new UnansweredException(closed) : closed;
    }
    connection.requests++;
    if (response.closes() || connection.requests >= MAX_REQUESTS) {
      connection.close();
    } else {
      give(connection);
    }
    return response;
  }

  private Connection dial() throws IOException {
    Socket socket = new Socket();
    try {
      socket.setTcpNoDelay(true);
      socket.setSoTimeout(READ_MILLIS);
      socket.connect(new InetSocketAddress(InetAddress.getByName(host), port), CONNECT_MILLIS);
      return new Connection(socket, new BufferedInputStream(socket.getInputStream(), 2048));
    } catch (IOException e) {
      socket.close();
      throw new IOException("cannot reach %s:%d: %s".formatted(host, port, e.getMessage()), e);
    }
  }

  private @Nullable Connection take() throws IOException {
    while (true) {
      Connection connection;
      synchronized (idle) {
        connection = idle.pollLast();
      }
      if (connection == null || System.nanoTime() - connection.idleSince < MAX_IDLE_NANOS) {
        return connection;
      }
      connection.close();
    }
  }

  private void give(Connection connection) throws IOException {
    connection.idleSince = System.nanoTime();
    boolean kept;
    synchronized (idle) {
      kept = idle.size() < MAX_IDLE && idle.offerLast(connection);
    }
    if (!kept) {
      connection.close();
    }
  }

  private static final class Connection {
    final Socket socket;
    final InputStream in;
    int requests;
    long idleSince;

    Connection(Socket socket, InputStream in) {
      this.socket = socket;
      this.in = in;
    }

    void close() throws IOException {
      socket.close();
    }
  }

  /** A kept connection that ended before the answer began. */
  private static final class UnansweredException extends IOException {
    private static final long serialVersionUID = 1;

    UnansweredException(IOException cause) {
      super(cause.getMessage(), cause);
    }
  }
}
