package dev.weir.agent;

import dev.weir.agent.config.MeshView;
import dev.weir.api.model.FastPath;
import dev.weir.api.model.Locality;
import dev.weir.api.model.OnAgentLoss;
import dev.weir.api.model.PodSettings;
import dev.weir.api.model.Tunnel;
import dev.weir.api.model.Workload;
import dev.weir.api.model.WorkloadKind;
import dev.weir.ffi.Fd;
import dev.weir.ffi.Kernel;
import dev.weir.ffi.Netlink;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.StandardProtocolFamily;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;

/**
 * Network namespaces of two pods that nobody else has, with a link between them: where an agent
 * tries itself out. Nothing but these descriptors holds them, so they go with the process.
 */
final class TwoNetworks implements AutoCloseable {
  static final String NAMESPACE = "self-test";
  static final InetAddress CLIENT = InetAddress.ofLiteral("198.18.0.1");
  static final InetAddress SERVER = InetAddress.ofLiteral("198.18.0.2");

  /** Of pods that are called through tunnels alone. */
  static final PodSettings TUNNELLED =
      new PodSettings(
          true,
          FastPath.OFF,
          OnAgentLoss.CLOSED,
          List.of(),
          List.of(),
          List.of(),
          List.of(),
          PodSettings.DEFAULT_WEIGHT,
          null);

  private final Kernel kernel;
  private final Fd client;
  private final Fd server;

  TwoNetworks(Kernel kernel) {
    this.kernel = kernel;
    this.client = kernel.namespaces().newNetwork();
    try {
      this.server = kernel.namespaces().newNetwork();
    } catch (RuntimeException e) {
      client.close();
      throw e;
    }
    try {
      within(client, () -> kernel.netlink().addVeth("eth0", "eth0", server));
      within(client, () -> address(CLIENT));
      within(server, () -> address(SERVER));
    } catch (RuntimeException e) {
      close();
      throw e;
    }
  }

  Fd client() {
    return client;
  }

  Fd server() {
    return server;
  }

  private void address(InetAddress address) {
    Netlink netlink = kernel.netlink();
    for (Netlink.Interface each : netlink.interfaces()) {
      if (!each.loopback()) {
        netlink.addAddress(each.index(), address, 24);
        netlink.setUp(each.index());
      }
    }
  }

  /** A mesh of the two. */
  static MeshView view(Tunnel tunnel, PodSettings settings) {
    return MeshView.of(
        List.of(),
        List.of(
            workload("client", CLIENT, tunnel, settings),
            workload("server", SERVER, tunnel, settings)));
  }

  private static Workload workload(
      String name, InetAddress address, Tunnel tunnel, PodSettings settings) {
    return new Workload(
        Workload.podUid(Workload.DEFAULT_CLUSTER, NAMESPACE, name),
        NAMESPACE,
        name,
        List.of(address),
        "",
        "",
        "",
        Workload.DEFAULT_SERVICE_ACCOUNT,
        Workload.DEFAULT_TRUST_DOMAIN,
        Workload.DEFAULT_CLUSTER,
        Locality.UNKNOWN,
        WorkloadKind.POD,
        name,
        name,
        "",
        tunnel,
        true,
        false,
        1,
        Map.of(),
        settings);
  }

  /** A listening socket of the server's, not bound yet. */
  ServerSocketChannel listener() {
    return in(
        server,
        () -> {
          try {
            return ServerSocketChannel.open(StandardProtocolFamily.INET);
          } catch (IOException e) {
            throw new UncheckedIOException(e);
          }
        });
  }

  /** A socket of the client's. */
  SocketChannel socket() {
    return in(
        client,
        () -> {
          try {
            return SocketChannel.open(StandardProtocolFamily.INET);
          } catch (IOException e) {
            throw new UncheckedIOException(e);
          }
        });
  }

  <T> T in(Fd network, Supplier<T> work) {
    return kernel.namespaces().inNetwork(network, work);
  }

  private void within(Fd network, Runnable work) {
    in(
        network,
        () -> {
          work.run();
          return Boolean.TRUE;
        });
  }

  @Override
  public void close() {
    client.close();
    server.close();
  }
}
