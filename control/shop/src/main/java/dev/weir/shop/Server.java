package dev.weir.shop;

import java.io.BufferedInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.SocketTimeoutException;
import java.util.function.Function;

/**
 * Answers requests, one virtual thread a connection. Once stopping, each connection ends with the
 * answer it is at.
 */
final class Server implements AutoCloseable {
  /**
   * Longer than a caller keeps an idle connection (Upstream), so that the caller, who knows, is the
   * one to close.
   */
  private static final int IDLE_MILLIS = 60_000;

  private final ServerSocket listener;
  private final Function<Message, Message> answer;
  private volatile boolean stopping;

  private Server(ServerSocket listener, Function<Message, Message> answer) {
    this.listener = listener;
    this.answer = answer;
  }

  static Server listen(int port, Function<Message, Message> answer) throws IOException {
    ServerSocket listener = new ServerSocket();
    listener.setReuseAddress(true);
    try {
      listener.bind(new InetSocketAddress(port), 128);
    } catch (IOException e) {
      listener.close();
      throw new IOException("cannot listen on port %d: %s".formatted(port, e.getMessage()), e);
    }
    Server server = new Server(listener, answer);
    Thread.ofPlatform().name("accept").start(server::accept);
    return server;
  }

  int port() {
    return listener.getLocalPort();
  }

  private void accept() {
    while (!stopping) {
      try {
        Socket connection = listener.accept();
        Thread.ofVirtual().start(() -> serve(connection));
      } catch (IOException e) {
        if (!stopping) {
          Main.log("accept failed: " + e.getMessage());
        }
      }
    }
  }

  private void serve(Socket connection) {
    try (connection) {
      connection.setTcpNoDelay(true);
      connection.setSoTimeout(IDLE_MILLIS);
      InputStream in = new BufferedInputStream(connection.getInputStream(), 2048);
      for (Message request = Message.read(in); request != null; request = Message.read(in)) {
        Message response = answer.apply(request);
        boolean last = stopping || request.closes();
        if (last) {
          response.fields().put("connection", "close");
        }
        response.write(connection.getOutputStream());
        if (last) {
          return;
        }
      }
    } catch (SocketTimeoutException e) {
      // An idle keep-alive connection: closing it is all there is to do.
    } catch (IOException e) {
      Main.log("connection from " + connection.getRemoteSocketAddress() + ": " + e.getMessage());
    }
  }

  @Override
  public void close() throws IOException {
    stopping = true;
    listener.close();
  }
}
