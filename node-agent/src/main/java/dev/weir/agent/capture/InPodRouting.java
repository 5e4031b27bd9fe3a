package dev.weir.agent.capture;

import dev.weir.ffi.Fd;
import dev.weir.ffi.Kernel;
import dev.weir.ffi.KernelException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/**
 * How replies to connections that the agent delivers find back to it. The agent connects to the
 * application with the client's own address, so replies would leave the pod; the accepted socket
 * inherits the mark of the SYN (tcp_fwmark_accept), and a rule for that mark sends its packets to
 * lo, where the agent's transparent socket takes them.
 */
public final class InPodRouting {
  static final int MARK_AGENT = 0x539;
  static final int MARK_DELIVER = 0x53a;

  private static final int TABLE = 15_006;
  // After `local` (0), before `main` (32766) and what CNIs put in between.
  private static final int PREFERENCE = 15_006;
  private static final int AF_INET = 2;
  private static final int AF_INET6 = 10;

  /** A switch of the pod's namespace: what it is while enrolled, and the kernel's default. */
  private record Switch(Path file, String enrolled, String otherwise) {}

  private static final List<Switch> SWITCHES =
      List.of(
          new Switch(Path.of("/proc/sys/net/ipv4/tcp_fwmark_accept"), "1", "0"),
          // A RST from a closed port has no socket to inherit from: it takes the SYN's mark, or it
          // leaves by eth0 and the delivery times out instead of being refused.
          new Switch(Path.of("/proc/sys/net/ipv4/fwmark_reflect"), "1", "0"),
          // Deliveries whose client closed first end in TIME_WAIT here. The default reuses only
          // loopback addresses, so at 6,000 a second the ports of one client would last 5 s; with
          // timestamps reuse after a second is safe (RFC 6191).
          new Switch(Path.of("/proc/sys/net/ipv4/tcp_tw_reuse"), "1", "2"),
          // What waits at a listener that closes, in its queue or in the handshake, goes to the
          // other agent's listener instead of being reset.
          new Switch(Path.of("/proc/sys/net/ipv4/tcp_migrate_req"), "1", "0"));

  private static final Switch REFLECT_6 =
      new Switch(Path.of("/proc/sys/net/ipv6/fwmark_reflect"), "1", "0");

  private final Kernel kernel;

  public InPodRouting(Kernel kernel) {
    this.kernel = kernel;
  }

  /** Fine where it stands already. */
  public void setUp(Fd netns, boolean v6Needed) {
    kernel
        .namespaces()
        .inNetwork(
            netns,
            () -> {
              // /proc/sys/net shows the namespace of the thread that opens the file.
              for (Switch each : SWITCHES) {
                write(each.file, each.enrolled);
              }
              if (Files.exists(REFLECT_6.file)) {
                write(REFLECT_6.file, REFLECT_6.enrolled);
              }
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
              for (Switch each : SWITCHES) {
                write(each.file, each.otherwise);
              }
              if (Files.exists(REFLECT_6.file)) {
                write(REFLECT_6.file, REFLECT_6.otherwise);
              }
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
