package dev.weir.agent.authz;

import dev.weir.api.model.Authorization;
import dev.weir.api.model.Authorization.Account;
import dev.weir.api.model.Authorization.Clause;
import dev.weir.api.model.Authorization.Match;
import dev.weir.api.model.Authorization.Rule;
import dev.weir.api.model.Authorization.Text;
import dev.weir.api.model.Cidr;
import dev.weir.api.model.Workload;
import java.net.InetAddress;
import java.util.List;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;

/**
 * Istio's semantics said once more, in the order of their words and with no thought of speed: rules
 * OR, clauses AND, matches OR, kinds AND, values of a kind OR, of a not… kind none; no rules never
 * match, an empty match is skipped; any deny, else no allows, else any allow, else deny.
 */
final class Reference {
  private final List<Authorization> all;

  Reference(List<Authorization> all) {
    this.all = all;
  }

  record Caller(@Nullable String principal, InetAddress source, InetAddress destination, int port) {
    private @Nullable String plain() {
      return principal == null ? null : principal.replaceFirst("^spiffe://", "");
    }

    private @Nullable String part(int index) {
      String plain = plain();
      return plain == null ? null : plain.split("/", -1)[index];
    }
  }

  boolean allows(Workload workload, Caller caller) {
    List<Authorization> set =
        all.stream()
            .filter(each ->
                switch (each.scope()) {
                  case MESH -> true;
                  case NAMESPACE -> each.namespace().equals(workload.namespace());
                  case NAMED -> workload.authorizationPolicies().contains(each.key());
                })
            .filter(each -> !each.dryRun())
            .toList();
    if (of(set, Authorization.Action.DENY).stream().anyMatch(each -> matches(each, caller))) {
      return false;
    }
    List<Authorization> allow = of(set, Authorization.Action.ALLOW);
    return allow.isEmpty() || allow.stream().anyMatch(each -> matches(each, caller));
  }

  private static List<Authorization> of(List<Authorization> set, Authorization.Action action) {
    return set.stream().filter(each -> each.action() == action).toList();
  }

  private static boolean matches(Authorization policy, Caller caller) {
    return policy.rules().stream().anyMatch(rule -> matches(rule, caller));
  }

  private static boolean matches(Rule rule, Caller caller) {
    return rule.clauses().stream().allMatch(clause -> matches(clause, caller));
  }

  private static boolean matches(Clause clause, Caller caller) {
    return clause.matches().stream()
        .filter(match -> !match.equals(Match.EMPTY))
        .anyMatch(match -> matches(match, caller));
  }

  private static boolean matches(Match match, Caller caller) {
    return any(match.namespaces(), text -> matches(text, caller.part(2)))
        && none(match.notNamespaces(), text -> matches(text, caller.part(2)))
        && any(match.principals(), text -> matches(text, caller.plain()))
        && none(match.notPrincipals(), text -> matches(text, caller.plain()))
        && any(match.sourceIps(), block -> holds(block, caller.source()))
        && none(match.notSourceIps(), block -> holds(block, caller.source()))
        && any(match.destinationIps(), block -> holds(block, caller.destination()))
        && none(match.notDestinationIps(), block -> holds(block, caller.destination()))
        && any(match.destinationPorts(), port -> port == caller.port())
        && none(match.notDestinationPorts(), port -> port == caller.port())
        && any(match.serviceAccounts(), account -> matches(account, caller))
        && none(match.notServiceAccounts(), account -> matches(account, caller));
  }

  /** A kind of which nothing is said asks nothing. */
  private static <T> boolean any(List<T> values, Predicate<T> matches) {
    return values.isEmpty() || values.stream().anyMatch(matches);
  }

  private static <T> boolean none(List<T> values, Predicate<T> matches) {
    return values.stream().noneMatch(matches);
  }

  private static boolean matches(Account account, Caller caller) {
    return account.namespace().equals(caller.part(2)) && account.name().equals(caller.part(4));
  }

  private static boolean matches(Text text, @Nullable String value) {
    if (value == null) {
      return false;
    }
    return switch (text) {
      case Text.Exact(String exact) -> value.equals(exact);
      case Text.Prefix(String prefix) -> value.startsWith(prefix);
      case Text.Suffix(String suffix) -> value.endsWith(suffix);
      case Text.Present _ -> true;
    };
  }

  /** Bit by bit, of one family. */
  private static boolean holds(Cidr block, InetAddress address) {
    return block.contains(address);
  }
}
