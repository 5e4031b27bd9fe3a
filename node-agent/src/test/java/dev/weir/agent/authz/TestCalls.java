package dev.weir.agent.authz;

import dev.weir.api.model.Locality;
import dev.weir.api.model.PodSettings;
import dev.weir.api.model.Tunnel;
import dev.weir.api.model.Workload;
import dev.weir.api.model.WorkloadKind;
import java.util.List;
import java.util.Map;

final class TestCalls {
  private TestCalls() {}

  static Workload workload(String namespace, List<String> policies) {
    return new Workload(
        Workload.podUid(Workload.DEFAULT_CLUSTER, namespace, "web-1"),
        namespace,
        "web-1",
        List.of(),
        "",
        "node-1",
        "",
        "web",
        Workload.DEFAULT_TRUST_DOMAIN,
        Workload.DEFAULT_CLUSTER,
        Locality.UNKNOWN,
        WorkloadKind.POD,
        "web",
        "web",
        "",
        Tunnel.NONE,
        true,
        false,
        1,
        Map.of(),
        PodSettings.DEFAULT,
        policies,
        null);
  }

  static Call call(Reference.Caller caller, Workload workload) {
    return Call.of(
        caller.principal(), caller.source(), caller.destination(), caller.port(), workload);
  }
}
