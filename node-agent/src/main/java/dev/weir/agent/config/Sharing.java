package dev.weir.agent.config;

import dev.weir.api.model.ServicePort;
import dev.weir.api.model.Workload;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Equal parts of decoded workloads made one. Each comes off the wire with strings and maps of its
 * own, though the pods of a Deployment differ in name and address only: at 100,000 endpoints that
 * is the difference between 150 and 40 MB. Used by the config thread.
 */
final class Sharing {
  private static final int MAX_KNOWN = 65_536;

  private final Map<Object, Object> known = new HashMap<>();

  Workload shared(Workload in) {
    if (known.size() > MAX_KNOWN) {
      known.clear();
    }
    return new Workload(
        in.uid(),
        one(in.namespace()),
        in.name(),
        in.addresses(),
        one(in.network()),
        one(in.node()),
        in.hostname(),
        one(in.serviceAccount()),
        one(in.trustDomain()),
        one(in.cluster()),
        one(in.locality()),
        in.kind(),
        one(in.ownerName()),
        one(in.canonicalName()),
        one(in.canonicalRevision()),
        in.tunnel(),
        in.healthy(),
        in.hostNetwork(),
        in.capacity(),
        services(in.services()),
        one(in.settings()),
        one(in.authorizationPolicies()),
        in.networkGateway() == null ? null : one(in.networkGateway()));
  }

  private Map<String, List<ServicePort>> services(Map<String, List<ServicePort>> in) {
    Map<String, List<ServicePort>> before = find(in);
    if (before != null) {
      return before;
    }
    Map<String, List<ServicePort>> copy = new HashMap<>();
    in.forEach((key, ports) -> copy.put(one(key), one(ports)));
    return one(Map.copyOf(copy));
  }

  @SuppressWarnings("unchecked") // What equals a map of this kind is one.
  private @Nullable Map<String, List<ServicePort>> find(Map<String, List<ServicePort>> in) {
    return (@Nullable Map<String, List<ServicePort>>) known.get(in);
  }

  @SuppressWarnings("unchecked") // What equals a T, of strings, records, lists and maps, is a T.
  private <T> T one(T value) {
    Object before = known.putIfAbsent(value, value);
    return before == null ? value : (T) before;
  }
}
