package dev.weir.ffi;

/**
 * Bytes on their way from one stream socket to another that nobody copies: the kernel moves the
 * pages that hold them (splice(2)). Sockets are given by number and do not block. One thread.
 */
public interface Pipe extends AutoCloseable {
  /**
   * Takes what a socket has received.
   *
   * @return how many bytes; 0 where none are there, or the pipe is full, or the end has come: a
   *     read tells
   * @throws KernelException where the socket has an error, which no read will tell any more
   */
  int fill(int socket, int most);

  /**
   * Gives what came first to a socket.
   *
   * @return how many bytes it took; 0 where its buffer is full
   */
  int drain(int socket, int most);

  /** What it holds is lost. */
  @Override
  void close();
}
