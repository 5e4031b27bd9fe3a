package dev.weir.control.xds;

import dev.weir.api.model.Authorization;
import dev.weir.api.model.MeshModel;
import dev.weir.api.model.Service;
import dev.weir.api.model.Workload;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * Everything of one type that is published at one moment; unchanged resources are the same objects
 * as in the snapshot before.
 */
final class Snapshot {
  static final Snapshot EMPTY = new Snapshot(0, Map.of());

  private final long generation;
  private final Map<String, Published> resources;
  // Only clients that ask by name need it, so it is made when the first one does, by the xds
  // thread.
  private @Nullable Index index;

  private Snapshot(long generation, Map<String, Published> resources) {
    this.generation = generation;
    this.resources = resources;
  }

  private record Index(
      Map<String, List<Published>> byAlias, Map<String, List<Published>> byService) {}

  /** What two snapshots differ in. */
  record Change(List<Published> changed, List<String> removed) {
    boolean isEmpty() {
      return changed.isEmpty() && removed.isEmpty();
    }
  }

  /** The next snapshot; what {@code model} has in common with this one is not encoded again. */
  Snapshot next(MeshModel model) {
    // Services first, each kind sorted: a node that connects learns the names before what answers
    // for them.
    Map<String, Published> next =
        LinkedHashMap.newLinkedHashMap(model.services().size() + model.workloads().size());
    new TreeMap<>(model.services()).forEach((key, service) -> next.put(key, publish(key, service)));
    new TreeMap<>(model.workloads())
        .forEach((uid, workload) -> next.put(uid, publish(uid, workload)));
    return new Snapshot(model.generation(), next);
  }

  /** {@link #next} for a snapshot of authorizations. */
  Snapshot nextAuthorizations(MeshModel model) {
    Map<String, Published> next = LinkedHashMap.newLinkedHashMap(model.authorizations().size());
    new TreeMap<>(model.authorizations())
        .forEach((key, authorization) -> next.put(key, publish(key, authorization)));
    return new Snapshot(model.generation(), next);
  }

  private Published publish(String name, Object source) {
    Published known = resources.get(name);
    if (known != null && known.source().equals(source)) {
      return known;
    }
    return switch (source) {
      case Service service -> Published.of(service);
      case Workload workload -> Published.of(workload);
      case Authorization authorization -> Published.of(authorization);
      default -> throw new IllegalStateException("a resource of " + source.getClass());
    };
  }

  long generation() {
    return generation;
  }

  int size() {
    return resources.size();
  }

  @Nullable Published get(String name) {
    return resources.get(name);
  }

  /** What a client that has {@code known} must be told. */
  Change since(Snapshot known) {
    List<Published> changed = new ArrayList<>();
    for (Published resource : resources.values()) {
      Published before = known.resources.get(resource.name());
      if (before != resource && (before == null || !before.version().equals(resource.version()))) {
        changed.add(resource);
      }
    }
    List<String> removed = new ArrayList<>();
    for (String name : known.resources.keySet()) {
      if (!resources.containsKey(name)) {
        removed.add(name);
      }
    }
    return new Change(List.copyOf(changed), List.copyOf(removed));
  }

  /** What a client that says it has these versions must be told. */
  Change since(Map<String, String> versions) {
    List<Published> changed = new ArrayList<>();
    for (Published resource : resources.values()) {
      if (!resource.version().equals(versions.get(resource.name()))) {
        changed.add(resource);
      }
    }
    List<String> removed = new ArrayList<>();
    for (String name : versions.keySet()) {
      if (!resources.containsKey(name)) {
        removed.add(name);
      }
    }
    return new Change(changed, removed);
  }

  /**
   * What a client means by a name: a uid, a {@code namespace/hostname} or a {@code network/IP}. Who
   * asks for a service gets the workloads behind it too, since it will need them next.
   */
  List<Published> named(String name) {
    Index at = index;
    if (at == null) {
      at = indexed();
      index = at;
    }
    Published exact = resources.get(name);
    List<Published> hits =
        exact != null ? List.of(exact) : at.byAlias().getOrDefault(name, List.of());
    List<Published> all = new ArrayList<>(hits);
    for (Published hit : hits) {
      if (hit.source() instanceof Service service) {
        all.addAll(at.byService().getOrDefault(service.key(), List.of()));
      }
    }
    return all;
  }

  private Index indexed() {
    Map<String, List<Published>> byAlias = new HashMap<>();
    Map<String, List<Published>> byService = new HashMap<>();
    for (Published resource : resources.values()) {
      for (String alias : resource.aliases()) {
        byAlias.computeIfAbsent(alias, _ -> new ArrayList<>(1)).add(resource);
      }
      if (resource.source() instanceof Workload workload) {
        for (String key : workload.services().keySet()) {
          byService.computeIfAbsent(key, _ -> new ArrayList<>()).add(resource);
        }
      }
    }
    return new Index(byAlias, byService);
  }
}
