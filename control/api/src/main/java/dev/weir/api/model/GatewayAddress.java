package dev.weir.api.model;

import java.net.InetAddress;

/** Where the control plane says that a gateway is. Its port speaks HBONE. */
public sealed interface GatewayAddress {
  int port();

  /** At an address of a network: a workload's or a Service's own. */
  record At(String network, InetAddress address, int port) implements GatewayAddress {
    @Override
    public String toString() {
      return network + "/" + address.getHostAddress();
    }
  }

  /** Behind a Service. */
  record Named(String namespace, String hostname, int port) implements GatewayAddress {
    @Override
    public String toString() {
      return Service.key(namespace, hostname);
    }
  }
}
