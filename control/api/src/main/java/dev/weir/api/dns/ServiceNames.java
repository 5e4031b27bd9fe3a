package dev.weir.api.dns;

import java.net.InetAddress;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What a {@link ServiceZone} asks of whoever knows the Services: the agent's snapshot of the mesh,
 * or the lab's cluster. Names are in lower case. Called on event loops: answers come from memory.
 */
public interface ServiceNames {

  /** A Service by the name that its namespace knows it by. */
  @Nullable Entry service(String namespace, String name);

  /**
   * A Service by a full host name outside of the cluster's domain, as other control planes may
   * have.
   */
  default @Nullable Entry host(String hostname) {
    return null;
  }

  /**
   * Whether anything is known of a namespace; of others nothing is claimed, not even that a name is
   * absent.
   */
  boolean knowsNamespace(String namespace);

  /** The full name that an address has, of a Service or of a pod behind a headless one. */
  default @Nullable String nameOf(InetAddress address) {
    return null;
  }

  /**
   * One Service. {@code addresses} are its cluster IPs, empty where it is headless; {@code
   * endpoints} are those that DNS may name: ready ones, or all where the Service publishes
   * not-ready addresses.
   */
  record Entry(
      String namespace,
      String name,
      List<InetAddress> addresses,
      boolean headless,
      @Nullable String externalName,
      List<Port> ports,
      List<Endpoint> endpoints) {}

  /**
   * {@code protocol} is {@code tcp}, {@code udp} or {@code sctp}; a port without a name has no SRV
   * record of its own.
   */
  record Port(String name, String protocol, int number) {}

  /**
   * A pod behind a Service, with an entry of {@code targetPorts} for each of the Service's ports,
   * in their order. {@code hostname} is the pod's own where it has one, as those of a StatefulSet
   * do.
   */
  record Endpoint(
      @Nullable String hostname, List<InetAddress> addresses, List<Integer> targetPorts) {}
}
