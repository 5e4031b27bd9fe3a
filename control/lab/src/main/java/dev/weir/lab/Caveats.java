package dev.weir.lab;

import dev.weir.api.kube.KubeObject;
import dev.weir.api.kube.Service;
import java.util.List;

/** What an object asks for in vain, a line each, for whoever applies it or looks at it. */
final class Caveats {
  private Caveats() {}

  static List<String> of(KubeObject object) {
    return object instanceof Service service
            && service.clientAffinity()
            && service.affinityTimeoutSeconds() > 0
        ? List.of(
            "sessionAffinityConfig.clientIP.timeoutSeconds: %d is not applied: a client keeps its endpoint for as long as that is ready"
                .formatted(service.affinityTimeoutSeconds()))
        : List.of();
  }
}
