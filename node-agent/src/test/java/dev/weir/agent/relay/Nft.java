package dev.weir.agent.relay;

import static org.assertj.core.api.Assertions.assertThat;

import dev.weir.ffi.Fd;
import dev.weir.ffi.Kernel;
import dev.weir.ffi.Netlink.TcpSocket;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.io.Writer;
import java.nio.charset.StandardCharsets;
import java.util.function.Predicate;

/** Packet filters in a test's own namespaces: for packets that come late, or not at all. */
public final class Nft {
  private Nft() {}

  /** Ends sockets of a namespace so that their other ends hear nothing of it; how many. */
  public static int endUnheard(Fd network, Predicate<TcpSocket> which) {
    run(
        network,
        """
        table inet silent {
          chain input {
            type filter hook input priority 0;
            tcp flags & rst == rst drop
          }
        }
        """);
    try {
      Kernel kernel = Kernel.instance();
      return kernel.namespaces().inNetwork(network, () -> kernel.netlink().destroyTcp(which));
    } finally {
      run(network, "delete table inet silent");
    }
  }

  /** What it prints. */
  public static String run(Fd network, String commands) {
    return Kernel.instance()
        .namespaces()
        .inNetwork(
            network,
            () -> {
              try {
                Process nft =
                    new ProcessBuilder("nft", "-f", "/dev/stdin").redirectErrorStream(true).start();
                try (Writer to = nft.outputWriter(StandardCharsets.UTF_8)) {
                  to.write(commands);
                }
                String said =
                    new String(nft.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
                assertThat(nft.waitFor()).as(said).isZero();
                return said;
              } catch (IOException e) {
                throw new UncheckedIOException(e);
              } catch (InterruptedException e) {
                throw new AssertionError(e);
              }
            });
  }
}
