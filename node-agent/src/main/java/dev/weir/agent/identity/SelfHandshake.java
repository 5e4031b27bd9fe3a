package dev.weir.agent.identity;

import io.netty.buffer.ByteBuf;
import io.netty.channel.embedded.EmbeddedChannel;
import io.netty.handler.ssl.SslHandler;
import javax.net.ssl.SSLException;
import org.jspecify.annotations.Nullable;

/** A handshake between two handlers in memory. */
final class SelfHandshake {
  private static final int MOST_FLIGHTS = 20;

  private SelfHandshake() {}

  /** Frees both handlers, however it ends. */
  static void run(SslHandler client, SslHandler server) throws SSLException {
    EmbeddedChannel near = new EmbeddedChannel();
    EmbeddedChannel far = new EmbeddedChannel();
    try {
      far.pipeline().addLast(server);
      near.pipeline().addLast(client);
      for (int flight = 0; flight < MOST_FLIGHTS; flight++) {
        boolean moved = pass(near, far);
        moved |= pass(far, near);
        if (!moved) {
          break;
        }
      }
      check(client, server);
    } finally {
      near.finishAndReleaseAll();
      far.finishAndReleaseAll();
    }
  }

  private static boolean pass(EmbeddedChannel from, EmbeddedChannel to) {
    boolean any = false;
    ByteBuf bytes;
    while ((bytes = from.readOutbound()) != null) {
      // Not writeInbound: what goes wrong is asked of the handshake afterwards.
      to.pipeline().fireChannelRead(bytes);
      any = true;
    }
    if (any) {
      to.pipeline().fireChannelReadComplete();
      to.runPendingTasks();
    }
    return any;
  }

  private static void check(SslHandler client, SslHandler server) throws SSLException {
    for (SslHandler each : new SslHandler[] {client, server}) {
      // Who refused knows why; the other has an alert.
      @Nullable PeerRefused refused = PeerRefused.of(each.handshakeFuture().cause());
      if (refused != null) {
        throw new SSLException(refused.getMessage(), refused);
      }
    }
    for (SslHandler each : new SslHandler[] {client, server}) {
      if (!each.handshakeFuture().isSuccess()) {
        @Nullable Throwable cause = each.handshakeFuture().cause();
        throw new SSLException(
            cause == null ? "a handshake with itself does not finish" : cause.getMessage(), cause);
      }
    }
  }
}
