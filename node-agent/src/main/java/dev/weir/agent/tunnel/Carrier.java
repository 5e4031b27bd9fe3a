package dev.weir.agent.tunnel;

import io.netty.buffer.ByteBuf;
import io.netty.channel.EventLoop;
import java.net.InetSocketAddress;
import org.jspecify.annotations.Nullable;

/**
 * What carries the bytes of a TLS connection: a socket, or a stream of another tunnel. What comes
 * it brings to its {@link SecureLine}. Owned by its event loop; what other threads may call says
 * so.
 */
interface Carrier {
  EventLoop loop();

  /** Begins to bring what comes. */
  void begin(SecureLine to);

  /** Takes bytes to be sent, which are its own from now on. */
  void write(ByteBuf bytes);

  void flush();

  /** Bytes that wait to leave, about. Any thread. */
  int waiting();

  boolean isOpen();

  /** Where the other end is. Any thread. */
  @Nullable InetSocketAddress remoteAddress();

  /** Which address of ours that was opened to. */
  @Nullable InetSocketAddress localAddress();

  /** Ends output and then itself, when all that waits has left. */
  void closeWhenSent();

  /** Ends it now; what waits is lost. */
  void close();
}
