package dev.weir.agent.capture;

/** Who accounts for kernel flows. Called on the flow thread of capture; must not block. */
public interface FlowSink {
  void opened(KernelFlow flow);

  /** Totals so far of a flow that is still open, every few seconds. */
  void progressed(KernelFlow flow, FlowBytes total);

  /** The last call for the flow. */
  void closed(KernelFlow flow, FlowBytes total);

  /** The SYN left and no connection came of it; there was no {@code opened}. */
  void failed(KernelFlow flow);
}
