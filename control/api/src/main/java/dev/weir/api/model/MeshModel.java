package dev.weir.api.model;

import java.util.Map;

/**
 * Everything that the mesh knows at one moment.
 *
 * @param generation counts publications of one control plane; it means nothing to another
 * @param workloads by uid
 * @param services by key
 * @param authorizations by key
 */
public record MeshModel(
    long generation,
    Map<String, Workload> workloads,
    Map<String, Service> services,
    Map<String, Authorization> authorizations) {
  public static final MeshModel EMPTY = new MeshModel(0, Map.of(), Map.of(), Map.of());

  public MeshModel {
    workloads = Map.copyOf(workloads);
    services = Map.copyOf(services);
    authorizations = Map.copyOf(authorizations);
  }

  /** A mesh without policies. */
  public MeshModel(
      long generation, Map<String, Workload> workloads, Map<String, Service> services) {
    this(generation, workloads, services, Map.of());
  }

  /** Whether the two say the same, whenever they were made. */
  public boolean sameAs(MeshModel other) {
    return workloads.equals(other.workloads)
        && services.equals(other.services)
        && authorizations.equals(other.authorizations);
  }
}
