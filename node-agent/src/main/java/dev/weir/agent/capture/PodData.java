package dev.weir.agent.capture;

import java.net.InetAddress;
import java.util.List;

/**
 * What the control plane says of one pod. An empty trust domain or no addresses: nothing said,
 * defaults hold.
 */
public record PodData(
    String trustDomain, String serviceAccount, List<InetAddress> addresses, Settings settings) {
  public PodData {
    addresses = List.copyOf(addresses);
  }
}
