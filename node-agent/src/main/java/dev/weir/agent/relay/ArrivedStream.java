package dev.weir.agent.relay;

import dev.weir.agent.config.MeshView;
import dev.weir.agent.telemetry.Party;
import dev.weir.agent.telemetry.Refusal;
import dev.weir.agent.tunnel.TunnelRequest;
import dev.weir.api.model.Workload;
import java.net.InetSocketAddress;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * A stream that asks for a port of this node's pod. It is answered only once the pod's program has
 * accepted (facts of HBONE: 200 after policy and connect), so what it says until then waits in its
 * window.
 */
final class ArrivedStream implements Arrival {
  private final TunnelRequest request;
  private @Nullable StreamEnd end;

  ArrivedStream(TunnelRequest request) {
    this.request = request;
  }

  @Override
  public InetSocketAddress client() {
    return request.client();
  }

  /**
   * The certificate says who calls; the address, only which of its pods. An address that the
   * control plane gives to somebody else says nothing, nor does that of a gateway between networks.
   */
  @Override
  public Party party(MeshView view) {
    Workload workload =
        request.isFromElsewhere() ? null : view.workload(request.client().getAddress());
    return workload != null && workload.identity().equals(request.principal())
        ? Party.of(workload, request.client())
        : new Party("", "", null, request.client());
  }

  @Override
  public String principal() {
    return request.principal();
  }

  @Override
  public boolean isWaiting() {
    return request.isOpen();
  }

  @Override
  public End end(Relay relay) {
    StreamEnd made = new StreamEnd(relay, request.stream(), true);
    end = made;
    return made;
  }

  @Override
  public void begin(Relay relay) {
    request.accept(Objects.requireNonNull(end));
  }

  @Override
  public void refuse(Refusal reason) {
    // As ztunnel answers: 401 to whom policy denies, 503 where nobody serves.
    switch (reason) {
      case DENIED, MTLS_REQUIRED, POLICY_UNKNOWN -> request.refuse(401);
      default -> request.refuse(503);
    }
  }
}
