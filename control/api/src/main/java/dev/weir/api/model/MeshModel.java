package dev.weir.api.model;

import java.util.Map;

/**
 * Everything that the mesh knows at one moment.
 *
 * @param generation counts publications of one control plane; it means nothing to another
 * @param workloads by uid
 * @param services by key
 */
public record MeshModel(
    long generation, Map<String, Workload> workloads, Map<String, Service> services) {
  public static final MeshModel EMPTY = new MeshModel(0, Map.of(), Map.of());

  public MeshModel {
    workloads = Map.copyOf(workloads);
    services = Map.copyOf(services);
  }
}
