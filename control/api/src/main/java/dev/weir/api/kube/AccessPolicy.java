package dev.weir.api.kube;

import dev.weir.api.model.Cidr;
import java.util.List;

/**
 * Who may call, as a user writes it: {@code weir.dev/v1alpha1}.
 *
 * @param targets none: the whole namespace, and from {@link #MESH_NAMESPACE} the whole mesh
 * @param decides whether it allows or denies at all; one that only sets {@code mtls} does not
 * @param shadow counted and logged, not enforced
 * @param from any of them; none: anyone
 * @param to any of them; none: everything
 */
public record AccessPolicy(
    Metadata metadata,
    List<Target> targets,
    boolean decides,
    Action action,
    boolean shadow,
    Mtls mtls,
    List<From> from,
    List<To> to)
    implements KubeObject {
  public static final String API_VERSION = "weir.dev/v1alpha1";

  /** What is said here without a target is said of the mesh. */
  public static final String MESH_NAMESPACE = "weir-system";

  public AccessPolicy {
    targets = List.copyOf(targets);
    from = List.copyOf(from);
    to = List.copyOf(to);
  }

  @Override
  public String apiVersion() {
    return API_VERSION;
  }

  public enum Action {
    ALLOW,
    DENY
  }

  /** What is asked of a workload's callers. */
  public enum Mtls {
    /** A wider policy says, and where none does, permissive. */
    UNSAID,
    STRICT,
    PERMISSIVE
  }

  /** What a policy is for, in its own namespace. */
  public sealed interface Target {
    /** The pods that a Service's selector picks. */
    record OfService(String name) implements Target {}

    record OfPods(LabelSelector selector) implements Target {}
  }

  /**
   * A caller: all that is said must hold. Accounts are {@code namespace/name}; texts may have one
   * {@code *} at either end.
   */
  public record From(
      List<String> serviceAccounts,
      List<String> notServiceAccounts,
      List<String> namespaces,
      List<String> notNamespaces,
      List<String> principals,
      List<String> notPrincipals,
      List<Cidr> ipBlocks,
      List<Cidr> notIpBlocks) {
    public From {
      serviceAccounts = List.copyOf(serviceAccounts);
      notServiceAccounts = List.copyOf(notServiceAccounts);
      namespaces = List.copyOf(namespaces);
      notNamespaces = List.copyOf(notNamespaces);
      principals = List.copyOf(principals);
      notPrincipals = List.copyOf(notPrincipals);
      ipBlocks = List.copyOf(ipBlocks);
      notIpBlocks = List.copyOf(notIpBlocks);
    }
  }

  /** What is called: all that is said must hold. Ports are the pod's own. */
  public record To(List<Integer> ports, List<Integer> notPorts) {
    public To {
      ports = List.copyOf(ports);
      notPorts = List.copyOf(notPorts);
    }
  }
}
