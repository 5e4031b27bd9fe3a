package dev.weir.agent.capture;

import java.util.Optional;

/** What the control plane says of pods; an immutable snapshot. */
@FunctionalInterface
public interface PodDirectory {
  PodDirectory EMPTY = (namespace, name) -> Optional.empty();

  Optional<PodData> pod(String namespace, String name);
}
