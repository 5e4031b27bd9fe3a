package dev.weir.agent.tunnel;

import java.net.InetSocketAddress;
import java.util.Set;

/**
 * The way to a port of a Service in another network: a tunnel to a gateway, and in it another one
 * to whichever pod the gateway picks. Both are asked for the Service by its name.
 *
 * @param gateway where it is asked
 * @param keepers the SPIFFE ids of which the gateway must have one
 * @param hostname the Service's
 * @param port the Service's
 * @param servers the SPIFFE ids of which whoever answers must have one
 * @param network the one that is left: the other side cannot go by its addresses
 */
public record Passage(
    InetSocketAddress gateway,
    Set<String> keepers,
    String hostname,
    int port,
    Set<String> servers,
    String network) {
  public Passage {
    keepers = Set.copyOf(keepers);
    servers = Set.copyOf(servers);
  }

  Authority authority() {
    return Authority.of(hostname, port);
  }

  /** For people. */
  @Override
  public String toString() {
    return hostname + ":" + port + " by way of " + gateway;
  }
}
