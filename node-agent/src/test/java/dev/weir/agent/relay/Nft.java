package dev.weir.agent.relay;

import static org.assertj.core.api.Assertions.assertThat;

import dev.weir.ffi.Fd;
import dev.weir.ffi.Kernel;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.io.Writer;
import java.nio.charset.StandardCharsets;

/** Packet filters in a test's own namespaces: for packets that come late, or not at all. */
public final class Nft {
  private Nft() {}

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
