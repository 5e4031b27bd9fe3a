package dev.weir.agent.capture;

import dev.weir.api.model.FastPath;
import dev.weir.api.model.OnAgentLoss;
import dev.weir.api.model.PodSettings;
import dev.weir.api.model.PortRange;
import dev.weir.ffi.Fd;
import java.net.InetAddress;
import java.util.List;

/** Pods without a network, and what pods ask for: for tests that only want to know whose it is. */
public final class TestPods {
  private static final Fd NO_NETWORK =
      new Fd() {
        @Override
        public int number() {
          return -1;
        }

        @Override
        public boolean isOpen() {
          return false;
        }

        @Override
        public void close() {
          // There is nothing.
        }
      };

  private TestPods() {}

  public static Pod pod(
      int number,
      String namespace,
      String name,
      String account,
      List<InetAddress> addresses,
      PodSettings settings) {
    return new Pod(
        number,
        "uid-" + number,
        namespace,
        name,
        account,
        "spiffe://cluster.local/ns/" + namespace + "/sa/" + account,
        1,
        NO_NETWORK,
        number,
        addresses,
        settings);
  }

  /** Enrolled, and the rest as {@link PodSettings#DEFAULT} has it. */
  public static PodSettings enrolled(FastPath path, OnAgentLoss loss) {
    return settings(path, loss, List.of(), List.of(), PodSettings.DEFAULT_WEIGHT);
  }

  public static PodSettings excludingInbound(PortRange ports) {
    return settings(
        FastPath.DIRECT, OnAgentLoss.CLOSED, List.of(ports), List.of(), PodSettings.DEFAULT_WEIGHT);
  }

  public static PodSettings excludingOutbound(PortRange ports) {
    return settings(
        FastPath.DIRECT, OnAgentLoss.CLOSED, List.of(), List.of(ports), PodSettings.DEFAULT_WEIGHT);
  }

  public static PodSettings weighing(int weight) {
    return settings(FastPath.DIRECT, OnAgentLoss.CLOSED, List.of(), List.of(), weight);
  }

  private static PodSettings settings(
      FastPath path,
      OnAgentLoss loss,
      List<PortRange> inbound,
      List<PortRange> outbound,
      int weight) {
    return new PodSettings(true, path, loss, inbound, outbound, List.of(), List.of(), weight, null);
  }
}
