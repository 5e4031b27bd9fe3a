package dev.weir.control.mesh;

import dev.weir.api.kube.AccessPolicy;
import dev.weir.api.kube.Pod;
import dev.weir.api.kube.Service;
import dev.weir.api.model.Authorization;
import dev.weir.api.model.Authorization.Account;
import dev.weir.api.model.Authorization.Clause;
import dev.weir.api.model.Authorization.Match;
import dev.weir.api.model.Authorization.Rule;
import dev.weir.api.model.Authorization.Text;
import dev.weir.api.model.Workload;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * AccessPolicies to authorizations, and which of them each pod must name. Policies with targets are
 * named by the pods that they pick; those of a namespace or of the mesh hold by themselves.
 *
 * <p>A policy that changes how far it reaches becomes another resource, because its name has its
 * reach in it: the new one is in force before the old one goes.
 *
 * <p>Strict mTLS is a denial of callers without an identity, as istiod writes it. A denial cannot
 * be taken back by another policy, so the mode is settled here: the narrowest policy that says one
 * wins (pods, then namespace, then mesh), and where several of one reach disagree, strict. The pods
 * for which it comes out strict name the denial.
 */
final class PolicyCompiler {
  private static final String SPIFFE = "spiffe://";
  private static final String OWN_TRUST_DOMAIN = Workload.DEFAULT_TRUST_DOMAIN + "/";
  private static final String OF_NAMESPACE = Authorization.TAIL + "namespace";
  private static final String OF_MESH = Authorization.TAIL + "mesh";
  private static final String STRICT = Authorization.TAIL + "mtls";

  /** Always holds, for any reader of the wire: nothing arrives at port 0. */
  private static final Clause ANYTHING = new Clause(List.of(Match.ports(List.of(), List.of(0))));

  private static final Rule ANONYMOUS =
      new Rule(
          List.of(new Clause(List.of(Match.principals(List.of(), List.of(new Text.Present()))))));

  private static final Comparator<AccessPolicy> BY_NAME =
      Comparator.comparing(AccessPolicy::namespace).thenComparing(AccessPolicy::name);

  private final Map<String, Authorization> authorizations = new TreeMap<>();
  private final Map<String, List<AccessPolicy>> targetedByNamespace = new HashMap<>();
  private final Map<String, List<AccessPolicy>> mtlsByNamespace = new HashMap<>();
  private final List<AccessPolicy> mtlsOfMesh = new ArrayList<>();
  private final Function<String, @Nullable Service> services;
  private final String trustDomain;

  /**
   * @param services by {@code namespace/name}
   * @param trustDomain of the mesh, which patterns of accounts mean
   */
  PolicyCompiler(
      Collection<AccessPolicy> policies,
      Function<String, @Nullable Service> services,
      String trustDomain) {
    this.services = services;
    this.trustDomain = trustDomain;
    for (AccessPolicy policy : policies.stream().sorted(BY_NAME).toList()) {
      add(policy);
    }
  }

  private void add(AccessPolicy policy) {
    boolean mesh = policy.namespace().equals(AccessPolicy.MESH_NAMESPACE);
    if (policy.decides()) {
      Authorization made = decision(policy);
      authorizations.put(made.key(), made);
    }
    if (policy.mtls() == AccessPolicy.Mtls.STRICT) {
      Authorization made =
          new Authorization(
              policy.namespace(),
              policy.name() + STRICT,
              Authorization.Scope.NAMED,
              Authorization.Action.DENY,
              policy.shadow(),
              List.of(ANONYMOUS));
      authorizations.put(made.key(), made);
    }
    if (!policy.targets().isEmpty()) {
      targetedByNamespace.computeIfAbsent(policy.namespace(), _ -> new ArrayList<>()).add(policy);
    } else if (policy.mtls() != AccessPolicy.Mtls.UNSAID) {
      (mesh
              ? mtlsOfMesh
              : mtlsByNamespace.computeIfAbsent(policy.namespace(), _ -> new ArrayList<>()))
          .add(policy);
    }
  }

  /** All authorizations, by key. */
  Map<String, Authorization> authorizations() {
    return authorizations;
  }

  /**
   * The keys that a pod must name, sorted.
   *
   * @param answersFor {@code namespace/name} of the Services that list the pod as an endpoint
   */
  List<String> of(Pod pod, Set<String> answersFor) {
    Set<String> keys = new TreeSet<>();
    List<AccessPolicy> mtlsOfPod = new ArrayList<>();
    for (AccessPolicy policy : targetedByNamespace.getOrDefault(pod.namespace(), List.of())) {
      if (!picks(policy, pod, answersFor)) {
        continue;
      }
      if (policy.decides()) {
        keys.add(policy.namespace() + "/" + policy.name());
      }
      if (policy.mtls() != AccessPolicy.Mtls.UNSAID) {
        mtlsOfPod.add(policy);
      }
    }
    List<List<AccessPolicy>> narrowestFirst =
        List.of(mtlsOfPod, mtlsByNamespace.getOrDefault(pod.namespace(), List.of()), mtlsOfMesh);
    AccessPolicy enforced = strict(narrowestFirst, false);
    if (enforced != null) {
      keys.add(enforced.namespace() + "/" + enforced.name() + STRICT);
    } else {
      // As it would be with the shadow policies in force.
      AccessPolicy shadowed = strict(narrowestFirst, true);
      if (shadowed != null && shadowed.shadow()) {
        keys.add(shadowed.namespace() + "/" + shadowed.name() + STRICT);
      }
    }
    return List.copyOf(keys);
  }

  /** The policy that makes a pod strict; null where it is permissive. */
  private static @Nullable AccessPolicy strict(
      List<List<AccessPolicy>> narrowestFirst, boolean withShadows) {
    for (List<AccessPolicy> reach : narrowestFirst) {
      boolean said = false;
      for (AccessPolicy policy : reach) {
        if (withShadows || !policy.shadow()) {
          if (policy.mtls() == AccessPolicy.Mtls.STRICT) {
            return policy;
          }
          said = true;
        }
      }
      if (said) {
        return null;
      }
    }
    return null;
  }

  private boolean picks(AccessPolicy policy, Pod pod, Set<String> answersFor) {
    for (AccessPolicy.Target target : policy.targets()) {
      boolean picked =
          switch (target) {
            case AccessPolicy.Target.OfPods pods ->
                pods.selector().matches(pod.metadata().labels());
            case AccessPolicy.Target.OfService service ->
                selects(policy.namespace() + "/" + service.name(), pod, answersFor);
          };
      if (picked) {
        return true;
      }
    }
    return false;
  }

  /** Ready or not: a pod must be guarded before it is called. */
  private boolean selects(String path, Pod pod, Set<String> answersFor) {
    Service service = services.apply(path);
    if (service == null) {
      return false;
    }
    if (service.selector().isEmpty()) {
      return answersFor.contains(path);
    }
    return pod.metadata().labels().entrySet().containsAll(service.selector().entrySet());
  }

  private Authorization decision(AccessPolicy policy) {
    boolean targeted = !policy.targets().isEmpty();
    boolean mesh = policy.namespace().equals(AccessPolicy.MESH_NAMESPACE);
    return new Authorization(
        policy.namespace(),
        policy.name() + (targeted ? "" : mesh ? OF_MESH : OF_NAMESPACE),
        targeted
            ? Authorization.Scope.NAMED
            : mesh ? Authorization.Scope.MESH : Authorization.Scope.NAMESPACE,
        policy.action() == AccessPolicy.Action.DENY
            ? Authorization.Action.DENY
            : Authorization.Action.ALLOW,
        policy.shadow(),
        rules(policy));
  }

  /** One rule for each caller; in it, a clause for each thing that is said. */
  private List<Rule> rules(AccessPolicy policy) {
    List<Clause> to =
        policy.to().isEmpty()
            ? List.of()
            : List.of(
                new Clause(
                    policy.to().stream()
                        .map(each -> Match.ports(each.ports(), each.notPorts()))
                        .toList()));
    if (policy.from().isEmpty()) {
      return List.of(new Rule(to.isEmpty() ? List.of(ANYTHING) : to));
    }
    List<Rule> rules = new ArrayList<>();
    for (AccessPolicy.From from : policy.from()) {
      List<Clause> clauses = clauses(from);
      clauses.addAll(to);
      rules.add(new Rule(clauses));
    }
    return rules;
  }

  private List<Clause> clauses(AccessPolicy.From from) {
    List<Clause> clauses = new ArrayList<>();
    if (!from.serviceAccounts().isEmpty()) {
      // Exact accounts and patterns are different kinds on the wire, and kinds are and-ed: so each
      // is a match of its own.
      Accounts accounts = new Accounts(from.serviceAccounts(), trustDomain);
      List<Match> any = new ArrayList<>(3);
      if (!accounts.exact.isEmpty()) {
        any.add(Match.accounts(accounts.exact, List.of()));
      }
      if (!accounts.namespaces.isEmpty()) {
        any.add(Match.namespaces(accounts.namespaces, List.of()));
      }
      if (!accounts.principals.isEmpty()) {
        any.add(Match.principals(accounts.principals, List.of()));
      }
      clauses.add(new Clause(any));
    }
    if (!from.notServiceAccounts().isEmpty()) {
      Accounts not = new Accounts(from.notServiceAccounts(), trustDomain);
      clauses.add(
          new Clause(
              List.of(
                  Match.identity(
                      List.of(),
                      not.namespaces,
                      List.of(),
                      not.principals,
                      List.of(),
                      not.exact))));
    }
    if (!from.namespaces().isEmpty() || !from.notNamespaces().isEmpty()) {
      clauses.add(
          new Clause(
              List.of(Match.namespaces(texts(from.namespaces()), texts(from.notNamespaces())))));
    }
    if (!from.principals().isEmpty() || !from.notPrincipals().isEmpty()) {
      clauses.add(
          new Clause(
              List.of(
                  Match.principals(
                      principals(from.principals()), principals(from.notPrincipals())))));
    }
    if (!from.ipBlocks().isEmpty() || !from.notIpBlocks().isEmpty()) {
      clauses.add(new Clause(List.of(Match.sources(from.ipBlocks(), from.notIpBlocks()))));
    }
    return clauses;
  }

  /**
   * As in Istio the trust domain {@code cluster.local} stands for the mesh's own, so that a policy
   * may be written without knowing where it will hold.
   */
  private List<Text> principals(List<String> patterns) {
    return patterns.stream()
        .map(pattern -> {
          String plain = pattern.startsWith(SPIFFE) ? pattern.substring(SPIFFE.length()) : pattern;
          return text(
              plain.startsWith(OWN_TRUST_DOMAIN)
                  ? trustDomain + plain.substring(OWN_TRUST_DOMAIN.length() - 1)
                  : plain);
        })
        .toList();
  }

  private static List<Text> texts(List<String> patterns) {
    return patterns.stream().map(PolicyCompiler::text).toList();
  }

  private static Text text(String plain) {
    if (plain.equals("*")) {
      return new Text.Present();
    }
    if (plain.startsWith("*")) {
      return new Text.Suffix(plain.substring(1));
    }
    return plain.endsWith("*")
        ? new Text.Prefix(plain.substring(0, plain.length() - 1))
        : new Text.Exact(plain);
  }

  /**
   * {@code namespace/name} with at most one star, as the wire can say it. A principal is {@code
   * trust-domain/ns/NAMESPACE/sa/NAME}.
   */
  private static final class Accounts {
    final List<Account> exact = new ArrayList<>();
    final List<Text> namespaces = new ArrayList<>();
    final List<Text> principals = new ArrayList<>();

    private final String trustDomain;

    Accounts(List<String> patterns, String trustDomain) {
      this.trustDomain = trustDomain;
      for (String pattern : patterns) {
        add(pattern);
      }
    }

    private void add(String pattern) {
      int slash = pattern.indexOf('/');
      String namespace = slash < 0 ? "" : pattern.substring(0, slash);
      String name = slash < 0 ? "" : pattern.substring(slash + 1);
      if (pattern.equals("*")) {
        principals.add(new Text.Present());
      } else if (pattern.startsWith("*")) {
        principals.add(
            new Text.Suffix(
                slash < 0
                    ? pattern.substring(1)
                    : namespace.equals("*")
                        ? "/sa/" + name
                        : namespace.substring(1) + "/sa/" + name));
      } else if (!pattern.endsWith("*")) {
        exact.add(new Account(namespace, name));
      } else if (slash < 0) {
        namespaces.add(new Text.Prefix(pattern.substring(0, pattern.length() - 1)));
      } else if (name.equals("*")) {
        namespaces.add(new Text.Exact(namespace));
      } else {
        principals.add(
            new Text.Prefix(
                trustDomain + "/ns/" + namespace + "/sa/" + name.substring(0, name.length() - 1)));
      }
    }
  }
}
