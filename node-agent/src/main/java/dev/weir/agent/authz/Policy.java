package dev.weir.agent.authz;

import dev.weir.api.model.Authorization;
import dev.weir.api.model.Authorization.Account;
import dev.weir.api.model.Authorization.Clause;
import dev.weir.api.model.Authorization.Match;
import dev.weir.api.model.Authorization.Rule;
import dev.weir.api.model.Authorization.Text;
import dev.weir.api.model.Cidr;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/** One authorization, compiled: exact values in hash sets, blocks and ports in sorted arrays. */
final class Policy {
  private static final String SPIFFE = "spiffe://";

  private final Authorization source;
  private final String name;
  private final boolean denies;
  private final boolean requiresIdentity;
  private final boolean readsAddresses;
  private final boolean readable;
  private final OneClause[][] rules;

  private Policy(Authorization source, boolean readable) {
    this.source = source;
    this.name = source.policy();
    this.denies = source.action() == Authorization.Action.DENY;
    this.requiresIdentity = source.requiresIdentity();
    this.readable = readable;
    this.rules = new OneClause[source.rules().size()][];
    boolean addresses = false;
    for (int i = 0; i < rules.length; i++) {
      Rule rule = source.rules().get(i);
      rules[i] = rule.clauses().stream().map(OneClause::of).toArray(OneClause[]::new);
      for (OneClause clause : rules[i]) {
        addresses |= clause.readsAddresses();
      }
    }
    this.readsAddresses = addresses;
  }

  static Policy of(Authorization source) {
    return new Policy(source, true);
  }

  /** Stands for one that came and could not be read. */
  static Policy unreadable(String namespace, String name, Authorization.Scope scope) {
    return new Policy(
        new Authorization(namespace, name, scope, Authorization.Action.DENY, false, List.of()),
        false);
  }

  Authorization source() {
    return source;
  }

  /** What a user wrote. */
  String name() {
    return name;
  }

  boolean denies() {
    return denies;
  }

  boolean shadow() {
    return source.dryRun();
  }

  boolean requiresIdentity() {
    return requiresIdentity;
  }

  /** Whether two callers of one identity may be judged differently. */
  boolean readsAddresses() {
    return readsAddresses;
  }

  boolean readable() {
    return readable;
  }

  /** Any rule, of which all clauses. */
  boolean matches(Call call) {
    for (OneClause[] rule : rules) {
      if (all(rule, call)) {
        return true;
      }
    }
    return false;
  }

  private static boolean all(OneClause[] clauses, Call call) {
    for (OneClause clause : clauses) {
      if (!clause.matches(call)) {
        return false;
      }
    }
    return true;
  }

  /** Any of its matches; those that say nothing are left out and so do not match. */
  private record OneClause(OneMatch... matches) {
    static OneClause of(Clause clause) {
      return new OneClause(
          clause.matches().stream()
              .filter(match -> !match.isEmpty())
              .map(OneMatch::of)
              .toArray(OneMatch[]::new));
    }

    boolean matches(Call call) {
      for (OneMatch match : matches) {
        if (match.matches(call)) {
          return true;
        }
      }
      return false;
    }

    boolean readsAddresses() {
      for (OneMatch match : matches) {
        if (match.readsAddresses()) {
          return true;
        }
      }
      return false;
    }
  }

  /** All kinds that are said; null for a kind that is not. */
  private record OneMatch(
      @Nullable Texts namespaces,
      @Nullable Texts notNamespaces,
      @Nullable Texts principals,
      @Nullable Texts notPrincipals,
      @Nullable Blocks sources,
      @Nullable Blocks notSources,
      @Nullable Blocks destinations,
      @Nullable Blocks notDestinations,
      @Nullable Ports ports,
      @Nullable Ports notPorts,
      @Nullable Set<String> accounts,
      @Nullable Set<String> notAccounts) {
    static OneMatch of(Match match) {
      return new OneMatch(
          said(match.namespaces(), Texts::of),
          said(match.notNamespaces(), Texts::of),
          said(match.principals(), Texts::ofPrincipals),
          said(match.notPrincipals(), Texts::ofPrincipals),
          said(match.sourceIps(), Blocks::of),
          said(match.notSourceIps(), Blocks::of),
          said(match.destinationIps(), Blocks::of),
          said(match.notDestinationIps(), Blocks::of),
          said(match.destinationPorts(), Ports::of),
          said(match.notDestinationPorts(), Ports::of),
          said(match.serviceAccounts(), OneMatch::names),
          said(match.notServiceAccounts(), OneMatch::names));
    }

    private static <A, B> @Nullable B said(List<A> values, Function<List<A>, B> compile) {
      return values.isEmpty() ? null : compile.apply(values);
    }

    private static Set<String> names(List<Account> accounts) {
      Set<String> names = HashSet.newHashSet(accounts.size());
      accounts.forEach(account -> names.add(account.namespace() + "/" + account.name()));
      return names;
    }

    boolean matches(Call call) {
      return (namespaces == null || namespaces.matches(call.namespace()))
          && (notNamespaces == null || !notNamespaces.matches(call.namespace()))
          && (principals == null || principals.matches(call.principal()))
          && (notPrincipals == null || !notPrincipals.matches(call.principal()))
          && (sources == null || sources.contains(call.sourceBits()))
          && (notSources == null || !notSources.contains(call.sourceBits()))
          && (destinations == null || destinations.contains(call.destinationBits()))
          && (notDestinations == null || !notDestinations.contains(call.destinationBits()))
          && (ports == null || ports.contains(call.port()))
          && (notPorts == null || !notPorts.contains(call.port()))
          && (accounts == null || has(accounts, call.account()))
          && (notAccounts == null || !has(notAccounts, call.account()));
    }

    private static boolean has(Set<String> names, @Nullable String name) {
      return name != null && names.contains(name);
    }

    boolean readsAddresses() {
      return sources != null
          || notSources != null
          || destinations != null
          || notDestinations != null;
    }
  }

  /** Comparisons of one text; an absent one matches none of them. */
  private record Texts(Set<String> exact, String[] prefixes, String[] suffixes, boolean present) {
    static Texts of(List<Text> texts) {
      return of(texts, false);
    }

    static Texts ofPrincipals(List<Text> texts) {
      return of(texts, true);
    }

    private static Texts of(List<Text> texts, boolean principals) {
      Set<String> exact = new HashSet<>();
      List<String> prefixes = new ArrayList<>();
      List<String> suffixes = new ArrayList<>();
      boolean present = false;
      for (Text text : texts) {
        switch (text) {
          case Text.Exact(String value) -> exact.add(principals ? plain(value) : value);
          case Text.Prefix(String value) -> prefixes.add(principals ? plain(value) : value);
          case Text.Suffix(String value) -> suffixes.add(value);
          case Text.Present _ -> present = true;
        }
      }
      return new Texts(
          exact, prefixes.toArray(String[]::new), suffixes.toArray(String[]::new), present);
    }

    private static String plain(String principal) {
      return principal.startsWith(SPIFFE) ? principal.substring(SPIFFE.length()) : principal;
    }

    boolean matches(@Nullable String text) {
      if (text == null) {
        return false;
      }
      if (present || exact.contains(text)) {
        return true;
      }
      for (String prefix : prefixes) {
        if (text.startsWith(prefix)) {
          return true;
        }
      }
      for (String suffix : suffixes) {
        if (text.endsWith(suffix)) {
          return true;
        }
      }
      return false;
    }
  }

  private record Blocks(AddressBlocks v4, AddressBlocks v6) {
    static Blocks of(List<Cidr> blocks) {
      return new Blocks(AddressBlocks.of(blocks, true), AddressBlocks.of(blocks, false));
    }

    boolean contains(Call.Bits address) {
      return (address.v4() ? v4 : v6).contains(address);
    }
  }

  private record Ports(int... sorted) {
    static Ports of(List<Integer> ports) {
      return new Ports(ports.stream().mapToInt(Integer::intValue).sorted().toArray());
    }

    boolean contains(int port) {
      return Arrays.binarySearch(sorted, port) >= 0;
    }
  }
}
