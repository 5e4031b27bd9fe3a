package dev.weir.lab;

import dev.weir.api.dns.Dns;
import dev.weir.api.dns.DnsAnswer;
import dev.weir.api.dns.DnsQuery;
import dev.weir.api.dns.ServiceNames;
import dev.weir.api.dns.ServiceZone;
import dev.weir.api.kube.EndpointSlice;
import dev.weir.api.kube.Service;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.net.DatagramPacket;
import java.net.DatagramSocket;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.Semaphore;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * Cluster DNS at 10.96.0.10, one pair of sockets in each node's namespace, as a node-local cache
 * would have it. It answers from one immutable snapshot of names, and forwards nothing: no packet
 * leaves the machine, so other names do not exist.
 */
final class ClusterDns implements AutoCloseable {
  static final String DOMAIN = "cluster.local";

  private static final int PORT = 53;
  private static final int IDLE_MILLIS = 10_000;

  /** Connections over TCP at a time and node; more wait in the backlog. */
  private static final int MAX_CONNECTIONS = 64;

  private final Crossing crossing;
  private final Map<String, AutoCloseable[]> sockets = new HashMap<>();
  private volatile ServiceZone zone = new ServiceZone(DOMAIN, new Names(Map.of(), Set.of()));

  ClusterDns(Crossing crossing) {
    this.crossing = crossing;
  }

  /** Swaps in what is known now. */
  void know(Collection<ServiceRules.Backed> services, Set<String> namespaces) {
    Map<String, ServiceNames.Entry> entries = new HashMap<>();
    services.forEach(backed ->
        entries.put(backed.service().namespace() + "/" + backed.service().name(), entry(backed)));
    zone = new ServiceZone(DOMAIN, new Names(entries, namespaces));
  }

  private record Names(Map<String, Entry> entries, Set<String> namespaces) implements ServiceNames {
    @Override
    public @Nullable Entry service(String namespace, String name) {
      return entries.get(namespace + "/" + name);
    }

    @Override
    public boolean knowsNamespace(String namespace) {
      return namespaces.contains(namespace);
    }

    @Override
    public @Nullable String nameOf(InetAddress address) {
      for (Entry entry : entries.values()) {
        if (entry.addresses().contains(address)) {
          return entry.name() + "." + entry.namespace() + ".svc." + DOMAIN;
        }
      }
      return null;
    }
  }

  private static ServiceNames.Entry entry(ServiceRules.Backed backed) {
    Service service = backed.service();
    List<ServiceNames.Port> ports =
        service.ports().stream()
            .map(port ->
                new ServiceNames.Port(
                    port.name(), port.protocol().toLowerCase(Locale.ROOT), port.port()))
            .toList();
    return new ServiceNames.Entry(
        service.namespace(),
        service.name(),
        service.headless() ? List.of() : service.clusterIps(),
        service.headless(),
        service.type() == Service.Type.EXTERNAL_NAME ? service.externalName() : null,
        ports,
        endpoints(service, backed.slices()));
  }

  /** A pod is one endpoint with all of its addresses, though each family has slices of its own. */
  private static List<ServiceNames.Endpoint> endpoints(
      Service service, List<EndpointSlice> slices) {
    Map<String, List<InetAddress>> addresses = new LinkedHashMap<>();
    Map<String, ServiceNames.Endpoint> first = new TreeMap<>();
    for (EndpointSlice slice : slices) {
      for (EndpointSlice.Endpoint endpoint : slice.endpoints()) {
        if (!endpoint.ready()) {
          continue;
        }
        String who = endpoint.pod().isEmpty() ? endpoint.addresses().toString() : endpoint.pod();
        addresses.computeIfAbsent(who, w -> new ArrayList<>()).addAll(endpoint.addresses());
        first.putIfAbsent(
            who,
            new ServiceNames.Endpoint(
                endpoint.hostname().isEmpty() ? null : endpoint.hostname(),
                List.of(),
                targets(service, slice)));
      }
    }
    return addresses.entrySet().stream()
        .map(entry -> {
          ServiceNames.Endpoint known = first.get(entry.getKey());
          return new ServiceNames.Endpoint(
              known == null ? null : known.hostname(),
              List.copyOf(entry.getValue()),
              known == null ? List.of() : known.targetPorts());
        })
        .toList();
  }

  private static List<Integer> targets(Service service, EndpointSlice slice) {
    return service.ports().stream()
        .map(port ->
            slice.ports().stream()
                .filter(target -> target.name().equals(port.name()))
                .map(EndpointSlice.Port::port)
                .findFirst()
                .orElse(0))
        .collect(Collectors.toList());
  }

  /** Serves one more node. Not on the desk. */
  void serve(String netns) {
    InetSocketAddress address = new InetSocketAddress(Addressing.DNS, PORT);
    DatagramSocket datagrams = crossing.in(netns, () -> new DatagramSocket(address));
    ServerSocket connections =
        crossing.in(
            netns,
            () -> {
              ServerSocket server = new ServerSocket();
              server.setReuseAddress(true);
              server.bind(address, MAX_CONNECTIONS);
              return server;
            });
    synchronized (sockets) {
      sockets.put(netns, new AutoCloseable[] {datagrams, connections});
    }
    Thread.ofVirtual().name("dns-udp-" + netns).start(() -> receive(datagrams));
    Thread.ofVirtual().name("dns-tcp-" + netns).start(() -> accept(connections));
  }

  private void receive(DatagramSocket socket) {
    byte[] buffer = new byte[Dns.MAX_UDP_BYTES * 4];
    DatagramPacket packet = new DatagramPacket(buffer, buffer.length);
    while (!socket.isClosed()) {
      try {
        packet.setLength(buffer.length);
        socket.receive(packet);
        byte[] query = Arrays.copyOf(buffer, packet.getLength());
        byte[] answer = answer(query, true);
        if (answer.length > 0) {
          socket.send(new DatagramPacket(answer, answer.length, packet.getSocketAddress()));
        }
      } catch (IOException e) {
        // ECONNREFUSED of an earlier answer whose asker is gone, or our own close.
        if (!socket.isClosed()) {
          Log.info("dns: " + e.getMessage());
        }
      }
    }
  }

  private void accept(ServerSocket server) {
    Semaphore places = new Semaphore(MAX_CONNECTIONS);
    while (!server.isClosed()) {
      try {
        places.acquireUninterruptibly();
        Socket socket = server.accept();
        Thread.ofVirtual()
            .start(() -> {
              try (socket) {
                converse(socket);
              } catch (IOException e) {
                // The asker went or was silent too long; it will ask again.
                places.release();
                return;
              }
              places.release();
            });
      } catch (IOException e) {
        places.release();
        if (!server.isClosed()) {
          Log.info("dns: " + e.getMessage());
        }
      }
    }
  }

  /** RFC 7766: any number of queries, each after its length. */
  private void converse(Socket socket) throws IOException {
    socket.setSoTimeout(IDLE_MILLIS);
    DataInputStream in = new DataInputStream(socket.getInputStream());
    DataOutputStream out = new DataOutputStream(socket.getOutputStream());
    for (int high = in.read(); high >= 0; high = in.read()) {
      byte[] query = in.readNBytes((high << 8) | in.readUnsignedByte());
      byte[] answer = answer(query, false);
      if (answer.length == 0) {
        return;
      }
      byte[] framed = new byte[answer.length + 2];
      framed[0] = (byte) (answer.length >> 8);
      framed[1] = (byte) answer.length;
      System.arraycopy(answer, 0, framed, 2, answer.length);
      out.write(framed);
    }
  }

  /** Empty where nothing should be said. */
  byte[] answer(byte[] message, boolean udp) {
    return switch (DnsQuery.parse(message)) {
      case DnsQuery.Ignored ignored -> new byte[0];
      case DnsQuery.Malformed malformed -> malformed.answer();
      case DnsQuery.Query(DnsQuery query) -> {
        ServiceZone known = zone;
        DnsAnswer answer =
            switch (known.resolve(query.question())) {
              case ServiceZone.Answered(DnsAnswer ours) -> ours;
              case ServiceZone.External(var alias, String target) -> DnsAnswer.of(List.of(alias));
              case ServiceZone.Unknown(boolean inDomain) ->
                  DnsAnswer.absent(Dns.NXDOMAIN, known.authority());
            };
        yield answer.encode(query, udp ? query.udpLimit(Dns.MAX_UDP_BYTES) : Dns.MAX_TCP_BYTES);
      }
    };
  }

  @Override
  public void close() {
    synchronized (sockets) {
      for (AutoCloseable[] pair : sockets.values()) {
        for (AutoCloseable socket : pair) {
          try {
            socket.close();
          } catch (Exception e) {
            Log.info("dns: " + e.getMessage());
          }
        }
      }
      sockets.clear();
    }
  }
}
