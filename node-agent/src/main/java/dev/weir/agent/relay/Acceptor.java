package dev.weir.agent.relay;

import dev.weir.agent.log.Log;
import dev.weir.agent.transport.PodPort;
import dev.weir.agent.transport.PodSocket;
import io.netty.channel.EventLoop;
import java.io.IOException;
import java.util.function.Supplier;

/**
 * Takes connections from in-pod ports and hands each to a loop where the pod is at home, whichever
 * loop a port itself is on.
 */
final class Acceptor implements PodPort.Arrivals {
  private final Supplier<EventLoop> next;
  private final Opening opening;
  private final String where;
  private final Log log;

  /** What becomes of an accepted connection; called on the loop that will own it. */
  interface Opening {
    void accepted(PodSocket socket, EventLoop loop);
  }

  /**
   * @param next where what comes next goes
   * @param where for the log
   */
  Acceptor(Supplier<EventLoop> next, Opening opening, String where, Log log) {
    this.next = next;
    this.opening = opening;
    this.where = where;
    this.log = log;
  }

  @Override
  public void arrived(PodSocket socket) {
    EventLoop loop = next.get();
    if (loop.inEventLoop()) {
      opening.accepted(socket, loop);
    } else {
      loop.execute(() -> opening.accepted(socket, loop));
    }
  }

  @Override
  public void failed(IOException why) {
    log.warn("accept failed", "at", where, "reason", String.valueOf(why.getMessage()));
  }
}
