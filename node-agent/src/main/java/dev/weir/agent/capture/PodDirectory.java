package dev.weir.agent.capture;

import dev.weir.api.model.Workload;
import java.util.Optional;

/** What the control plane says of pods; an immutable snapshot. */
@FunctionalInterface
public interface PodDirectory {
  PodDirectory EMPTY = (namespace, name) -> Optional.empty();

  Optional<Workload> pod(String namespace, String name);

  /** Whether the control plane has said everything once: then a pod that is not here is news. */
  default boolean synced() {
    return true;
  }
}
