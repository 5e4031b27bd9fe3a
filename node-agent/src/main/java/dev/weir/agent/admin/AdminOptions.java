package dev.weir.agent.admin;

import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/**
 * Where the agent answers. Port 0 takes any; see {@link Admin#address}.
 *
 * @param socket of the same admin door for this machine's users; null for none
 */
public record AdminOptions(
    String node,
    String version,
    InetSocketAddress admin,
    InetSocketAddress metrics,
    InetSocketAddress readiness,
    @Nullable Path socket) {

  /** Istio's ports: those that probes, Prometheus and istioctl expect. */
  public static AdminOptions standard(String node, String version, @Nullable Path socket) {
    return new AdminOptions(
        node,
        version,
        new InetSocketAddress(InetAddress.ofLiteral("127.0.0.1"), 15000),
        new InetSocketAddress(15020),
        new InetSocketAddress(15021),
        socket);
  }
}
