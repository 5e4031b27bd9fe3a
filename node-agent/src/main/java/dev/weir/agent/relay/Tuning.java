package dev.weir.agent.relay;

import dev.weir.agent.capture.JoinedSockets;
import dev.weir.agent.capture.Pod;
import dev.weir.agent.transport.Pipes;
import dev.weir.agent.transport.PodSocket;
import dev.weir.ffi.Sockets;
import io.netty.buffer.ByteBufAllocator;
import java.time.Duration;

/**
 * How connections of relays behave; one object for all of them.
 *
 * @param connectNext how long an endpoint may take to answer while another one is left to try
 * @param connectLast how long the last one may take: long enough for a lost SYN, which the kernel
 *     repeats after 1 and after 3 s
 * @param splicing what moves bytes between sockets uncopied
 */
public record Tuning(
    ByteBufAllocator allocator,
    Duration connectNext,
    Duration connectLast,
    Splicing.Means splicing) {

  public static Tuning standard(ByteBufAllocator allocator, Sockets sockets, JoinedSockets joined) {
    return new Tuning(
        allocator,
        Duration.ofSeconds(1),
        Duration.ofSeconds(5),
        new Splicing.Means(Pipes.ofLoops(sockets), joined));
  }

  /**
   * The short way from one socket to another.
   *
   * @param mayBeJoined whether either may be
   */
  Splicing splice(PodSocket from, PodSocket to, boolean mayBeJoined) {
    return new Splicing(splicing, from, to, mayBeJoined);
  }

  boolean mayBeJoined(Pod in) {
    return splicing.joined().mayBeIn(in);
  }

  long connectMillis(boolean anotherIsLeft) {
    return (anotherIsLeft ? connectNext : connectLast).toMillis();
  }
}
