package dev.weir.api.kube;

import static org.assertj.core.api.Assertions.assertThat;

import dev.weir.api.model.Cidr;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

final class AccessPolicyTest {
  private static final String HEAD =
      """
      apiVersion: weir.dev/v1alpha1
      kind: AccessPolicy
      metadata: {name: orders-callers, namespace: shop}
      """;

  private static final String FULL =
      HEAD
          + """
          spec:
            targetRefs:
            - {kind: Service, name: orders}
            - {kind: Pod, selector: {matchLabels: {app: orders}}}
            action: deny
            mode: shadow
            mtls: strict
            from:
            - serviceAccounts: [shop/front, "shop/*", "*/front", "*front", "sh*", "shop/fr*", "*"]
              namespaces: [shop, "sh*", "*-test"]
              principals: ["spiffe://cluster.local/ns/shop/sa/front", "spiffe://cluster.local/*", "*/sa/front"]
              ipBlocks: [10.0.0.0/8, "fd00::/8", 192.168.0.1]
              notServiceAccounts: [shop/guest]
              notNamespaces: [guests]
              notPrincipals: ["spiffe://cluster.local/ns/shop/sa/guest"]
              notIpBlocks: [10.9.0.0/16]
            - namespaces: [pay]
            to:
            - ports: [8080, 9090]
            - notPorts: [22]
          """;

  private static AccessPolicy read(String text) {
    return (AccessPolicy) Manifests.read("p.yaml", text).orThrow().getFirst().object();
  }

  private static String problem(String spec) {
    return String.valueOf(Manifests.read("p.yaml", HEAD + spec).problems().getFirst());
  }

  @Test
  void everything_that_it_can_say_is_read() {
    AccessPolicy policy = read(FULL);
    assertThat(policy.key()).isEqualTo("AccessPolicy shop/orders-callers");
    assertThat(policy.targets())
        .containsExactly(
            new AccessPolicy.Target.OfService("orders"),
            new AccessPolicy.Target.OfPods(new LabelSelector(Map.of("app", "orders"), List.of())));
    assertThat(policy.decides()).isTrue();
    assertThat(policy.action()).isEqualTo(AccessPolicy.Action.DENY);
    assertThat(policy.shadow()).isTrue();
    assertThat(policy.mtls()).isEqualTo(AccessPolicy.Mtls.STRICT);
    assertThat(policy.from()).hasSize(2);
    assertThat(policy.from().getFirst().ipBlocks())
        .containsExactly(
            Cidr.parse("10.0.0.0/8"), Cidr.parse("fd00::/8"), Cidr.parse("192.168.0.1/32"));
    assertThat(policy.to())
        .containsExactly(
            new AccessPolicy.To(List.of(8080, 9090), List.of()),
            new AccessPolicy.To(List.of(), List.of(22)));
  }

  @Test
  void it_is_written_as_it_was_read() {
    for (String text :
        List.of(FULL, HEAD + "spec: {mtls: permissive}", HEAD + "spec: {action: allow}")) {
      AccessPolicy policy = read(text);
      assertThat(read(ManifestWriter.yaml(List.of(policy)))).isEqualTo(policy);
    }
  }

  @Test
  void mtls_may_stand_alone_and_then_nothing_is_allowed_or_denied() {
    assertThat(read(HEAD + "spec: {mtls: strict}").decides()).isFalse();
    assertThat(read(HEAD + "spec: {from: [{namespaces: [shop]}]}").decides()).isTrue();
    assertThat(read(HEAD + "spec: {from: [{namespaces: [shop]}]}").action())
        .isEqualTo(AccessPolicy.Action.ALLOW);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      value = {
        "spec: {}|spec says nothing",
        "spec: {mode: shadow}|spec says nothing",
        "spec: {from: []}|spec.from is empty; leave it out if you mean anyone",
        "spec: {from: }|spec.from is empty; leave it out if you mean anyone",
        "spec: {from: [{}]}|spec.from[0] names nobody",
        "spec: {from: [{namespaces: []}]}|spec.from[0].namespaces is empty",
        "spec: {to: [{}]}|spec.to[0] names nothing",
        "spec: {targetRefs: [], action: deny}|spec.targetRefs is empty",
        "spec: {form: [{namespaces: [shop]}]}|unknown field 'spec.form'; did you mean 'from'?",
        "spec: {from: [{serviceAccount: [a/b]}]}|did you mean 'serviceAccounts'?",
        "spec: {from: [{serviceAccounts: [front]}]}|spec.from[0].serviceAccounts[0] is 'front' (expected: a service account such as",
        "spec: {from: [{serviceAccounts: [a/b, 'a*b/c']}]}|spec.from[0].serviceAccounts[1] is 'a*b/c' with a * in the middle",
        "spec: {from: [{serviceAccounts: ['*front*']}]}|with more than one *",
        "spec: {from: [{namespaces: [Shop]}]}|spec.from[0].namespaces[0] is 'Shop' (expected: a namespace",
        "spec: {from: [{principals: [front]}]}|(expected: a principal such as spiffe://",
        "spec: {from: [{principals: ['spiffe://td/ns/shop/sa']}]}|(expected: a principal such as spiffe://",
        "spec: {from: [{principals: ['td/ns/shop/*']}]}|(expected: a principal such as spiffe://",
        "spec: {from: [{ipBlocks: [10.0.0/8]}]}|spec.from[0].ipBlocks[0] '10.0.0/8' is not an address block",
        "spec: {from: [{ipBlocks: [10.0.0.0/33]}]}|'10.0.0.0/33' has no prefix from /0 to /32",
        "spec: {to: [{ports: [0]}]}|spec.to[0].ports[0] must be a whole number from 1 to 65535",
        "spec: {to: [{ports: [http]}]}|spec.to[0].ports[0] must be a whole number",
        "spec: {to: [{ports: [80, 80]}]}|spec.to[0].ports has 80 twice",
        "spec: {action: refuse}|spec.action is 'refuse' (expected: allow, deny)",
        "spec: {mtls: on}|spec.mtls",
        "spec: {action: deny, targetRefs: [{kind: Deployment, name: x}]}|spec.targetRefs[0].kind is 'Deployment' (expected: Service, Pod, HTTPRoute)",
        "spec: {action: deny, targetRefs: [{kind: Pod, name: x}]}|use selector",
        "spec: {action: deny, targetRefs: [{kind: Pod, selector: {}}]}|for the whole namespace leave targetRefs out",
        "spec: {action: deny, targetRefs: [{kind: Service}]}|spec.targetRefs[0].name is missing"
      })
  void what_it_cannot_mean_is_refused_with_its_field(String spec, String says) {
    assertThat(problem(spec)).startsWith("p.yaml:4: ").contains(says).doesNotContain("\n");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      value = {
        "spec: {to: [{methods: [GET]}]}|spec.to[0].methods",
        "spec: {to: [{ports: [80], paths: [{exact: /}]}]}|spec.to[0].paths",
        "spec: {to: [{hosts: [a]}]}|spec.to[0].hosts",
        "spec: {to: [{headers: []}]}|spec.to[0].headers",
        "spec: {to: [{grpcMethods: }]}|spec.to[0].grpcMethods",
        "spec: {to: [{notMethods: [GET]}]}|spec.to[0].notMethods",
        "spec: {jwt: {issuer: x}}|spec.jwt",
        "spec: {external: {}}|spec.external",
        "spec: {action: deny, targetRefs: [{kind: HTTPRoute, name: r}]}|HTTPRoute"
      })
  void layer_7_is_refused_with_the_reason(String spec, String field) {
    assertThat(problem(spec))
        .startsWith(
            "p.yaml:4: " + field + " is layer 7, which this version of Weir does not enforce");
  }

  @Test
  void a_mistake_is_told_with_its_document_and_line() {
    String text =
        HEAD
            + "spec: {mtls: strict}\n---\n"
            + HEAD.replace("orders-callers", "other")
            + "spec:\n  from:\n  - ipBlocks:\n    - 10.0.0.0/8\n    - nonsense\n";
    Manifests.Result result = Manifests.read("p.yaml", text);
    assertThat(result.manifests()).as("the other document stays").hasSize(1);
    assertThat(result.problems().getFirst().toString())
        .startsWith("p.yaml:13 (document 2): spec.from[0].ipBlocks[1] 'nonsense'");
  }
}
