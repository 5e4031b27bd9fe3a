package dev.weir.lab;

import dev.weir.api.kube.Service;
import java.net.InetAddress;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Who has which ClusterIP. A Service keeps its addresses as long as it lives, and so does its name:
 * they come in pairs. Desk only.
 */
final class ServiceAddresses {
  private final Map<InetAddress, String> holders = new HashMap<>();
  private int next = Addressing.FIRST_SERVICE;

  /** The Service with the addresses that it has, asked for, or gets now. */
  Service settle(Service service, @Nullable Service before) {
    if (service.headless() || service.type() == Service.Type.EXTERNAL_NAME) {
      release(before);
      return service.withClusterIps(List.of());
    }
    List<InetAddress> addresses = new ArrayList<>();
    boolean kept =
        before != null
            && service.clusterIps().isEmpty()
            && before.ipFamilies().equals(service.ipFamilies());
    List<InetAddress> wished = kept && before != null ? before.clusterIps() : service.clusterIps();
    if (!kept) {
      release(before);
    }
    int number = 0;
    for (Service.IpFamily family : wantedFamilies(service)) {
      InetAddress given =
          wished.stream().filter(ip -> Endpoints.family(ip) == family).findFirst().orElse(null);
      if (given == null) {
        number = number == 0 ? free() : number;
        given =
            family == Service.IpFamily.IPV4
                ? Addressing.serviceV4(number)
                : Addressing.serviceV6(number);
      }
      holders.put(given, service.key());
      addresses.add(given);
    }
    return service.withClusterIps(addresses);
  }

  void release(@Nullable Service service) {
    if (service != null) {
      service.clusterIps().forEach(holders::remove);
    }
  }

  /** Throws where an address that was asked for cannot be had. */
  void check(Service service) {
    for (InetAddress ip : service.clusterIps()) {
      byte[] bytes = ip.getAddress();
      boolean inside =
          bytes.length == 4
              ? bytes[0] == 10 && bytes[1] == 96
              : ip.getHostAddress().startsWith("fd00:96:0:0:0:0:0:");
      if (!inside || ip.equals(Addressing.DNS)) {
        throw new LabException(
            "clusterIP "
                + ip.getHostAddress()
                + " of "
                + service.key()
                + " (expected: one of 10.96.0.0/16 or fd00:96::/112, not 10.96.0.10, which is the cluster's DNS)");
      }
      String holder = holders.get(ip);
      if (holder != null && !holder.equals(service.key())) {
        throw new LabException(
            "clusterIP " + ip.getHostAddress() + " of " + service.key() + " belongs to " + holder);
      }
    }
  }

  /** Both families unless it says otherwise: with and without Weir, the lab is dual-stack. */
  private static List<Service.IpFamily> wantedFamilies(Service service) {
    return service.ipFamilies().isEmpty()
        ? List.of(Service.IpFamily.IPV4, Service.IpFamily.IPV6)
        : service.ipFamilies();
  }

  private int free() {
    for (int tries = 0; tries < Addressing.LAST_SERVICE; tries++) {
      int number = next;
      next = next == Addressing.LAST_SERVICE ? Addressing.FIRST_SERVICE : next + 1;
      if ((number & 0xff) != 0
          && !holders.containsKey(Addressing.serviceV4(number))
          && !holders.containsKey(Addressing.serviceV6(number))) {
        return number;
      }
    }
    throw new LabException("no free ClusterIP is left in 10.96.0.0/16");
  }
}
