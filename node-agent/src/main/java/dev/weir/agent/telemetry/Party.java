package dev.weir.agent.telemetry;

import dev.weir.agent.capture.Pod;
import dev.weir.agent.config.MeshView;
import dev.weir.api.model.Workload;
import java.net.InetSocketAddress;
import org.jspecify.annotations.Nullable;

/**
 * One end of a connection.
 *
 * @param namespace empty where nothing is known of the address
 * @param pod empty likewise
 * @param workload what the control plane says of it, if anything
 */
public record Party(
    String namespace, String pod, @Nullable Workload workload, InetSocketAddress address) {

  /** An enrolled pod of this node. */
  public static Party of(Pod pod, MeshView view, InetSocketAddress address) {
    return new Party(
        pod.namespace(), pod.name(), view.pod(pod.namespace(), pod.name()).orElse(null), address);
  }

  /** Whoever has the address. */
  public static Party at(InetSocketAddress address, MeshView view) {
    Workload workload = address.getAddress() == null ? null : view.workload(address.getAddress());
    return workload == null ? new Party("", "", null, address) : of(workload, address);
  }

  public static Party of(Workload workload, InetSocketAddress address) {
    return new Party(workload.namespace(), workload.name(), workload, address);
  }
}
