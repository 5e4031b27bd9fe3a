package dev.weir.api.kube;

import static org.assertj.core.api.Assertions.assertThat;

import dev.weir.api.model.ApplicationTunnel;
import dev.weir.api.model.FastPath;
import dev.weir.api.model.OnAgentLoss;
import dev.weir.api.model.PodSettings;
import dev.weir.api.model.PortRange;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

final class ManifestsTest {
  private static final String SHOP =
      """
      # an ordinary manifest
      apiVersion: v1
      kind: Namespace
      metadata:
        name: shop
        annotations: {weir.dev/mesh: enabled}
      ---
      apiVersion: apps/v1
      kind: Deployment
      metadata:
        name: front
        namespace: shop
        labels: {app: front}
      spec:
        replicas: 2
        revisionHistoryLimit: 3
        strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 25%, maxUnavailable: 0}}
        selector:
          matchLabels: {app: front}
          matchExpressions:
          - {key: tier, operator: NotIn, values: [back]}
        template:
          metadata:
            creationTimestamp: null
            labels: {app: front, version: v1}
            annotations:
              weir.dev/fast-path: joined
              prometheus.io/scrape: "true"
          spec:
            affinity:
              nodeAffinity:
                requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: []}
            tolerations: [{key: x, operator: Exists, effect: NoSchedule}]
            serviceAccountName: front
            terminationGracePeriodSeconds: 5
            securityContext: {runAsUser: 1000, fsGroup: 2000}
            initContainers:
            - {name: proxy, image: p, command: [sleep, "1"], restartPolicy: Always, ports: [{name: side, containerPort: 9000}]}
            containers:
            - name: front
              image: "nginx:1.27"
              imagePullPolicy: IfNotPresent
              command: ["/bin/sh", "-c"]
              args:
              - |
                echo one
                exec nginx -g 'daemon off;'
              workingDir: /srv
              env:
              - {name: A, value: "1"}
              - name: IP
                valueFrom: {fieldRef: {apiVersion: v1, fieldPath: status.podIP}}
              - name: KEY
                valueFrom: {secretKeyRef: {name: keys, key: k, optional: true}}
              - name: CPU
                valueFrom: {resourceFieldRef: {resource: limits.cpu, divisor: "1"}}
              - {name: EMPTY}
              envFrom:
              - {prefix: P_, configMapRef: {name: settings}}
              ports:
              - {name: http, containerPort: 8080}
              - {containerPort: 53, protocol: UDP}
              resources: {limits: {cpu: 100m, memory: 64Mi}}
              readinessProbe:
                httpGet: {path: /ready, port: http, httpHeaders: [{name: X, value: y}]}
                periodSeconds: 2
              livenessProbe: {tcpSocket: {port: 8081}, terminationGracePeriodSeconds: 1}
              startupProbe: {exec: {command: ["true"]}}
              volumeMounts:
              - {name: config, mountPath: /etc/front, readOnly: true}
              - {name: token, mountPath: /var/run/secrets}
              securityContext: {capabilities: {drop: [ALL]}, runAsNonRoot: true}
            volumes:
            - name: config
              configMap: {name: settings, defaultMode: 0644, items: [{key: a, path: b/c, mode: 0o400}]}
            - name: token
              projected:
                defaultMode: 420
                sources:
                - serviceAccountToken: {path: token, audience: weir, expirationSeconds: 3607}
                - configMap: {name: kube-root-ca.crt, items: [{key: ca.crt, path: ca.crt}]}
                - downwardAPI: {items: [{path: ns, fieldRef: {fieldPath: metadata.namespace}}]}
            - {name: tmp, emptyDir: {medium: Memory, sizeLimit: 1Gi}}
            - {name: disk, persistentVolumeClaim: {claimName: disk}}
      ---
      apiVersion: v1
      kind: Service
      metadata: {name: front, namespace: shop, annotations: {weir.dev/layer7: "off"}}
      spec:
        ipFamilyPolicy: PreferDualStack
        ipFamilies: [IPv4, IPv6]
        clusterIP: 10.96.0.17
        clusterIPs: [10.96.0.17, "fd00:96::11"]
        sessionAffinity: ClientIP
        sessionAffinityConfig: {clientIP: {timeoutSeconds: 60}}
        internalTrafficPolicy: Cluster
        selector: {app: front}
        ports:
        - {name: http, port: 80, targetPort: http, appProtocol: http}
        - {name: admin, port: 81}
      ---
      ---
      apiVersion: discovery.k8s.io/v1
      kind: EndpointSlice
      metadata:
        name: front-1
        namespace: shop
        labels: {kubernetes.io/service-name: front}
      addressType: IPv6
      endpoints:
      - addresses: ["fd00:244:1::5"]
        conditions: {ready: false, serving: true, terminating: true}
        nodeName: node-1
        zone: a
        hints: {forZones: [{name: a}]}
        targetRef: {kind: Pod, name: front-x, namespace: shop, uid: u-1}
      - addresses: ["fd00:244:1::6"]
      ports: [{name: http, port: 8080, protocol: TCP}]
      """;

  @Test
  void what_is_read_can_be_written_and_read_again() {
    List<Manifest> first = Manifests.read("shop.yaml", SHOP).orThrow();
    String written = ManifestWriter.yaml(first.stream().map(Manifest::object).toList());
    List<Manifest> second = Manifests.read("written.yaml", written).orThrow();

    assertThat(first).hasSize(4);
    assertThat(second.stream().map(Manifest::object).toList())
        .as(written)
        .isEqualTo(first.stream().map(Manifest::object).toList());
  }

  @Test
  void a_deployment_keeps_what_a_pod_needs() {
    Deployment front = (Deployment) Manifests.read("shop.yaml", SHOP).orThrow().get(1).object();
    PodSpec spec = front.template().spec();
    Container container = spec.containers().getFirst();

    assertThat(front.replicas()).isEqualTo(2);
    assertThat(spec.probePorts()).containsExactly(8080, 8081);
    assertThat(spec.port("side")).isEqualTo(9000);
    assertThat(container.args()).containsExactly("echo one\nexec nginx -g 'daemon off;'\n");
    assertThat(container.env().get(1).value())
        .isEqualTo(new Container.EnvValue.Field("status.podIP"));
    assertThat(spec.volumes().get(3).source()).isEqualTo(new Volume.Other("persistentVolumeClaim"));
    assertThat(spec.runAsUser()).isEqualTo(1000);
  }

  @Test
  void a_list_as_kubectl_prints_it_is_taken_apart() {
    String json =
        """
        {
        \t"apiVersion": "v1",
        \t"kind": "List",
        \t"metadata": {"resourceVersion": ""},
        \t"items": [
        \t\t{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "a", "namespace": "shop"}},
        \t\t{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "b", "namespace": "shop"}}
        \t]
        }
        """;
    assertThat(Manifests.read("list.json", json).orThrow())
        .extracting(manifest -> manifest.object().key())
        .containsExactly("ServiceAccount shop/a", "ServiceAccount shop/b");
  }

  @Test
  void a_pod_as_a_cluster_prints_it_is_taken() {
    String pod =
        """
        apiVersion: v1
        kind: Pod
        metadata:
          annotations: {cni.projectcalico.org/podIP: 10.244.1.5/32}
          creationTimestamp: "2026-11-21T10:00:00Z"
          deletionTimestamp: 2026-11-21T11:00:00Z
          deletionGracePeriodSeconds: 30
          generateName: front-5d4-
          labels: {pod-template-hash: 5d4}
          managedFields: [{manager: kubelet, operation: Update}]
          name: front-5d4-x
          namespace: shop
          ownerReferences:
          - {apiVersion: apps/v1, blockOwnerDeletion: true, controller: true, kind: ReplicaSet, name: front-5d4, uid: u}
          resourceVersion: "55"
          uid: abc
        spec:
          containers: [{name: c, image: i, resources: {}, terminationMessagePath: /dev/x}]
          dnsPolicy: ClusterFirst
          enableServiceLinks: true
          nodeName: node-1
          schedulerName: default-scheduler
          serviceAccount: front
          serviceAccountName: front
        status:
          conditions:
          - {lastProbeTime: null, lastTransitionTime: "2026-11-21T10:00:00Z", status: "True", type: Ready}
          containerStatuses:
          - {containerID: x, image: i, imageID: x, lastState: {}, name: c, ready: true, restartCount: 1, started: true, state: {running: {}}}
          hostIP: 192.168.0.2
          phase: Running
          podIP: 10.244.1.5
          podIPs: [{ip: 10.244.1.5}, {ip: "fd00:244:1::5"}]
          qosClass: BestEffort
          startTime: "2026-11-21T10:00:00Z"
        """;
    Pod read = (Pod) Manifests.read("pod.yaml", pod).orThrow().getFirst().object();
    assertThat(read.ready()).isTrue();
    assertThat(read.metadata().terminating()).isTrue();
    assertThat(read.status().podIps()).hasSize(2);
    assertThat(
            Manifests.read("again.yaml", ManifestWriter.yaml(List.of(read)))
                .orThrow()
                .getFirst()
                .object())
        .isEqualTo(read);
  }

  @ParameterizedTest(name = "{0}")
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          containers: -> contianers:           | unknown field 'spec.template.spec.contianers'; did you mean 'containers'?
          replicas: 2 -> replicas: "2"         | spec.replicas must be a whole number from 0 to 2147483647, not the text '2'
          replicas: 2 -> replcas: 2            | unknown field 'spec.replcas'; did you mean 'replicas'?
          value: "1" -> value: 1               | must be a text, not the number 1; put it in quotes: "1"
          kind: Deployment -> kind: Deploymnt  | kind Deploymnt (apps/v1) is unknown to Weir; did you mean Deployment?
          kind: Deployment -> kind: Ingress    | kind Ingress (apps/v1) is unknown to Weir; remove it (taken are:
          apiVersion: apps/v1 -> apiVersion: v1 | apiVersion of a Deployment must be apps/v1, not 'v1'
          name: front -> name: Front_1         | metadata.name 'Front_1' is no DNS name
          fast-path: joined -> fast-path: fast | weir.dev/fast-path is 'fast' (expected: direct, joined, off)
          fast-path: joined -> fastpath: joined | unknown annotation weir.dev/fastpath; did you mean weir.dev/fast-path?
          mesh: enabled -> mesh: "yes"         | weir.dev/mesh is 'yes' (expected: disabled, enabled)
          port: http, -> port: htpt,           | asks port 'htpt', which is not among the container's ports
          name: token, -> name: tokn,          | has no volume 'tokn', which container 'front' mounts; did you mean 'token'?
          {app: front, version: v1} -> {app: back} | spec.selector does not match the labels
          restartPolicy: Always -> restartPolicy: Sometimes | restartPolicy is 'Sometimes' (expected: Always, Never, OnFailure)
          clusterIP: 10.96.0.17 -> clusterIP: 10.96 | must be a text, not the number 10.96
          addressType: IPv6 -> addressType: IPv4 | holds fd00:244:1:0:0:0:0:5, which is not of the slice's addressType
          labels: {app: front} -> annotations: {weir.dev/mesh: enabled} | has no effect on a Deployment; put it under spec.template.metadata.annotations
          sources: -> sources: ]            | not valid YAML
          """)
  void a_mistake_is_named_with_file_and_line(String change, String message) {
    String[] parts = change.split(" -> ", 2);
    int at = SHOP.indexOf(parts[0]);
    assertThat(at).isPositive();
    String text = SHOP.substring(0, at) + parts[1] + SHOP.substring(at + parts[0].length());

    Manifests.Result result = Manifests.read("shop.yaml", text);

    assertThat(result.problems()).hasSize(1);
    assertThat(result.problems().getFirst().toString())
        .startsWith("shop.yaml:")
        .contains(message)
        .doesNotContain("\n");
  }

  @Test
  void the_line_of_a_mistake_is_the_line_of_the_mistake() {
    Manifests.Result result =
        Manifests.read("shop.yaml", SHOP.replace("contai" + "ners:\n", "contianers:\n"));
    long line = SHOP.substring(0, SHOP.indexOf("      containers:\n")).lines().count() + 1;
    assertThat(result.problems().getFirst().where().line()).isEqualTo((int) line);
    assertThat(result.problems().getFirst().where().document()).isEqualTo(2);
    assertThat(result.manifests()).as("the other documents stay").hasSize(3);
  }

  @ParameterizedTest
  @CsvSource({
    "gateway.networking.k8s.io/v1,HTTPRoute",
    "gateway.networking.k8s.io/v1,GRPCRoute",
    "weir.dev/v1alpha1,TrafficPolicy"
  })
  void what_this_version_cannot_enforce_is_refused(String apiVersion, String kind) {
    String text =
        "apiVersion: " + apiVersion + "\nkind: " + kind + "\nmetadata: {name: x}\nspec: {a: 1}\n";
    assertThat(Manifests.read("p.yaml", text).problems().toString())
        .contains("p.yaml:2: kind " + kind)
        .contains("not enforced by this version");
  }

  @Test
  void the_same_name_twice_is_an_error_that_names_both_places() {
    String account = "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: a}\n";
    assertThat(Manifests.read("a.yaml", account + "---\n" + account).problems())
        .extracting(Object::toString)
        .containsExactly(
            "a.yaml:5 (document 2): ServiceAccount default/a stands here a second time, first in a.yaml:1; rename or remove one");
  }

  @Test
  void a_stateful_sets_claims_are_volumes_of_its_pods() {
    String text =
        """
        apiVersion: apps/v1
        kind: StatefulSet
        metadata: {name: db}
        spec:
          serviceName: db
          selector: {matchLabels: {app: db}}
          template:
            metadata: {labels: {app: db}}
            spec:
              containers: [{name: c, volumeMounts: [{name: data, mountPath: /data}]}]
          volumeClaimTemplates:
          - metadata: {name: data}
            spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
        """;
    StatefulSet set = (StatefulSet) Manifests.read("s.yaml", text).orThrow().getFirst().object();
    assertThat(set.template().spec().volumes())
        .containsExactly(new Volume("data", new Volume.Other("persistentVolumeClaim")));
    assertThat(
            Manifests.read("w.yaml", ManifestWriter.yaml(List.of(set)))
                .orThrow()
                .getFirst()
                .object())
        .isEqualTo(set);
  }

  @Test
  void an_unfilled_template_is_named_with_its_line() {
    assertThat(Manifests.read("t.yaml", "kind: Pod\nmetadata:\n  name: {{name}}\n").problems())
        .extracting(Object::toString)
        .containsExactly(
            "t.yaml:3: a key must be a text, not a mapping or list; an unfilled template {{ }} must be filled first");
  }

  @Test
  void a_secret_merges_string_data_and_keeps_its_values_to_itself() {
    String text =
        """
        apiVersion: v1
        kind: Secret
        metadata: {name: keys}
        data: {k: c2VjcmV0}
        stringData: {p: hello}
        """;
    Secret secret = (Secret) Manifests.read("s.yaml", text).orThrow().getFirst().object();
    assertThat(secret.files().get("p")).asString().isEqualTo("hello");
    assertThat(secret.files().get("k")).asString().isEqualTo("secret");
    assertThat(secret.toString()).doesNotContain("c2VjcmV0");
  }

  @Test
  void the_pods_annotation_wins_over_its_label_over_the_namespaces() {
    assertThat(enrolled("", "", "", "")).isFalse();
    assertThat(enrolled("enabled", "disabled", "disabled", "disabled")).isTrue();
    assertThat(enrolled("", "enabled", "disabled", "disabled")).isTrue();
    assertThat(enrolled("", "", "enabled", "disabled")).isTrue();
    assertThat(enrolled("", "", "", "enabled")).isTrue();
    assertThat(enrolled("disabled", "enabled", "enabled", "enabled")).isFalse();
    assertThat(enrolled("", "disabled", "enabled", "enabled")).isFalse();
    assertThat(enrolled("", "", "disabled", "enabled")).isFalse();
  }

  private static boolean enrolled(
      String podAnnotation, String podLabel, String nsAnnotation, String nsLabel) {
    String text =
        "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: shop\n"
            + word("annotations", nsAnnotation)
            + word("labels", nsLabel)
            + "---\napiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n  namespace: shop\n"
            + word("annotations", podAnnotation)
            + word("labels", podLabel)
            + "spec: {containers: [{name: c}]}\n";
    List<Manifest> read = Manifests.read("e.yaml", text).orThrow();
    Pod pod = (Pod) read.get(1).object();
    boolean enrolled = Enrolment.of(pod, (Namespace) read.get(0).object()).enrolled();
    Pod onTheNode =
        (Pod)
            Manifests.read("e.yaml", text.replace("spec: {", "spec: {hostNetwork: true, "))
                .orThrow()
                .get(1)
                .object();
    assertThat(Enrolment.of(onTheNode, (Namespace) read.get(0).object()).enrolled()).isFalse();
    return enrolled;
  }

  private static String word(String field, String value) {
    return value.isEmpty() ? "" : "  " + field + ": {weir.dev/mesh: " + value + "}\n";
  }

  @Test
  void every_annotation_reaches_the_settings() {
    String text =
        """
        apiVersion: v1
        kind: Namespace
        metadata: {name: shop, annotations: {weir.dev/mesh: enabled, weir.dev/fast-path: "off", weir.dev/on-agent-loss: open}}
        ---
        apiVersion: v1
        kind: Pod
        metadata:
          name: a
          namespace: shop
          annotations:
            weir.dev/fast-path: joined
            weir.dev/exclude-inbound-ports: "22"
            weir.dev/exclude-outbound-ports: "22, 9000-9010"
            weir.dev/exclude-outbound-cidrs: 10.1.2.3/8,fd00::/8
            weir.dev/weight: "250"
        spec: {containers: [{name: c, readinessProbe: {grpc: {port: 7000}}}]}
        """;
    List<Manifest> read = Manifests.read("e.yaml", text).orThrow();
    PodSettings settings =
        Enrolment.of((Pod) read.get(1).object(), (Namespace) read.get(0).object());
    assertThat(settings.enrolled()).isTrue();
    assertThat(settings.fastPath()).isEqualTo(FastPath.JOINED);
    assertThat(settings.onAgentLoss()).isEqualTo(OnAgentLoss.OPEN);
    assertThat(settings.excludeInboundPorts()).containsExactly(new PortRange(22, 22));
    assertThat(settings.excludeOutboundPorts())
        .containsExactly(new PortRange(22, 22), new PortRange(9000, 9010));
    assertThat(settings.excludeOutboundCidrs().toString())
        .isEqualTo("[10.0.0.0/8, fd00:0:0:0:0:0:0:0/8]");
    assertThat(settings.weight()).isEqualTo(250);
    assertThat(settings.applicationTunnel()).isNull();
    assertThat(settings.probePorts()).containsExactly(7000);
  }

  @ParameterizedTest
  @CsvSource({"proxy/15088,15088", "proxy,0"})
  void an_application_tunnel_is_reached_through_tunnels_alone(String value, int port) {
    String text =
        """
        apiVersion: v1
        kind: Pod
        metadata: {name: a, annotations: {weir.dev/fast-path: joined, weir.dev/application-tunnel: %s}}
        spec: {containers: [{name: c}]}
        """
            .formatted(value);
    PodSettings settings =
        Enrolment.of((Pod) Manifests.read("e.yaml", text).orThrow().getFirst().object(), null);
    assertThat(settings.applicationTunnel()).isEqualTo(new ApplicationTunnel(port));
    assertThat(settings.fastPath()).isEqualTo(FastPath.OFF);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          weir.dev/exclude-inbound-ports  | 22,       | is no port or range of ports
          weir.dev/exclude-inbound-ports  | 0         | is no port or range of ports
          weir.dev/exclude-outbound-ports | 70000     | is no port or range of ports
          weir.dev/exclude-outbound-ports | 9-1       | runs backwards; write 1-9
          weir.dev/exclude-outbound-ports | 1-2-3     | is no port or range of ports
          weir.dev/exclude-outbound-cidrs | 10.0/8    | is not an address block
          weir.dev/exclude-outbound-cidrs | 10.0.0.0/33 | has no prefix from /0 to /32
          weir.dev/exclude-outbound-cidrs | ::1%eth0/64 | is not an address block
          weir.dev/weight                 | 1001      | expected: a whole number from 1 to 1000
          weir.dev/weight                 | 0         | expected: a whole number from 1 to 1000
          weir.dev/application-tunnel     | proxy/0   | expected: proxy, or proxy/PORT
          weir.dev/application-tunnel     | http      | expected: proxy, or proxy/PORT
          weir.dev/on-agent-loss          | maybe     | expected: closed, open
          weir.dev/layer7                 | auto      | has no effect on a Pod
          weir.dev/colour                 | red       | unknown annotation weir.dev/colour
          """)
  void a_value_that_means_nothing_is_named(String key, String value, String message) {
    assertThat(Annotations.problem("Pod", key, value)).contains(key).contains(message);
  }
}
