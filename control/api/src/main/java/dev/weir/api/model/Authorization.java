package dev.weir.api.model;

import java.util.List;

/**
 * Who may call, at layer 4: {@code istio.security.Authorization} as a record. Rules are or-ed, the
 * clauses of a rule and-ed, the matches of a clause or-ed; inside a match the kinds are and-ed and
 * the values of a kind or-ed, and of a not… kind none may match.
 *
 * @param name unique in its namespace; see {@link #policy()} for what a user wrote
 * @param dryRun only counted and logged
 * @param rules none never matches
 */
public record Authorization(
    String namespace, String name, Scope scope, Action action, boolean dryRun, List<Rule> rules) {
  /**
   * Ends the part of a name that a user wrote. No Kubernetes name has one, so what one policy
   * becomes cannot meet another policy.
   */
  public static final char TAIL = '_';

  public Authorization {
    rules = List.copyOf(rules);
  }

  /** Whom a policy concerns. */
  public enum Scope {
    MESH,
    NAMESPACE,
    /** The workloads that name it among {@link Workload#authorizationPolicies}. */
    NAMED
  }

  public enum Action {
    ALLOW,
    DENY
  }

  public record Rule(List<Clause> clauses) {
    public Rule {
      clauses = List.copyOf(clauses);
    }
  }

  public record Clause(List<Match> matches) {
    public Clause {
      matches = List.copyOf(matches);
    }
  }

  /** One without any value never matches. */
  public record Match(
      List<Text> namespaces,
      List<Text> notNamespaces,
      List<Text> principals,
      List<Text> notPrincipals,
      List<Cidr> sourceIps,
      List<Cidr> notSourceIps,
      List<Cidr> destinationIps,
      List<Cidr> notDestinationIps,
      List<Integer> destinationPorts,
      List<Integer> notDestinationPorts,
      List<Account> serviceAccounts,
      List<Account> notServiceAccounts) {
    public static final Match EMPTY =
        new Match(
            List.of(), List.of(), List.of(), List.of(), List.of(), List.of(), List.of(), List.of(),
            List.of(), List.of(), List.of(), List.of());

    public Match {
      namespaces = List.copyOf(namespaces);
      notNamespaces = List.copyOf(notNamespaces);
      principals = List.copyOf(principals);
      notPrincipals = List.copyOf(notPrincipals);
      sourceIps = List.copyOf(sourceIps);
      notSourceIps = List.copyOf(notSourceIps);
      destinationIps = List.copyOf(destinationIps);
      notDestinationIps = List.copyOf(notDestinationIps);
      destinationPorts = List.copyOf(destinationPorts);
      notDestinationPorts = List.copyOf(notDestinationPorts);
      serviceAccounts = List.copyOf(serviceAccounts);
      notServiceAccounts = List.copyOf(notServiceAccounts);
    }

    /** Callers whose namespace is one of these. */
    public static Match namespaces(List<Text> namespaces, List<Text> not) {
      return identity(namespaces, not, List.of(), List.of(), List.of(), List.of());
    }

    /** Callers whose principal is one of these. */
    public static Match principals(List<Text> principals, List<Text> not) {
      return identity(List.of(), List.of(), principals, not, List.of(), List.of());
    }

    /** Callers that run as one of these. */
    public static Match accounts(List<Account> accounts, List<Account> not) {
      return identity(List.of(), List.of(), List.of(), List.of(), accounts, not);
    }

    /** What is said of the caller's identity. */
    public static Match identity(
        List<Text> namespaces,
        List<Text> notNamespaces,
        List<Text> principals,
        List<Text> notPrincipals,
        List<Account> accounts,
        List<Account> notAccounts) {
      return new Match(
          namespaces,
          notNamespaces,
          principals,
          notPrincipals,
          List.of(),
          List.of(),
          List.of(),
          List.of(),
          List.of(),
          List.of(),
          accounts,
          notAccounts);
    }

    /** Callers at one of these addresses. */
    public static Match sources(List<Cidr> blocks, List<Cidr> not) {
      return addresses(blocks, not, List.of(), List.of());
    }

    /** Connections from and to these addresses. */
    public static Match addresses(
        List<Cidr> sources, List<Cidr> notSources, List<Cidr> destinations, List<Cidr> notThose) {
      return new Match(
          List.of(),
          List.of(),
          List.of(),
          List.of(),
          sources,
          notSources,
          destinations,
          notThose,
          List.of(),
          List.of(),
          List.of(),
          List.of());
    }

    /** Connections to one of these ports of the workload itself. */
    public static Match ports(List<Integer> ports, List<Integer> not) {
      return new Match(
          List.of(), List.of(), List.of(), List.of(), List.of(), List.of(), List.of(), List.of(),
          ports, not, List.of(), List.of());
    }

    public boolean isEmpty() {
      return equals(EMPTY);
    }
  }

  /** A service account, exactly. */
  public record Account(String namespace, String name) {}

  /** How a text is compared. Principals stand without their {@code spiffe://}. */
  public sealed interface Text {
    record Exact(String value) implements Text {}

    record Prefix(String value) implements Text {}

    record Suffix(String value) implements Text {}

    /** Any, but there must be one. */
    record Present() implements Text {}
  }

  /** As {@link Workload#authorizationPolicies} and xDS name it. */
  public String key() {
    return namespace + "/" + name;
  }

  /** {@code namespace/name} of what a user wrote. */
  public String policy() {
    int tail = name.indexOf(TAIL);
    return tail <= 0 || namespace.isEmpty() ? key() : namespace + "/" + name.substring(0, tail);
  }

  /** Whether it denies those without an identity, and nobody else: what strict mTLS becomes. */
  public boolean requiresIdentity() {
    if (action != Action.DENY || rules.isEmpty()) {
      return false;
    }
    for (Rule rule : rules) {
      if (rule.clauses().stream().noneMatch(Authorization::onlyAnonymous)) {
        return false;
      }
    }
    return true;
  }

  private static boolean onlyAnonymous(Clause clause) {
    return !clause.matches().isEmpty()
        && clause.matches().stream()
            .allMatch(
                match -> match.notPrincipals().stream().anyMatch(Text.Present.class::isInstance));
  }
}
