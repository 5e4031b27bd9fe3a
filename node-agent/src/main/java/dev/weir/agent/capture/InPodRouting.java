package dev.weir.agent.capture;

import dev.weir.ffi.Fd;
import dev.weir.ffi.Kernel;
import dev.weir.ffi.KernelException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * How replies to connections that the agent delivers find back to it. The agent connects to the
 * application with the client's own address, so replies would leave the pod; the accepted socket
 * inherits the mark of the SYN (tcp_fwmark_accept), and a rule for that mark sends its packets to
 * lo, where the agent's transparent socket takes them.
 */
final class InPodRouting {
  static final int MARK_AGENT = 0x539;
  static final int MARK_DELIVER = 0x53a;

  private static final int TABLE = 15_006;
  // After `local` (0), before `main` (32766) and what CNIs put in between.
  private static final int PREFERENCE = 15_006;
  private static final int AF_INET = 2;
  private static final int AF_INET6 = 10;
  private static final Path FWMARK_ACCEPT = Path.of("/proc/sys/net/ipv4/tcp_fwmark_accept");

  private final Kernel kernel;

  InPodRouting(Kernel kernel) {
    this.kernel = kernel;
  }

  /** Fine where it stands already. */
  void setUp(Fd netns, boolean v6Needed) {
    kernel
        .namespaces()
        .inNetwork(
            netns,
            () -> {
              // /proc/sys/net shows the namespace of the thread that opens the file.
              write(FWMARK_ACCEPT, "1");
              kernel.netlink().addMarkRule(AF_INET, MARK_DELIVER, TABLE, PREFERENCE);
              kernel.netlink().addLocalDefaultRoute(AF_INET, TABLE);
              try {
                kernel.netlink().addMarkRule(AF_INET6, MARK_DELIVER, TABLE, PREFERENCE);
                kernel.netlink().addLocalDefaultRoute(AF_INET6, TABLE);
              } catch (KernelException e) {
                // A pod without IPv6 may well have it switched off.
                if (v6Needed) {
                  throw e;
                }
              }
              return true;
            });
  }

  void tearDown(Fd netns) {
    kernel
        .namespaces()
        .inNetwork(
            netns,
            () -> {
              kernel.netlink().deleteMarkRule(AF_INET, MARK_DELIVER, TABLE, PREFERENCE);
              kernel.netlink().deleteLocalDefaultRoute(AF_INET, TABLE);
              kernel.netlink().deleteMarkRule(AF_INET6, MARK_DELIVER, TABLE, PREFERENCE);
              kernel.netlink().deleteLocalDefaultRoute(AF_INET6, TABLE);
              write(FWMARK_ACCEPT, "0");
              return true;
            });
  }

  private static void write(Path file, String value) {
    try {
      Files.writeString(file, value);
    } catch (IOException e) {
      throw new UncheckedIOException("%s: cannot write %s".formatted(file, value), e);
    }
  }
}
