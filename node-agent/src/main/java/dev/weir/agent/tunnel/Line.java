package dev.weir.agent.tunnel;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.ByteBufAllocator;
import io.netty.channel.EventLoop;

/**
 * What a session speaks over: bytes in order, to a peer that is known. What comes it brings to the
 * session by itself. Owned by the session's event loop.
 */
interface Line {
  EventLoop loop();

  ByteBufAllocator allocator();

  /**
   * Where the next bytes to be sent are put, at the end of what is there. Good until the next call.
   *
   * @param bytes for how many there is room, at least
   */
  ByteBuf room(int bytes);

  /**
   * Puts the next so many bytes of a buffer there, without another copy of them; the buffer stays
   * the caller's.
   */
  void write(ByteBuf bytes, int count);

  /** Sends what was put there. */
  void flush();

  /** Whether more should be put there now; {@link TunnelSession#drained} comes when it may. */
  boolean isWritable();

  /** All bytes that left so far. What is there to leave before them is {@link #toSend}. */
  long sent();

  /** All bytes that were given to be sent so far, when they are flushed. */
  long toSend();

  boolean isOpen();

  /** Ends it when all that was put there has left, and soon in any case. */
  void close();
}
