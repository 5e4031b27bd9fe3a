package dev.weir.agent.authz;

import static org.assertj.core.api.Assertions.assertThat;

import dev.weir.api.model.Authorization;
import dev.weir.api.model.Authorization.Account;
import dev.weir.api.model.Authorization.Clause;
import dev.weir.api.model.Authorization.Match;
import dev.weir.api.model.Authorization.Rule;
import dev.weir.api.model.Authorization.Text;
import dev.weir.api.model.Cidr;
import dev.weir.api.model.Workload;
import java.net.InetAddress;
import java.util.ArrayList;
import java.util.List;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.Combinators;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import net.jqwik.api.Tuple;

/** The compiled index against {@link Reference}, on values that meet often. */
class PoliciesPropertyTest {
  private static final String TRUST = "cluster.local";

  @Provide
  Arbitrary<Reference.Caller> callers() {
    // The empty one stands for nobody: jqwik's own null has no type that NullAway believes.
    Arbitrary<String> principal =
        Arbitraries.frequencyOf(
            Tuple.of(4, principals().map(plain -> "spiffe://" + plain)),
            Tuple.of(1, Arbitraries.just("")));
    return Combinators.combine(principal, addresses(), addresses(), ports())
        .as((who, source, destination, port) ->
            new Reference.Caller(who.isEmpty() ? null : who, source, destination, port));
  }

  @Provide
  Arbitrary<Workload> workloads() {
    return Combinators.combine(
            namespaces(), Arbitraries.of("shop/a", "shop/b", "pay/a", "pay/b").set().ofMaxSize(3))
        .as((namespace, names) -> TestCalls.workload(namespace, List.copyOf(names)));
  }

  /** All four names exist, so that nothing is unknown; {@link PoliciesTest} has what is. */
  @Provide
  Arbitrary<List<Authorization>> policies() {
    return Combinators.combine(
            named("shop", "a"),
            named("shop", "b"),
            named("pay", "a"),
            named("pay", "b"),
            policy("shop", "x", Arbitraries.of(Authorization.Scope.values())).list().ofMaxSize(1),
            policy("weir-system", "y", Arbitraries.just(Authorization.Scope.MESH))
                .list()
                .ofMaxSize(1))
        .as((a, b, c, d, e, f) -> {
          List<Authorization> all = new ArrayList<>(List.of(a, b, c, d));
          all.addAll(e);
          all.addAll(f);
          return all;
        });
  }

  private static Arbitrary<Authorization> named(String namespace, String name) {
    return policy(namespace, name, Arbitraries.just(Authorization.Scope.NAMED));
  }

  private static Arbitrary<Authorization> policy(
      String namespace, String name, Arbitrary<Authorization.Scope> scopes) {
    return Combinators.combine(
            scopes,
            Arbitraries.of(Authorization.Action.values()),
            Arbitraries.frequency(Tuple.of(4, false), Tuple.of(1, true)),
            rule().list().ofMaxSize(3))
        .as((scope, action, dryRun, rules) ->
            new Authorization(namespace, name, scope, action, dryRun, rules));
  }

  private static Arbitrary<Rule> rule() {
    return clause().list().ofMaxSize(2).map(Rule::new);
  }

  private static Arbitrary<Clause> clause() {
    return match().list().ofMaxSize(3).map(Clause::new);
  }

  /** Few kinds at a time: with all twelve nothing would ever match. */
  private static Arbitrary<Match> match() {
    return Arbitraries.oneOf(
        Arbitraries.just(Match.EMPTY),
        Combinators.combine(texts(namespaces()), texts(namespaces())).as(Match::namespaces),
        Combinators.combine(texts(principals()), texts(principals())).as(Match::principals),
        Combinators.combine(accountList(), accountList()).as(Match::accounts),
        Combinators.combine(blocks(), blocks(), blocks(), blocks()).as(Match::addresses),
        Combinators.combine(ports().list().ofMaxSize(2), ports().list().ofMaxSize(1))
            .as(Match::ports),
        Combinators.combine(
                texts(namespaces()),
                texts(namespaces()),
                texts(principals()),
                texts(principals()),
                accountList(),
                accountList())
            .as(Match::identity));
  }

  private static Arbitrary<String> namespaces() {
    return Arbitraries.of("shop", "shop-test", "pay");
  }

  private static Arbitrary<String> accounts() {
    return Arbitraries.of("front", "cart", "front-test");
  }

  private static Arbitrary<String> principals() {
    return Combinators.combine(namespaces(), accounts())
        .as((namespace, account) -> TRUST + "/ns/" + namespace + "/sa/" + account);
  }

  private static Arbitrary<List<Account>> accountList() {
    return Combinators.combine(namespaces(), accounts()).as(Account::new).list().ofMaxSize(2);
  }

  private static Arbitrary<List<Text>> texts(Arbitrary<String> values) {
    Arbitrary<Text> text =
        Combinators.combine(
                values, Arbitraries.integers().between(0, 3), Arbitraries.integers().between(0, 30))
            .as((value, kind, cut) ->
                switch (kind) {
                  case 0 -> new Text.Exact(value);
                  case 1 -> new Text.Prefix(value.substring(0, Math.min(cut, value.length())));
                  case 2 -> new Text.Suffix(value.substring(Math.min(cut, value.length())));
                  default -> new Text.Present();
                });
    return text.list().ofMaxSize(2);
  }

  private static Arbitrary<Integer> ports() {
    return Arbitraries.of(0, 80, 8080, 65535);
  }

  private static Arbitrary<InetAddress> addresses() {
    return Arbitraries.oneOf(
        Arbitraries.of(
                "0.0.0.0", "10.0.0.1", "10.0.0.2", "10.128.0.1", "192.168.0.7", "255.255.255.255")
            .map(InetAddress::ofLiteral),
        Arbitraries.of(
                "::",
                "fd00::1",
                "fd00::ffff:ffff:ffff:ffff",
                "fd00:0:0:1::",
                "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")
            .map(InetAddress::ofLiteral));
  }

  private static Arbitrary<List<Cidr>> blocks() {
    return Combinators.combine(addresses(), Arbitraries.integers().between(0, 128))
        .as((address, bits) -> new Cidr(address, Math.min(bits, address.getAddress().length * 8)))
        .list()
        .ofMaxSize(3);
  }

  @Property(tries = 3_000)
  void theIndexSaysWhatTheWordsSay(
      @ForAll("policies") List<Authorization> policies,
      @ForAll("workloads") Workload workload,
      @ForAll("callers") Reference.Caller caller) {
    boolean expected = new Reference(policies).allows(workload, caller);
    assertThat(Policies.of(policies).decide(TestCalls.call(caller, workload)).allowed())
        .isEqualTo(expected);
  }

  @Property(tries = 500)
  void anOrderOfArrivalChangesNothing(
      @ForAll("policies") List<Authorization> policies,
      @ForAll("workloads") Workload workload,
      @ForAll("callers") Reference.Caller caller) {
    Call call = TestCalls.call(caller, workload);
    Policies.Change change = Policies.none().change();
    policies
        .reversed()
        .forEach(policy -> {
          change.put(policy);
          change.remove(policy.key());
          change.put(policy);
        });
    assertThat(change.done().decide(call)).isEqualTo(Policies.of(policies).decide(call));
  }

  @Property(tries = 1_000)
  void whatTheKernelMayKeepDoesNotHangOnAddresses(
      @ForAll("policies") List<Authorization> policies,
      @ForAll("workloads") Workload workload,
      @ForAll("callers") Reference.Caller caller,
      @ForAll("callers") Reference.Caller elsewhere) {
    Policies compiled = Policies.of(policies);
    if (compiled.holdsForIdentity(TestCalls.call(caller, workload))) {
      Reference.Caller moved =
          new Reference.Caller(
              caller.principal(), elsewhere.source(), elsewhere.destination(), caller.port());
      assertThat(compiled.decide(TestCalls.call(moved, workload))).isEqualTo(Verdict.ALLOWED);
    }
  }

  @Property(tries = 1_000)
  void whatAShadowWouldDenyIsWhatWouldBeDeniedWithoutIt(
      @ForAll("policies") List<Authorization> policies,
      @ForAll("workloads") Workload workload,
      @ForAll("callers") Reference.Caller caller) {
    Verdict verdict = Policies.of(policies).decide(TestCalls.call(caller, workload));
    if (verdict.allowed()) {
      List<Authorization> inForce =
          policies.stream()
              .map(each ->
                  new Authorization(
                      each.namespace(),
                      each.name(),
                      each.scope(),
                      each.action(),
                      false,
                      each.rules()))
              .toList();
      assertThat(verdict.wouldDeny().isEmpty())
          .isEqualTo(new Reference(inForce).allows(workload, caller));
    }
  }
}
