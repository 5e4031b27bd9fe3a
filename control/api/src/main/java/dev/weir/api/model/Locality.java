package dev.weir.api.model;

/** Where a workload runs, as Kubernetes' topology labels say; empty where unknown. */
public record Locality(String region, String zone, String subzone) {
  public static final Locality UNKNOWN = new Locality("", "", "");
}
