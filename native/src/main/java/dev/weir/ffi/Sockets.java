package dev.weir.ffi;

import java.net.InetSocketAddress;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** Sockets and options that java.nio and Netty do not offer. */
public interface Sockets {
  /** socket(2); family, type and protocol as in C. */
  Fd open(int family, int type, int protocol);

  /** Takes over a descriptor number that came from elsewhere (Netty, SCM_RIGHTS). */
  Fd adopt(int number);

  void setOption(Fd socket, int level, int name, int value);

  void setOption(Fd socket, int level, int name, byte[] value);

  int option(Fd socket, int level, int name);

  byte[] option(Fd socket, int level, int name, int size);

  /** connect(2), as blocking as the socket is. */
  void connect(Fd socket, InetSocketAddress to);

  /** recv(2): how many bytes came, 0 at the end; flags as in C. */
  int receive(Fd socket, byte[] into, int flags);

  /** Tells of bytes that come, not of bytes that are there: EPOLLIN with EPOLLET. */
  EdgeWatch watchEdges(Fd socket);

  /** A pipe with room for so many bytes, or fewer where the machine allows no more. */
  Pipe pipe(int bytes);

  /** A connected SOCK_SEQPACKET Unix socket, as ZDS speaks over. */
  Packets connectPackets(Path socketFile, Duration timeout);

  /**
   * A listening SOCK_SEQPACKET Unix socket; a stale file is replaced, a live one is an error that
   * says who has it.
   */
  PacketListener listenPackets(Path socketFile);

  /** One socket in an epoll set of its own. One thread. */
  interface EdgeWatch extends AutoCloseable {
    /** Whether something new came within the time. */
    boolean await(Duration atMost);

    @Override
    void close();
  }

  /** One SOCK_SEQPACKET connection. One thread reads, one writes. */
  interface Packets extends AutoCloseable {
    void send(byte[] message, List<Fd> descriptors);

    /**
     * The next message, or null at end of stream. Throws KernelException ETIMEDOUT after the
     * timeout. The caller owns the descriptors.
     */
    @Nullable Packet receive(int maxBytes, Duration timeout);

    @Override
    void close();
  }

  /** Whoever receives it owns the descriptors. Compared by nobody, so an array does. */
  @SuppressWarnings("ArrayRecordComponent")
  record Packet(byte[] message, List<Fd> descriptors) {}

  interface PacketListener extends AutoCloseable {
    /** The next connection, or null once closed. */
    @Nullable Packets accept();

    @Override
    void close();
  }
}
