package dev.weir.lab;

import dev.weir.api.kube.EndpointSlice;
import dev.weir.api.kube.Service;
import java.net.InetAddress;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;

/**
 * ClusterIPs by nftables, as kube-proxy does it: a verdict map from {address, protocol, port} to a
 * chain that picks an endpoint. What still bears a service address after that has no endpoint or no
 * such port, and is rejected. Pure: services in, a script out, which replaces the whole table in
 * one transaction; connections that stand keep their translation, for conntrack has it.
 */
final class ServiceRules {
  private static final String TABLE = "weir-services";

  private ServiceRules() {}

  /** A Service and the slices that belong to it. */
  record Backed(Service service, List<EndpointSlice> slices) {}

  static String script(Collection<Backed> services) {
    StringBuilder chains = new StringBuilder();
    List<String> v4 = new ArrayList<>();
    List<String> v6 = new ArrayList<>();
    Set<String> self4 = new LinkedHashSet<>();
    Set<String> self6 = new LinkedHashSet<>();
    int number = 0;
    for (Backed backed : services) {
      Service service = backed.service();
      for (InetAddress clusterIp :
          service.headless() ? List.<InetAddress>of() : service.clusterIps()) {
        boolean four = Endpoints.family(clusterIp) == Service.IpFamily.IPV4;
        for (Service.Port port : service.ports()) {
          List<String> targets = targets(backed.slices(), four, port);
          if (targets.isEmpty()) {
            continue;
          }
          String chain = "s" + number++;
          String protocol = port.protocol().toLowerCase(Locale.ROOT);
          (four ? v4 : v6)
              .add(
                  "%s . %s . %d : goto %s"
                      .formatted(clusterIp.getHostAddress(), protocol, port.port(), chain));
          String family = four ? "ip" : "ip6";
          // With no seed of ours each new set of rules would draw another.
          String pick =
              service.clientAffinity()
                  ? "jhash %s saddr mod %d seed 0x1".formatted(family, targets.size())
                  : "numgen random mod %d".formatted(targets.size());
          chains.append(chain(chain, protocol, family, pick, targets));
          for (String target : targets) {
            String address = target.substring(0, target.indexOf(' '));
            (four ? self4 : self6).add(address + " . " + address);
          }
        }
      }
    }
    return """
    add table inet %1$s
    delete table inet %1$s
    table inet %1$s {
      map v4 { type ipv4_addr . inet_proto . inet_service : verdict; %2$s }
      map v6 { type ipv6_addr . inet_proto . inet_service : verdict; %3$s }
      set self4 { type ipv4_addr . ipv4_addr; %4$s }
      set self6 { type ipv6_addr . ipv6_addr; %5$s }
    %6$s
      chain services {
        ip daddr . meta l4proto . th dport vmap @v4
        ip6 daddr . meta l4proto . th dport vmap @v6
      }
      chain refused {
        meta l4proto tcp reject with tcp reset
        reject
      }
      chain unserved {
        ip daddr %7$s accept
        ip daddr 10.96.0.0/16 goto refused
        ip6 daddr fd00:96::/112 goto refused
      }
      chain prerouting { type nat hook prerouting priority -100; jump services; }
      chain output { type nat hook output priority -100; jump services; }
      chain rejected-forward { type filter hook prerouting priority -90; jump unserved; }
      chain rejected-local { type filter hook output priority -90; jump unserved; }
      chain postrouting {
        type nat hook postrouting priority 100;
        ct status dnat ip saddr . ip daddr @self4 masquerade
        ct status dnat ip6 saddr . ip6 daddr @self6 masquerade
      }
    }
    """
        .formatted(
            TABLE,
            elements(v4),
            elements(v6),
            elements(self4),
            elements(self6),
            chains,
            Addressing.DNS.getHostAddress());
  }

  private static String elements(Collection<String> elements) {
    return elements.isEmpty() ? "" : "elements = { " + String.join(", ", elements) + " }";
  }

  private static String chain(
      String name, String protocol, String family, String pick, List<String> targets) {
    StringBuilder picks = new StringBuilder();
    for (int i = 0; i < targets.size(); i++) {
      picks.append(i == 0 ? "" : ", ").append(i).append(" : ").append(targets.get(i));
    }
    return "  chain %s { meta l4proto %s dnat %s addr . port to %s map { %s }; }\n"
        .formatted(name, protocol, family, pick, picks);
  }

  /**
   * {@code ADDRESS . PORT} of each endpoint: the ready ones, or where there is none those that
   * still serve while they end.
   */
  private static List<String> targets(List<EndpointSlice> slices, boolean four, Service.Port port) {
    List<String> ready = new ArrayList<>();
    List<String> ending = new ArrayList<>();
    for (EndpointSlice slice : slices) {
      if (!slice.addressType().equals(four ? "IPv4" : "IPv6")) {
        continue;
      }
      for (EndpointSlice.Port target : slice.ports()) {
        if (!target.name().equals(port.name()) || !target.protocol().equals(port.protocol())) {
          continue;
        }
        for (EndpointSlice.Endpoint endpoint : slice.endpoints()) {
          List<String> list =
              endpoint.ready()
                  ? ready
                  : endpoint.serving() && endpoint.terminating() ? ending : null;
          if (list != null) {
            for (InetAddress address : endpoint.addresses()) {
              list.add(
                  address.getHostAddress()
                      + " . "
                      + (target.port() > 0 ? target.port() : port.port()));
            }
          }
        }
      }
    }
    return ready.isEmpty() ? ending : ready;
  }
}
