package dev.weir.agent.capture;

/**
 * Totals of a flow since it opened, seen from the client, joined bytes included; rttMicros 0 where
 * it was not measured.
 */
public record FlowBytes(long sent, long received, int rttMicros, int retransmits) {
  public static final FlowBytes NONE = new FlowBytes(0, 0, 0, 0);
}
