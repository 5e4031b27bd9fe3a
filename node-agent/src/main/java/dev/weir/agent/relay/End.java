package dev.weir.agent.relay;

import io.netty.buffer.ByteBuf;

/**
 * One of the two ends of a relayed connection, as the other one sees it: what is read there is
 * written here. Both belong to one event loop, and a caller is on it.
 */
sealed interface End permits SocketEnd, StreamEnd {
  /**
   * Takes bytes that the other end read; they are the end's own from now on, whatever it answers.
   *
   * @return false where nobody will read them any more
   */
  boolean write(ByteBuf bytes);

  /** How many bytes a buffer of so many should have before the first that is written to it. */
  int headroom(int bytes);

  /** The other end has read all there was for now: what is written should leave. */
  void flush();

  /** The other end has nothing more to send: pass that on when all before it is written. */
  void endOutput();

  /** Whether what arrives here is wanted: not while the other end holds much that is unwritten. */
  void reading(boolean on);

  /** Bytes that wait to leave here, or to be taken from here, about. Any thread. */
  long buffered();

  /** Ends the connection as a reset does, for the program behind this end. */
  void reset();
}
