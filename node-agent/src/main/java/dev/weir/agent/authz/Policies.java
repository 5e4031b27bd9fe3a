package dev.weir.agent.authz;

import dev.weir.api.model.Authorization;
import dev.weir.api.model.Workload;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * All policies at one moment. A call is held against those of the mesh, of the workload's namespace
 * and those that the workload names; what concerns others is never looked at. Immutable.
 */
public final class Policies {
  private static final Policy[] NO_POLICIES = new Policy[0];
  private static final Policies NONE = new Policies(Map.of());

  private final Map<String, Policy> byKey;
  private final Policy[] ofMesh;
  private final Map<String, Policy[]> ofNamespace;

  private Policies(Map<String, Policy> byKey) {
    this.byKey = byKey;
    List<Policy> mesh = new ArrayList<>();
    Map<String, List<Policy>> namespaces = new HashMap<>();
    for (Policy policy : byKey.values()) {
      switch (policy.source().scope()) {
        case MESH -> mesh.add(policy);
        case NAMESPACE ->
            namespaces
                .computeIfAbsent(policy.source().namespace(), _ -> new ArrayList<>())
                .add(policy);
        case NAMED -> {}
      }
    }
    this.ofMesh = sorted(mesh);
    this.ofNamespace = HashMap.newHashMap(namespaces.size());
    namespaces.forEach((namespace, list) -> ofNamespace.put(namespace, sorted(list)));
  }

  // So that of several that would deny always the same is named.
  private static Policy[] sorted(List<Policy> policies) {
    Policy[] sorted = policies.toArray(Policy[]::new);
    Arrays.sort(sorted, (a, b) -> a.source().key().compareTo(b.source().key()));
    return sorted;
  }

  public static Policies none() {
    return NONE;
  }

  public static Policies of(Collection<Authorization> authorizations) {
    Change change = NONE.change();
    authorizations.forEach(change::put);
    return change.done();
  }

  public int size() {
    return byKey.size();
  }

  /** What a workload names and the node lacks: its callers are refused. */
  public List<String> missing(Workload workload) {
    return workload.authorizationPolicies().stream()
        .filter(key -> !byKey.containsKey(key))
        .toList();
  }

  /** Keys of those that came and could not be read: what they concern is refused. */
  public List<String> unreadable() {
    return byKey.values().stream()
        .filter(policy -> !policy.readable())
        .map(policy -> policy.source().key())
        .sorted()
        .toList();
  }

  /** Each once by the name that its user gave it, sorted. */
  public List<String> names() {
    return byKey.values().stream().map(Policy::name).distinct().sorted().toList();
  }

  /** What a user called the policy that workloads name by a key; null where there is none. */
  public @Nullable String nameOf(String key) {
    Policy policy = byKey.get(key);
    return policy == null ? null : policy.name();
  }

  /**
   * Those that concern only who names them, each once by the name that its user gave it, sorted.
   */
  public List<String> targeted() {
    return byKey.values().stream()
        .filter(policy -> policy.source().scope() == Authorization.Scope.NAMED)
        .map(Policy::name)
        .distinct()
        .sorted()
        .toList();
  }

  /** Begins the next set. */
  public Change change() {
    return new Change(this);
  }

  /** A set in the making; used by one thread and then dropped. */
  public static final class Change {
    private final Policies before;
    private final Map<String, Policy> byKey;
    private boolean changed;

    private Change(Policies before) {
      this.before = before;
      this.byKey = new HashMap<>(before.byKey);
    }

    public void put(Authorization authorization) {
      Policy known = byKey.get(authorization.key());
      if (known == null || !known.readable() || !known.source().equals(authorization)) {
        byKey.put(authorization.key(), Policy.of(authorization));
        changed = true;
      }
    }

    /**
     * One came that cannot be read. Where a former version is in force, that one stays; otherwise
     * what it concerns is refused, since it might deny.
     */
    public void unreadable(String namespace, String name, Authorization.Scope scope) {
      changed |=
          byKey.putIfAbsent(namespace + "/" + name, Policy.unreadable(namespace, name, scope))
              == null;
    }

    public void remove(String key) {
      changed |= byKey.remove(key) != null;
    }

    /** The same set as before if nothing changed. */
    public Policies done() {
      return changed ? new Policies(byKey) : before;
    }
  }

  /**
   * Istio's order: what any policy denies is denied; where none allows, the rest is allowed; where
   * some do, one of them must. A policy that the workload names and the node lacks denies: it might
   * have.
   */
  public Verdict decide(Call call) {
    Workload workload = call.workload();
    if (workload == null) {
      return new Verdict(Verdict.Reason.POLICY_UNKNOWN, "", List.of());
    }
    Policy[] namespace = ofNamespace(workload);
    List<String> named = workload.authorizationPolicies();
    int count = ofMesh.length + namespace.length + named.size();
    boolean shadows = false;
    boolean allowed = false;
    Policy allowing = null;
    String unknown = null;
    for (int i = 0; i < count; i++) {
      Policy policy = at(i, namespace, named);
      if (policy == null) {
        unknown = unknown == null ? named.get(i - ofMesh.length - namespace.length) : unknown;
      } else if (!policy.readable()) {
        unknown = unknown == null ? policy.name() : unknown;
      } else if (policy.shadow()) {
        shadows = true;
      } else if (policy.denies()) {
        if (policy.matches(call)) {
          return new Verdict(
              policy.requiresIdentity() ? Verdict.Reason.MTLS_REQUIRED : Verdict.Reason.DENIED,
              policy.name(),
              List.of());
        }
      } else {
        allowing = allowing == null ? policy : allowing;
        allowed = allowed || policy.matches(call);
      }
    }
    if (unknown != null) {
      return new Verdict(Verdict.Reason.POLICY_UNKNOWN, unknown, List.of());
    }
    if (allowing != null && !allowed) {
      return new Verdict(Verdict.Reason.NOT_ALLOWED, allowing.name(), List.of());
    }
    return shadows ? withShadows(call, namespace, named, count, allowed) : Verdict.ALLOWED;
  }

  /** What is allowed, and would not be if the policies in shadow mode were in force. */
  private Verdict withShadows(
      Call call, Policy[] namespace, List<String> named, int count, boolean allowed) {
    List<String> wouldDeny = new ArrayList<>();
    List<String> wouldNotAllow = new ArrayList<>();
    boolean wouldAllow = allowed;
    for (int i = 0; i < count; i++) {
      Policy policy = at(i, namespace, named);
      if (policy != null && policy.shadow()) {
        if (!policy.denies()) {
          wouldAllow = wouldAllow || policy.matches(call);
          wouldNotAllow.add(policy.name());
        } else if (policy.matches(call)) {
          wouldDeny.add(policy.name());
        }
      }
    }
    if (!wouldAllow) {
      wouldDeny.addAll(wouldNotAllow);
    }
    return wouldDeny.isEmpty()
        ? Verdict.ALLOWED
        : new Verdict(Verdict.Reason.ALLOWED, "", wouldDeny);
  }

  /**
   * Whether the kernel may let through all connections of this caller to this port without asking
   * again: not where a policy looks at addresses, which the kernel's verdicts do not name, and not
   * where one in shadow mode wants to count.
   */
  public boolean holdsForIdentity(Call call) {
    Verdict verdict = decide(call);
    if (!verdict.allowed() || !verdict.wouldDeny().isEmpty()) {
      return false;
    }
    Workload workload = Objects.requireNonNull(call.workload());
    Policy[] namespace = ofNamespace(workload);
    List<String> named = workload.authorizationPolicies();
    int count = ofMesh.length + namespace.length + named.size();
    for (int i = 0; i < count; i++) {
      Policy policy = at(i, namespace, named);
      if (policy != null && policy.readsAddresses()) {
        return false;
      }
    }
    return true;
  }

  private Policy[] ofNamespace(Workload workload) {
    Policy[] found = ofNamespace.get(workload.namespace());
    return found == null ? NO_POLICIES : found;
  }

  /** The i-th of mesh, namespace and names together; null for a name that the node lacks. */
  private @Nullable Policy at(int i, Policy[] namespace, List<String> named) {
    if (i < ofMesh.length) {
      return ofMesh[i];
    }
    int next = i - ofMesh.length;
    return next < namespace.length
        ? namespace[next]
        : byKey.get(named.get(next - namespace.length));
  }
}
