package dev.weir.agent.authz;

import static org.assertj.core.api.Assertions.assertThat;

import dev.weir.agent.metrics.Exposition;
import dev.weir.api.model.Authorization;
import dev.weir.api.model.Authorization.Account;
import dev.weir.api.model.Authorization.Action;
import dev.weir.api.model.Authorization.Clause;
import dev.weir.api.model.Authorization.Match;
import dev.weir.api.model.Authorization.Rule;
import dev.weir.api.model.Authorization.Scope;
import dev.weir.api.model.Authorization.Text;
import dev.weir.api.model.Cidr;
import dev.weir.api.model.Workload;
import java.lang.management.ManagementFactory;
import java.net.InetAddress;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

final class PoliciesTest {
  private static final String FRONT = "spiffe://cluster.local/ns/shop/sa/front";
  private static final String GUEST = "spiffe://cluster.local/ns/shop/sa/guest";
  private static final Workload WEB = TestCalls.workload("shop", List.of("shop/p"));

  private static Call call(@Nullable String principal, int port, Workload workload) {
    return Call.of(
        principal,
        InetAddress.ofLiteral("10.0.0.1"),
        InetAddress.ofLiteral("10.0.0.2"),
        port,
        workload);
  }

  private static Call call(@Nullable String principal) {
    return call(principal, 80, WEB);
  }

  private static Authorization policy(
      String name, Scope scope, Action action, boolean shadow, Match... matches) {
    return new Authorization(
        "shop",
        name,
        scope,
        action,
        shadow,
        List.of(new Rule(List.of(new Clause(List.of(matches))))));
  }

  private static Match account(String name) {
    return Match.accounts(List.of(new Account("shop", name)), List.of());
  }

  private static Verdict verdict(Call call, Authorization... policies) {
    return Policies.of(List.of(policies)).decide(call);
  }

  @Test
  void whereNoPolicyConcernsAWorkloadEverybodyMayCall() {
    assertThat(verdict(call(null, 80, TestCalls.workload("shop", List.of()))))
        .isEqualTo(Verdict.ALLOWED);
    assertThat(
            verdict(
                call(null, 80, TestCalls.workload("pay", List.of())),
                policy(
                    "p_namespace",
                    Scope.NAMESPACE,
                    Action.DENY,
                    false,
                    Match.ports(List.of(), List.of(0))),
                policy("q", Scope.NAMED, Action.DENY, false, Match.ports(List.of(), List.of(0)))))
        .as("policies of another namespace, and one that it does not name")
        .isEqualTo(Verdict.ALLOWED);
  }

  @ParameterizedTest
  @CsvSource({
    "NAMED,shop,true",
    "NAMESPACE,shop,true",
    "MESH,shop,true",
    "NAMESPACE,pay,false",
    "MESH,pay,true"
  })
  void aDenialReachesAsFarAsItsScope(Scope scope, String namespace, boolean denied) {
    Workload workload =
        TestCalls.workload(namespace, scope == Scope.NAMED ? List.of("shop/p") : List.of());
    Verdict verdict =
        verdict(
            call(GUEST, 80, workload), policy("p", scope, Action.DENY, false, account("guest")));
    assertThat(verdict.allowed()).isEqualTo(!denied);
  }

  @Test
  void denyWinsOverAllowAndNamesItself() {
    Verdict verdict =
        verdict(
            call(GUEST),
            policy("p", Scope.NAMED, Action.ALLOW, false, account("guest")),
            policy("x_namespace", Scope.NAMESPACE, Action.DENY, false, account("guest")));
    assertThat(verdict.reason()).isEqualTo(Verdict.Reason.DENIED);
    assertThat(verdict.policy()).isEqualTo("shop/x");
    assertThat(verdict.detail()).isEqualTo("denied by policy shop/x");
  }

  @Test
  void onceSomethingIsAllowedTheRestIsDenied() {
    Authorization allow = policy("p", Scope.NAMED, Action.ALLOW, false, account("front"));
    assertThat(verdict(call(FRONT), allow)).isEqualTo(Verdict.ALLOWED);
    Verdict denied = verdict(call(GUEST), allow);
    assertThat(denied.reason()).isEqualTo(Verdict.Reason.NOT_ALLOWED);
    assertThat(denied.policy()).isEqualTo("shop/p");
    assertThat(verdict(call(null), allow).allowed()).as("nobody in particular").isFalse();
  }

  @Test
  void aPolicyWithoutRulesNeverMatches() {
    Authorization none =
        new Authorization("shop", "p", Scope.NAMED, Action.ALLOW, false, List.of());
    assertThat(verdict(call(FRONT), none).reason()).isEqualTo(Verdict.Reason.NOT_ALLOWED);
    Authorization deny = new Authorization("shop", "p", Scope.NAMED, Action.DENY, false, List.of());
    assertThat(verdict(call(FRONT), deny)).isEqualTo(Verdict.ALLOWED);
  }

  @Test
  void anEmptyMatchIsSkippedAndSoIsNoMatch() {
    assertThat(
            verdict(call(FRONT), policy("p", Scope.NAMED, Action.DENY, false, Match.EMPTY))
                .allowed())
        .isTrue();
    assertThat(
            verdict(
                    call(FRONT),
                    policy("p", Scope.NAMED, Action.DENY, false, Match.EMPTY, account("front")))
                .allowed())
        .isFalse();
  }

  @Test
  void strictIsADenialOfWhoHasNoIdentity() {
    Authorization strict =
        policy(
            "p_mtls",
            Scope.NAMED,
            Action.DENY,
            false,
            Match.principals(List.of(), List.of(new Text.Present())));
    Workload workload = TestCalls.workload("shop", List.of("shop/p_mtls"));
    Verdict verdict = verdict(call(null, 80, workload), strict);
    assertThat(verdict.reason()).isEqualTo(Verdict.Reason.MTLS_REQUIRED);
    assertThat(verdict.policy()).isEqualTo("shop/p");
    assertThat(verdict(call(FRONT, 80, workload), strict)).isEqualTo(Verdict.ALLOWED);
  }

  @Test
  void aPrincipalIsComparedWithoutItsScheme() {
    Authorization deny =
        policy(
            "p",
            Scope.NAMED,
            Action.DENY,
            false,
            Match.principals(List.of(new Text.Exact("cluster.local/ns/shop/sa/front")), List.of()));
    assertThat(verdict(call(FRONT), deny).allowed()).isFalse();
    assertThat(verdict(call("cluster.local/ns/shop/sa/front"), deny).allowed()).isFalse();
    assertThat(verdict(call(GUEST), deny).allowed()).isTrue();
  }

  @ParameterizedTest
  @CsvSource({
    "spiffe://td/ns/shop/sa/front/x",
    "spiffe://td/ns/shop",
    "spiffe://td/sa/shop/ns/front",
    "front"
  })
  void aPrincipalOfAnotherFormHasNoAccount(String principal) {
    Authorization allow = policy("p", Scope.NAMED, Action.ALLOW, false, account("front"));
    assertThat(verdict(call(principal), allow).allowed()).isFalse();
  }

  @Test
  void aPolicyThatIsNamedAndHasNotComeClosesTheWorkload() {
    Verdict verdict = verdict(call(FRONT));
    assertThat(verdict.reason()).isEqualTo(Verdict.Reason.POLICY_UNKNOWN);
    assertThat(verdict.detail()).contains("shop/p");
    assertThat(Policies.none().missing(WEB)).containsExactly("shop/p");
  }

  @Test
  void aWorkloadOfWhichNothingIsKnownIsClosed() {
    Call call =
        Call.of(
            FRONT, InetAddress.ofLiteral("10.0.0.1"), InetAddress.ofLiteral("10.0.0.2"), 80, null);
    assertThat(Policies.none().decide(call).reason()).isEqualTo(Verdict.Reason.POLICY_UNKNOWN);
  }

  @Test
  void shadowsLetPassAndSayWhatTheyWouldHaveDone() {
    Authorization deny = policy("p", Scope.NAMED, Action.DENY, true, account("guest"));
    Verdict verdict = verdict(call(GUEST), deny);
    assertThat(verdict.allowed()).isTrue();
    assertThat(verdict.wouldDeny()).containsExactly("shop/p");
    assertThat(verdict(call(FRONT), deny)).isEqualTo(Verdict.ALLOWED);

    Authorization allow = policy("p", Scope.NAMED, Action.ALLOW, true, account("front"));
    assertThat(verdict(call(GUEST), allow).wouldDeny()).containsExactly("shop/p");
    assertThat(verdict(call(FRONT), allow)).isEqualTo(Verdict.ALLOWED);
  }

  @Test
  void whereAShadowCountsOrAnAddressDecidesTheKernelDoesNotRemember() {
    Authorization shadow = policy("p", Scope.NAMED, Action.DENY, true, account("guest"));
    assertThat(Policies.of(List.of(shadow)).holdsForIdentity(call(GUEST))).isFalse();
    assertThat(Policies.of(List.of(shadow)).holdsForIdentity(call(FRONT))).isTrue();
    Authorization byAddress =
        policy(
            "p",
            Scope.NAMED,
            Action.DENY,
            false,
            Match.sources(List.of(Cidr.parse("10.9.0.0/16")), List.of()));
    assertThat(Policies.of(List.of(byAddress)).decide(call(FRONT)).allowed()).isTrue();
    assertThat(Policies.of(List.of(byAddress)).holdsForIdentity(call(FRONT))).isFalse();
  }

  @Test
  void whatDoesNotChangeIsTheSameSet() {
    Policies before =
        Policies.of(List.of(policy("p", Scope.NAMED, Action.DENY, false, account("guest"))));
    Policies.Change change = before.change();
    change.put(policy("p", Scope.NAMED, Action.DENY, false, account("guest")));
    change.remove("shop/other");
    assertThat(change.done()).isSameAs(before);
  }

  /** Measured, not timed: so that nobody puts a stream or a lambda on the way of every accept. */
  @Test
  void anAllowedCallAllocatesNothing() {
    List<Authorization> policies = new ArrayList<>();
    for (int i = 0; i < 1_000; i++) {
      policies.add(policy("other" + i, Scope.NAMED, Action.DENY, false, account("guest")));
    }
    policies.add(
        policy(
            "p",
            Scope.NAMED,
            Action.ALLOW,
            false,
            Match.sources(List.of(Cidr.parse("10.0.0.0/8"), Cidr.parse("fd00::/8")), List.of())));
    policies.add(policy("n_namespace", Scope.NAMESPACE, Action.DENY, false, account("guest")));
    Policies compiled = Policies.of(policies);
    Authz authz = new Authz();
    Call call = call(FRONT);
    int allowed = 0;
    for (int i = 0; i < 20_000; i++) {
      allowed += authz.decide(compiled, call).allowed() ? 1 : 0;
    }
    var threads = (com.sun.management.ThreadMXBean) ManagementFactory.getThreadMXBean();
    long before = threads.getCurrentThreadAllocatedBytes();
    for (int i = 0; i < 10_000; i++) {
      allowed += authz.decide(compiled, call).allowed() ? 1 : 0;
    }
    long bytes = threads.getCurrentThreadAllocatedBytes() - before;
    assertThat(allowed).isEqualTo(30_000);
    assertThat(bytes).as("bytes in 10,000 decisions").isLessThan(10_000);
  }

  @Test
  void decisionsAreCountedByPolicyWithABound() {
    Authz authz = new Authz();
    Policies policies =
        Policies.of(
            List.of(
                policy("p", Scope.NAMED, Action.DENY, false, account("guest")),
                policy("s_namespace", Scope.NAMESPACE, Action.DENY, true, account("front"))));
    authz.decide(policies, call(GUEST));
    authz.decide(policies, call(GUEST));
    authz.decide(policies, call(FRONT));
    assertThat(authz.counts())
        .containsExactly(
            new Authz.Count("shop/p", "denied", 2), new Authz.Count("shop/s", "would-deny", 1));
    Exposition out = new Exposition();
    authz.write(out);
    assertThat(out.toString())
        .contains("weir_policy_denied_total{policy=\"shop/p\",reason=\"denied\"} 2")
        .contains("weir_policy_would_deny_total{policy=\"shop/s\"} 1");
    for (int i = 0; i < 2 * Authz.MAX_POLICIES; i++) {
      authz.ended(new Verdict(Verdict.Reason.DENIED, "shop/many" + i, List.of()));
    }
    assertThat(authz.counts()).hasSizeLessThanOrEqualTo(Authz.MAX_POLICIES + 1);
    assertThat(authz.counts())
        .anyMatch(each -> each.policy().equals("overflow") && each.count() > 0);
  }
}
