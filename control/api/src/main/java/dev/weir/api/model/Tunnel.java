package dev.weir.api.model;

/** How another node reaches the workload. */
public enum Tunnel {
  NONE,
  HBONE
}
