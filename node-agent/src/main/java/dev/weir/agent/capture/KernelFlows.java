package dev.weir.agent.capture;

import java.util.List;

/** Connections that stay in the kernel. */
public interface KernelFlows {
  /** Set before {@link Capture#start}; sees the flows that a former agent left as opened. */
  void sink(FlowSink sink);

  /** A copy of what is open now. Any thread. */
  List<KernelFlow> live();

  /**
   * Reads the byte counters of open flows now instead of at the next tick; returns once the sink
   * has them, or after a second.
   */
  void refresh();

  /**
   * Events that the kernel could not hand over because the ring was full: then counters of closed
   * flows are low.
   */
  long lost();
}
