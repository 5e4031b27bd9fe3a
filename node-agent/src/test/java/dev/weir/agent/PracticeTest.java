package dev.weir.agent;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.weir.agent.fairness.Limits;
import dev.weir.agent.log.Level;
import dev.weir.agent.log.Logs;
import dev.weir.agent.transport.PodSockets;
import dev.weir.agent.transport.Transport;
import dev.weir.ffi.Kernel;
import dev.weir.testing.NeedsRoot;
import io.netty.channel.EventLoopGroup;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.InstantSource;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

@NeedsRoot
final class PracticeTest {
  private static final Path DESCRIPTORS = Path.of("/proc/self/fd");

  @ParameterizedTest
  @ValueSource(strings = {Transport.EPOLL, Transport.IO_URING})
  void callsAreAnsweredAndNothingStaysBehind(String name) throws IOException {
    Logs logs = new Logs(System.err, InstantSource.system(), Level.INFO);
    Kernel kernel = Kernel.instance();
    Transport transport = Transport.named(name);
    EventLoopGroup loops = transport.loops(4, Thread.ofPlatform().daemon().factory());
    try (PodSockets sockets =
        new PodSockets(transport, kernel.namespaces(), logs.room("transport")).start()) {
      // Java keeps one for good, which it puts in the place of those that it closes.
      SocketChannel.open().close();
      Set<String> before = descriptors();
      try (Practice practice =
          new Practice(kernel, loops, sockets, Limits.standard(64 << 20), 0, logs)) {
        // Two whole scenes, whose last calls ask for a long answer, and part of one.
        practice.play(() -> {
          assertThat(descriptors()).hasSizeGreaterThan(before.size() + 2);
          return practice.answered() < 1_200;
        });
        assertThat(practice.answered()).isGreaterThanOrEqualTo(1_200);
      }
      await()
          .untilAsserted(() ->
              assertThat(Thread.getAllStackTraces().keySet())
                  .noneMatch(thread -> thread.getName().startsWith("practice-")));
      await().untilAsserted(() -> assertThat(descriptors()).isEqualTo(before));
    } finally {
      loops.shutdownGracefully();
    }
  }

  /** Network namespaces and sockets that are open. */
  private static Set<String> descriptors() {
    try (Stream<Path> all = Files.list(DESCRIPTORS)) {
      return all.map(PracticeTest::target)
          .filter(target -> target.startsWith("net:") || target.startsWith("socket:"))
          .collect(Collectors.toCollection(TreeSet::new));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static String target(Path descriptor) {
    try {
      return Files.readSymbolicLink(descriptor).toString();
    } catch (IOException e) {
      // Closed since it was listed.
      return "";
    }
  }
}
