package dev.weir.agent.capture;

/** How a connection that stays in the kernel goes. */
public enum KernelPath {
  DIRECT,
  JOINED,
  /** Excluded by annotation: counted, not ours. */
  EXCLUDED,
  /** No agent lived and the pod asked for open. */
  OPEN
}
