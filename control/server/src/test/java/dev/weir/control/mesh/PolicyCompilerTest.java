package dev.weir.control.mesh;

import static org.assertj.core.api.Assertions.assertThat;

import dev.weir.api.kube.KubeObject;
import dev.weir.api.kube.Manifest;
import dev.weir.api.kube.Manifests;
import dev.weir.api.model.Authorization;
import dev.weir.api.model.Authorization.Account;
import dev.weir.api.model.Authorization.Clause;
import dev.weir.api.model.Authorization.Match;
import dev.weir.api.model.Authorization.Rule;
import dev.weir.api.model.Authorization.Text;
import dev.weir.api.model.Cidr;
import dev.weir.api.model.MeshModel;
import dev.weir.api.model.Workload;
import java.util.List;
import org.junit.jupiter.api.Test;

final class PolicyCompilerTest {
  private static final String MESH =
      """
      apiVersion: v1
      kind: Pod
      metadata: {name: orders-1, namespace: shop, labels: {app: orders, tier: back}}
      spec: {nodeName: n, containers: [{name: c}]}
      status: {phase: Running, podIPs: [{ip: 10.244.1.2}]}
      ---
      apiVersion: v1
      kind: Pod
      metadata: {name: front-1, namespace: shop, labels: {app: front}}
      spec: {nodeName: n, containers: [{name: c}]}
      status: {phase: Running, podIPs: [{ip: 10.244.1.3}]}
      ---
      apiVersion: v1
      kind: Pod
      metadata: {name: bank-1, namespace: pay, labels: {app: orders}}
      spec: {nodeName: n, containers: [{name: c}]}
      status: {phase: Running, podIPs: [{ip: 10.244.1.4}]}
      ---
      apiVersion: v1
      kind: Service
      metadata: {name: orders, namespace: shop}
      spec: {clusterIP: 10.96.0.5, selector: {app: orders}, ports: [{port: 80}]}
      """;

  private static String policy(String name, String namespace, String spec) {
    return """
    ---
    apiVersion: weir.dev/v1alpha1
    kind: AccessPolicy
    metadata: {name: %s, namespace: %s}
    spec: %s
    """
        .formatted(name, namespace, spec);
  }

  private static MeshModel compile(String... policies) {
    return compileIn(Workload.DEFAULT_TRUST_DOMAIN, policies);
  }

  private static MeshModel compileIn(String trustDomain, String... policies) {
    List<KubeObject> objects =
        Manifests.read("mesh.yaml", MESH + String.join("", policies)).orThrow().stream()
            .map(Manifest::object)
            .toList();
    return new MeshCompiler("cluster.local", trustDomain).compile(MeshModel.EMPTY, objects);
  }

  private static List<String> named(MeshModel model, String namespace, String pod) {
    Workload workload =
        model.workloads().get(Workload.podUid(Workload.DEFAULT_CLUSTER, namespace, pod));
    return workload == null ? List.of("no such pod") : workload.authorizationPolicies();
  }

  private static Authorization made(MeshModel model, String key) {
    Authorization made = model.authorizations().get(key);
    if (made == null) {
      throw new AssertionError(key + " is not among " + model.authorizations().keySet());
    }
    return made;
  }

  @Test
  void a_services_policy_is_named_by_the_pods_that_its_selector_picks_ready_or_not() {
    MeshModel model =
        compile(policy("p", "shop", "{action: deny, targetRefs: [{kind: Service, name: orders}]}"));
    assertThat(named(model, "shop", "orders-1")).containsExactly("shop/p");
    assertThat(named(model, "shop", "front-1")).isEmpty();
    assertThat(named(model, "pay", "bank-1")).as("the same label elsewhere").isEmpty();
    assertThat(made(model, "shop/p").scope()).isEqualTo(Authorization.Scope.NAMED);
  }

  @Test
  void accounts_are_of_the_trust_domain_and_cluster_local_stands_for_it() {
    MeshModel model =
        compileIn(
            "mesh.example",
            policy("p", "shop", "{from: [{serviceAccounts: ['shop/fr*']}]}"),
            policy(
                "q",
                "shop",
                "{from: [{principals: ['spiffe://cluster.local/ns/shop/sa/front', 'spiffe://cluster.local/ns/pay/*', 'spiffe://other.example/ns/a/sa/b']}]}"));
    assertThat(model.workloads().values())
        .extracting(Workload::identity)
        .contains("spiffe://mesh.example/ns/shop/sa/default");
    assertThat(made(model, "shop/p_namespace").rules())
        .containsExactly(
            new Rule(
                List.of(
                    new Clause(
                        List.of(
                            Match.principals(
                                List.of(new Text.Prefix("mesh.example/ns/shop/sa/fr")),
                                List.of()))))));
    assertThat(made(model, "shop/q_namespace").rules())
        .containsExactly(
            new Rule(
                List.of(
                    new Clause(
                        List.of(
                            Match.principals(
                                List.of(
                                    new Text.Exact("mesh.example/ns/shop/sa/front"),
                                    new Text.Prefix("mesh.example/ns/pay/"),
                                    new Text.Exact("other.example/ns/a/sa/b")),
                                List.of()))))));
  }

  @Test
  void a_selectors_policy_is_named_by_the_pods_with_the_labels() {
    MeshModel model =
        compile(
            policy(
                "p",
                "shop",
                "{action: deny, targetRefs: [{kind: Pod, selector: {matchLabels: {tier: back}}}]}"));
    assertThat(named(model, "shop", "orders-1")).containsExactly("shop/p");
    assertThat(named(model, "shop", "front-1")).isEmpty();
  }

  @Test
  void without_target_it_is_of_its_namespace_or_of_the_mesh_and_named_by_nobody() {
    MeshModel model =
        compile(
            policy("p", "shop", "{action: deny}"), policy("p", "weir-system", "{action: deny}"));
    assertThat(made(model, "shop/p_namespace").scope()).isEqualTo(Authorization.Scope.NAMESPACE);
    assertThat(made(model, "weir-system/p_mesh").scope()).isEqualTo(Authorization.Scope.MESH);
    assertThat(named(model, "shop", "orders-1")).isEmpty();
  }

  @Test
  void what_names_nobody_matches_anybody() {
    assertThat(made(compile(policy("p", "shop", "{action: deny}")), "shop/p_namespace").rules())
        .containsExactly(
            new Rule(List.of(new Clause(List.of(Match.ports(List.of(), List.of(0)))))));
  }

  @Test
  void callers_become_rules_and_what_is_said_of_one_becomes_its_clauses() {
    Authorization made =
        made(
            compile(
                policy(
                    "p",
                    "shop",
                    """
                    {mode: shadow, from: [{serviceAccounts: [shop/front, 'shop/*', '*/cart', 'shop/fr*', 'sh*', '*'], notServiceAccounts: [shop/guest, 'pay/*'], ipBlocks: [10.0.0.0/8]}, {namespaces: ['*-test'], notPrincipals: ['spiffe://cluster.local/ns/shop/*']}], to: [{ports: [80]}, {notPorts: [22]}]}\
                    """)),
            "shop/p_namespace");
    Clause to =
        new Clause(
            List.of(Match.ports(List.of(80), List.of()), Match.ports(List.of(), List.of(22))));
    assertThat(made.action()).isEqualTo(Authorization.Action.ALLOW);
    assertThat(made.dryRun()).isTrue();
    assertThat(made.rules())
        .containsExactly(
            new Rule(
                List.of(
                    new Clause(
                        List.of(
                            Match.accounts(List.of(new Account("shop", "front")), List.of()),
                            Match.namespaces(
                                List.of(new Text.Exact("shop"), new Text.Prefix("sh")), List.of()),
                            Match.principals(
                                List.of(
                                    new Text.Suffix("/sa/cart"),
                                    new Text.Prefix("cluster.local/ns/shop/sa/fr"),
                                    new Text.Present()),
                                List.of()))),
                    new Clause(
                        List.of(
                            Match.identity(
                                List.of(),
                                List.of(new Text.Exact("pay")),
                                List.of(),
                                List.of(),
                                List.of(),
                                List.of(new Account("shop", "guest"))))),
                    new Clause(
                        List.of(Match.sources(List.of(Cidr.parse("10.0.0.0/8")), List.of()))),
                    to)),
            new Rule(
                List.of(
                    new Clause(
                        List.of(Match.namespaces(List.of(new Text.Suffix("-test")), List.of()))),
                    new Clause(
                        List.of(
                            Match.principals(
                                List.of(), List.of(new Text.Prefix("cluster.local/ns/shop/"))))),
                    to)));
  }

  @Test
  void strict_is_a_denial_of_the_anonymous_named_by_each_pod_that_it_reaches() {
    MeshModel model = compile(policy("lock", "shop", "{mtls: strict}"));
    Authorization made = made(model, "shop/lock_mtls");
    assertThat(made.requiresIdentity()).isTrue();
    assertThat(made.policy()).isEqualTo("shop/lock");
    assertThat(model.authorizations()).as("it neither allows nor denies").hasSize(1);
    assertThat(named(model, "shop", "orders-1")).containsExactly("shop/lock_mtls");
    assertThat(named(model, "pay", "bank-1")).isEmpty();
  }

  @Test
  void the_narrowest_mode_wins_and_of_one_reach_strict() {
    String mesh = policy("m", "weir-system", "{mtls: strict}");
    String open = policy("open", "shop", "{mtls: permissive}");
    assertThat(named(compile(mesh), "pay", "bank-1")).containsExactly("weir-system/m_mtls");
    assertThat(named(compile(mesh, open), "shop", "orders-1")).isEmpty();
    assertThat(named(compile(mesh, open), "pay", "bank-1")).containsExactly("weir-system/m_mtls");
    String pods =
        policy("pods", "shop", "{mtls: strict, targetRefs: [{kind: Service, name: orders}]}");
    assertThat(named(compile(mesh, open, pods), "shop", "orders-1"))
        .containsExactly("shop/pods_mtls");
    assertThat(named(compile(mesh, open, pods), "shop", "front-1")).isEmpty();
    String also =
        policy(
            "also",
            "shop",
            "{mtls: permissive, targetRefs: [{kind: Pod, selector: {matchLabels: {app: orders}}}]}");
    assertThat(named(compile(pods, also), "shop", "orders-1")).containsExactly("shop/pods_mtls");
    String locks = policy("locks", "shop", "{mtls: strict}");
    assertThat(named(compile(locks, also), "shop", "orders-1")).isEmpty();
    assertThat(named(compile(locks, open), "shop", "front-1"))
        .as("two of one reach disagree")
        .containsExactly("shop/locks_mtls");
  }

  @Test
  void a_strict_mode_in_shadow_is_only_counted_and_does_not_cover_one_in_force() {
    String shadow = policy("shadow", "shop", "{mtls: strict, mode: shadow}");
    MeshModel model = compile(shadow);
    assertThat(named(model, "shop", "front-1")).containsExactly("shop/shadow_mtls");
    assertThat(made(model, "shop/shadow_mtls").dryRun()).isTrue();
    String mesh = policy("m", "weir-system", "{mtls: strict}");
    assertThat(named(compile(shadow, mesh), "shop", "front-1"))
        .containsExactly("weir-system/m_mtls");
    String openShadow = policy("open", "shop", "{mtls: permissive, mode: shadow}");
    assertThat(named(compile(openShadow, mesh), "shop", "front-1"))
        .as("a permissive shadow opens nothing")
        .containsExactly("weir-system/m_mtls");
  }

  @Test
  void what_has_not_changed_is_the_same_record() {
    String text = MESH + policy("p", "shop", "{action: deny}");
    List<KubeObject> objects =
        Manifests.read("mesh.yaml", text).orThrow().stream().map(Manifest::object).toList();
    MeshCompiler compiler = new MeshCompiler("cluster.local", Workload.DEFAULT_TRUST_DOMAIN);
    MeshModel first = compiler.compile(MeshModel.EMPTY, objects);
    MeshModel second = compiler.compile(first, objects);
    assertThat(second.sameAs(first)).isTrue();
    assertThat(made(second, "shop/p_namespace")).isSameAs(made(first, "shop/p_namespace"));
  }
}
