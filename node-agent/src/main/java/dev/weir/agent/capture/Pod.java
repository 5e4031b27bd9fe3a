package dev.weir.agent.capture;

import dev.weir.api.model.PodSettings;
import dev.weir.ffi.Fd;
import java.net.InetAddress;
import java.util.List;

/**
 * An enrolled pod of this node, as it stands now; a change makes a new record with the same number,
 * cookie and namespace.
 *
 * @param number stands for the pod in maps; never given to a second pod while the maps live
 * @param uid as the enroller named it
 * @param identity {@code spiffe://TRUST-DOMAIN/ns/NS/sa/SA}
 * @param identityNumber stands for the identity in maps
 * @param netns the pod's network namespace; owned by capture, open until the pod is released after
 *     {@code withdrawn}
 * @param cookie what BPF programs know the namespace by
 */
public record Pod(
    int number,
    String uid,
    String namespace,
    String name,
    String serviceAccount,
    String identity,
    int identityNumber,
    Fd netns,
    long cookie,
    List<InetAddress> addresses,
    PodSettings settings) {

  public Pod {
    addresses = List.copyOf(addresses);
  }

  Pod withAddresses(List<InetAddress> now) {
    return new Pod(
        number,
        uid,
        namespace,
        name,
        serviceAccount,
        identity,
        identityNumber,
        netns,
        cookie,
        now,
        settings);
  }

  /** {@code namespace/name}, for logs. */
  public String label() {
    return namespace + "/" + name;
  }
}
