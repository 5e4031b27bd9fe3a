package dev.weir.agent.relay;

import dev.weir.agent.capture.JoinedSockets;
import dev.weir.agent.transport.Pipes;
import dev.weir.agent.transport.PodSocket;
import dev.weir.ffi.Sockets;
import io.netty.buffer.ByteBufAllocator;
import java.time.Duration;
import org.jspecify.annotations.Nullable;

/**
 * How connections of relays behave; one object for all of them.
 *
 * @param connectNext how long an endpoint may take to answer while another one is left to try
 * @param connectLast how long the last one may take: long enough for a lost SYN, which the kernel
 *     repeats after 1 and after 3 s
 * @param splicing what moves bytes between sockets uncopied; null where they are always copied
 */
public record Tuning(
    ByteBufAllocator allocator,
    Duration connectNext,
    Duration connectLast,
    Splicing.@Nullable Means splicing) {

  public static Tuning standard(ByteBufAllocator allocator, Sockets sockets, JoinedSockets joined) {
    return new Tuning(
        allocator,
        Duration.ofSeconds(1),
        Duration.ofSeconds(5),
        new Splicing.Means(Pipes.ofLoops(sockets), joined));
  }

  /** The short way from one socket to another; null where there is none. */
  @Nullable Splicing splice(PodSocket from, PodSocket to) {
    return splicing == null ? null : new Splicing(splicing, from, to);
  }

  long connectMillis(boolean anotherIsLeft) {
    return (anotherIsLeft ? connectNext : connectLast).toMillis();
  }
}
