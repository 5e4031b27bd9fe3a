package dev.weir.control.mesh;

import static org.assertj.core.api.Assertions.assertThat;

import dev.weir.api.kube.Manifest;
import dev.weir.api.kube.Manifests;
import dev.weir.api.model.AppProtocol;
import dev.weir.api.model.Balancing;
import dev.weir.api.model.Endpoint;
import dev.weir.api.model.IpFamilies;
import dev.weir.api.model.Locality;
import dev.weir.api.model.MeshModel;
import dev.weir.api.model.Service;
import dev.weir.api.model.ServicePort;
import dev.weir.api.model.Workload;
import dev.weir.api.model.WorkloadKind;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import org.junit.jupiter.api.Test;

final class MeshCompilerTest {
  private static final String BASE =
      """
      apiVersion: v1
      kind: Namespace
      metadata: {name: shop, labels: {weir.dev/mesh: enabled}}
      ---
      apiVersion: v1
      kind: Node
      metadata: {name: node-1, labels: {topology.kubernetes.io/zone: a, topology.kubernetes.io/region: r}}
      ---
      apiVersion: v1
      kind: Pod
      metadata:
        name: front-5d4-x
        namespace: shop
        uid: u1
        labels: {app: front, version: v2, pod-template-hash: 5d4}
        ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: front-5d4, controller: true}]
      spec: {nodeName: node-1, serviceAccountName: front, containers: [{name: c, ports: [{name: web, containerPort: 8080}]}]}
      status: {phase: Running, podIPs: [{ip: 10.244.1.2}, {ip: "fd00:244:1::2"}], conditions: [{type: Ready, status: "True"}]}
      ---
      apiVersion: v1
      kind: Service
      metadata: {name: front, namespace: shop}
      spec:
        clusterIPs: [10.96.0.5, "fd00:96::5"]
        ports:
        - {name: http, port: 80, targetPort: web}
        - {name: admin, port: 81, targetPort: 9090, appProtocol: kubernetes.io/h2c}
        - {name: dns, port: 53, protocol: UDP}
      ---
      """;

  private static final String SLICE =
      """
      apiVersion: discovery.k8s.io/v1
      kind: EndpointSlice
      metadata: {name: front-v4, namespace: shop, labels: {kubernetes.io/service-name: front}}
      addressType: IPv4
      endpoints:
      - addresses: [10.244.1.2]
        conditions: {ready: true}
        targetRef: {kind: Pod, name: front-5d4-x, namespace: shop, uid: u1}
      ports:
      - {name: http, port: 8080}
      - {name: admin, port: 9090}
      - {name: dns, port: 53, protocol: UDP}
      """;

  @Test
  void a_pod_becomes_a_workload_with_its_owner_place_identity_and_services() {
    Workload front = workload(compile(BASE + SLICE), "front-5d4-x");
    assertThat(front.ownerName()).isEqualTo("front");
    assertThat(front.kind()).isEqualTo(WorkloadKind.DEPLOYMENT);
    assertThat(front.canonicalName()).isEqualTo("front");
    assertThat(front.canonicalRevision()).isEqualTo("v2");
    assertThat(front.locality()).isEqualTo(new Locality("r", "a", ""));
    assertThat(front.identity()).isEqualTo("spiffe://cluster.local/ns/shop/sa/front");
    assertThat(front.healthy()).isTrue();
    assertThat(front.settings().enrolled()).isTrue();
    assertThat(front.targetPort("shop/front.shop.svc.cluster.local", 80)).isEqualTo(8080);
    assertThat(front.targetPort("shop/front.shop.svc.cluster.local", 81)).isEqualTo(9090);
    assertThat(front.targetPort("shop/front.shop.svc.cluster.local", 53)).isZero();
  }

  @Test
  void a_service_keeps_its_tcp_ports_and_both_families() {
    Service front = service(compile(BASE + SLICE), "front");
    assertThat(front.hostname()).isEqualTo("front.shop.svc.cluster.local");
    assertThat(front.families()).isEqualTo(IpFamilies.DUAL);
    assertThat(front.ports())
        .containsExactly(
            new ServicePort("http", 80, 0, AppProtocol.HTTP1),
            new ServicePort("admin", 81, 9090, AppProtocol.HTTP2));
  }

  @Test
  void the_cluster_domain_is_part_of_every_name() {
    MeshModel model =
        new MeshCompiler("corp.example", "mesh.example")
            .compile(MeshModel.EMPTY, objects(BASE + SLICE));
    assertThat(model.services()).containsOnlyKeys("shop/front.shop.svc.corp.example");
  }

  @Test
  void an_endpoint_that_is_not_ready_gets_nothing() {
    assertThat(endpoints(compile(BASE + SLICE.replace("ready: true", "ready: false")))).isZero();
    assertThat(endpoints(compile((BASE + SLICE).replace("status: \"True\"", "status: \"False\""))))
        .isZero();
    assertThat(endpoints(compile(BASE + SLICE))).isEqualTo(2);
  }

  @Test
  void a_service_that_publishes_pods_that_are_not_ready_uses_them() {
    String text =
        (BASE + SLICE)
            .replace("status: \"True\"", "status: \"False\"")
            .replace(
                "  ports:\n  - {name: http",
                "  publishNotReadyAddresses: true\n  ports:\n  - {name: http");
    assertThat(endpoints(compile(text))).isEqualTo(2);
  }

  @Test
  void endpoints_that_terminate_serve_only_while_no_other_is_ready() {
    String terminating =
        SLICE.replace("ready: true", "ready: false, serving: true, terminating: true");
    assertThat(endpoints(compile(BASE + terminating))).isEqualTo(2);

    String other =
        """
        ---
        apiVersion: v1
        kind: Pod
        metadata: {name: front-b, namespace: shop, uid: u2}
        spec: {nodeName: node-1, containers: [{name: c}]}
        status: {phase: Running, podIPs: [{ip: 10.244.1.3}], conditions: [{type: Ready, status: "True"}]}
        ---
        """;
    String slice =
        SLICE
            .replace("front-v4", "front-b")
            .replace("10.244.1.2", "10.244.1.3")
            .replace("front-5d4-x", "front-b")
            .replace("u1", "u2");
    MeshModel model = compile(BASE + terminating + other + slice);
    assertThat(workload(model, "front-5d4-x").services()).isEmpty();
    assertThat(workload(model, "front-b").services()).hasSize(1);
  }

  @Test
  void a_slice_that_lags_behind_its_pod_is_not_believed() {
    assertThat(endpoints(compile(BASE + SLICE.replace("uid: u1", "uid: u0"))))
        .as("another pod of the same name")
        .isZero();
    assertThat(endpoints(compile(BASE + SLICE.replace("[10.244.1.2]", "[10.244.1.7]"))))
        .as("an address that the pod does not have")
        .isZero();
    assertThat(endpoints(compile(BASE + SLICE.replace("front-5d4-x", "gone"))))
        .as("a pod that is gone")
        .isZero();
  }

  @Test
  void a_pod_that_has_ended_is_no_workload() {
    assertThat(compile((BASE + SLICE).replace("Running", "Succeeded")).workloads()).isEmpty();
    assertThat(compile((BASE + SLICE).replace("Running", "Failed")).workloads()).isEmpty();
  }

  @Test
  void endpoints_listed_by_hand_become_workloads_that_are_not_enrolled() {
    String byHand =
        SLICE
            .replace("  targetRef: {kind: Pod, name: front-5d4-x, namespace: shop, uid: u1}\n", "")
            .replace("10.244.1.2", "192.0.2.7");
    MeshModel model = compile(BASE + byHand);
    Workload listed =
        Objects.requireNonNull(
            model
                .workloads()
                .get("Kubernetes/discovery.k8s.io/EndpointSlice/shop/front-v4/192.0.2.7"));
    assertThat(listed.settings().enrolled()).isFalse();
    assertThat(endpoints(model)).isEqualTo(1);
  }

  @Test
  void headless_external_local_and_zonal_services_say_so() {
    MeshModel model =
        compile(
            """
            apiVersion: v1
            kind: Service
            metadata: {name: db, namespace: shop}
            spec: {clusterIP: None, ports: [{port: 5432}]}
            ---
            apiVersion: v1
            kind: Service
            metadata: {name: out, namespace: shop}
            spec: {type: ExternalName, externalName: example.com}
            ---
            apiVersion: v1
            kind: Service
            metadata: {name: near, namespace: shop}
            spec: {internalTrafficPolicy: Local, ports: [{port: 80}]}
            ---
            apiVersion: v1
            kind: Service
            metadata: {name: zonal, namespace: shop}
            spec: {trafficDistribution: PreferSameZone, ports: [{port: 80}]}
            ---
            apiVersion: v1
            kind: Service
            metadata: {name: sticky, namespace: shop}
            spec: {sessionAffinity: ClientIP, ports: [{port: 80}]}
            """);
    assertThat(service(model, "db").headless()).isTrue();
    assertThat(service(model, "out").externalName()).isEqualTo("example.com");
    assertThat(service(model, "near").balancing())
        .isEqualTo(new Balancing(List.of(Balancing.Scope.NODE), Balancing.Mode.STRICT, false));
    assertThat(service(model, "zonal").balancing().mode()).isEqualTo(Balancing.Mode.FAILOVER);
    assertThat(service(model, "zonal").balancing().byClient()).isFalse();
    assertThat(service(model, "sticky").balancing().byClient()).isTrue();
  }

  @Test
  void a_pod_with_a_name_of_its_own_in_dns_says_it() {
    MeshModel model =
        compile(
            BASE.replace(
                    "spec: {nodeName: node-1",
                    "spec: {hostname: db-0, subdomain: db, nodeName: node-1")
                + SLICE);
    assertThat(workload(model, "front-5d4-x").hostname())
        .isEqualTo("db-0.db.shop.svc.cluster.local");
  }

  @Test
  void what_has_not_changed_is_the_same_record() {
    MeshCompiler compiler = new MeshCompiler("cluster.local", Workload.DEFAULT_TRUST_DOMAIN);
    MeshModel first = compiler.compile(MeshModel.EMPTY, objects(BASE + SLICE));
    MeshModel second =
        compiler.compile(first, objects((BASE + SLICE).replace("port: 81", "port: 82")));
    assertThat(second.generation()).isEqualTo(2);
    assertThat(service(second, "front")).isNotEqualTo(service(first, "front"));
    MeshModel third =
        compiler.compile(second, objects((BASE + SLICE).replace("port: 81", "port: 82")));
    assertThat(service(third, "front")).isSameAs(service(second, "front"));
    assertThat(workload(third, "front-5d4-x")).isSameAs(workload(second, "front-5d4-x"));
  }

  @Test
  void cron_jobs_and_jobs_are_told_apart() {
    String owned = BASE.replace("kind: ReplicaSet, name: front-5d4", "kind: Job, name: %s");
    Workload cron = workload(compile(owned.formatted("nightly-29384756")), "front-5d4-x");
    assertThat(cron.kind()).isEqualTo(WorkloadKind.CRONJOB);
    assertThat(cron.ownerName()).isEqualTo("nightly");
    assertThat(workload(compile(owned.formatted("once")), "front-5d4-x").kind())
        .isEqualTo(WorkloadKind.JOB);
  }

  private static MeshModel compile(String text) {
    return new MeshCompiler("cluster.local", Workload.DEFAULT_TRUST_DOMAIN)
        .compile(MeshModel.EMPTY, objects(text));
  }

  private static List<dev.weir.api.kube.KubeObject> objects(String text) {
    return Manifests.read("test.yaml", text).orThrow().stream().map(Manifest::object).toList();
  }

  private static Workload workload(MeshModel model, String pod) {
    return Objects.requireNonNull(
        model.workloads().get(Workload.podUid("Kubernetes", "shop", pod)), pod);
  }

  private static Service service(MeshModel model, String name) {
    return Objects.requireNonNull(
        model.services().get("shop/" + name + ".shop.svc.cluster.local"), name);
  }

  /** How many addresses answer for front's port 80. */
  private static int endpoints(MeshModel model) {
    Service front = service(model, "front");
    List<Endpoint> endpoints = new ArrayList<>();
    for (Workload workload : model.workloads().values()) {
      endpoints.addAll(Endpoint.of(front, front.ports().getFirst(), workload));
    }
    return endpoints.size();
  }
}
