package dev.weir.agent;

import dev.weir.agent.authz.Authz;
import dev.weir.agent.authz.Call;
import dev.weir.agent.authz.Policies;
import dev.weir.agent.authz.Verdict;
import dev.weir.agent.capture.Admission;
import dev.weir.agent.capture.Pod;
import dev.weir.agent.config.Mesh;
import dev.weir.agent.config.MeshView;
import dev.weir.agent.relay.Relays;
import dev.weir.agent.telemetry.Refusals;
import dev.weir.api.model.Workload;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** What policy says of this node's pods, for the kernel's side. */
final class LocalPolicy implements Admission {
  private final Mesh mesh;
  private final Authz authz;
  private final Refusals refusals;

  // The config thread alone touches these.
  private @Nullable Policies judged;
  private Map<Integer, List<String>> named = Map.of();

  LocalPolicy(Mesh mesh, Authz authz, Refusals refusals) {
    this.mesh = mesh;
    this.authz = authz;
    this.refusals = refusals;
  }

  @Override
  public boolean remembers(String identity, Pod destination, int port) {
    MeshView view = mesh.current();
    // The verdict names no address; where a policy looks at one, it is not kept.
    InetAddress any = destination.addresses().getFirst();
    return view.policies()
        .holdsForIdentity(Call.of(identity, any, any, port, workload(view, destination)));
  }

  @Override
  public boolean admits(
      @Nullable Pod source, Pod destination, InetSocketAddress client, InetSocketAddress server) {
    return verdict(source, destination, client, server).allowed();
  }

  @Override
  public void ended(
      @Nullable Pod source, Pod destination, InetSocketAddress client, InetSocketAddress server) {
    Verdict verdict = verdict(source, destination, client, server);
    authz.ended(verdict);
    refusals.count(destination, Relays.refusalOf(verdict));
  }

  private Verdict verdict(
      @Nullable Pod source, Pod destination, InetSocketAddress client, InetSocketAddress server) {
    MeshView view = mesh.current();
    Workload workload = workload(view, destination);
    // What the control plane knows no more is about to go; nothing new is let in meanwhile.
    return workload == null
        ? Verdict.ALLOWED
        : view.policies()
            .decide(
                Call.of(
                    source == null ? null : source.identity(),
                    client.getAddress(),
                    server.getAddress(),
                    server.getPort(),
                    workload));
  }

  private static @Nullable Workload workload(MeshView view, Pod pod) {
    return view.pod(pod.namespace(), pod.name()).orElse(null);
  }

  /**
   * Whether the view changes what policy says of these pods. Called for each view in turn, on the
   * config thread; most views only bring endpoints.
   */
  boolean changes(MeshView view, List<Pod> pods) {
    Map<Integer, List<String>> now = HashMap.newHashMap(pods.size());
    for (Pod pod : pods) {
      Workload workload = workload(view, pod);
      if (workload != null) {
        now.put(pod.number(), workload.authorizationPolicies());
      }
    }
    boolean changed = view.policies() != judged || !now.equals(named);
    judged = view.policies();
    named = now;
    return changed;
  }
}
