package dev.weir.api.kube;

import dev.weir.api.model.Cidr;
import dev.weir.api.yaml.YamlWriter;
import java.net.InetAddress;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/** Writes objects as Kubernetes YAML, which {@link Manifests} reads back as equal objects. */
public final class ManifestWriter {
  private ManifestWriter() {}

  /** One document for each object. */
  public static String yaml(Collection<? extends KubeObject> objects) {
    StringBuilder out = new StringBuilder();
    for (KubeObject object : objects) {
      YamlWriter.document(out, tree(object));
    }
    return out.toString();
  }

  /** A mapping that leaves out what says nothing. */
  private static final class Tree {
    final Map<String, Object> fields = new LinkedHashMap<>();

    Tree put(String name, Object value) {
      fields.put(name, value);
      return this;
    }

    Tree text(String name, String value) {
      return value.isEmpty() ? this : put(name, value);
    }

    Tree flag(String name, boolean value) {
      return value ? put(name, true) : this;
    }

    Tree number(String name, long value, long usual) {
      return value == usual ? this : put(name, value);
    }

    Tree id(String name, @Nullable Long value) {
      return value == null ? this : put(name, value);
    }

    Tree texts(String name, Map<String, String> value) {
      return value.isEmpty() ? this : put(name, value);
    }

    Tree sorted(String name, Map<String, String> value) {
      return value.isEmpty() ? this : put(name, new TreeMap<>(value));
    }

    Tree texts(String name, List<String> value) {
      return value.isEmpty() ? this : put(name, value);
    }

    Tree numbers(String name, List<Integer> value) {
      return value.isEmpty() ? this : put(name, value);
    }

    Tree child(String name, Tree value) {
      return value.fields.isEmpty() ? this : put(name, value.fields);
    }

    <T> Tree list(String name, List<T> values, Function<T, Tree> write) {
      if (values.isEmpty()) {
        return this;
      }
      List<Object> list = new ArrayList<>(values.size());
      for (T value : values) {
        list.add(write.apply(value).fields);
      }
      return put(name, list);
    }
  }

  private static Map<String, Object> tree(KubeObject object) {
    Tree tree =
        new Tree()
            .put("apiVersion", object.apiVersion())
            .put("kind", object.kind())
            .put("metadata", metadata(object.metadata()).fields);
    switch (object) {
      case Namespace namespace -> {}
      case ServiceAccount account -> {}
      case Node node -> node(tree, node);
      case ConfigMap map -> tree.sorted("data", map.data()).sorted("binaryData", map.binaryData());
      case Secret secret -> tree.text("type", secret.type()).sorted("data", secret.data());
      case Pod pod ->
          tree.put("spec", spec(pod.spec()).fields).child("status", status(pod.status()));
      case Deployment deployment ->
          tree.put(
              "spec",
              set(deployment.replicas(), deployment.selector(), deployment.template()).fields);
      case ReplicaSet set ->
          tree.put("spec", set(set.replicas(), set.selector(), set.template()).fields);
      case StatefulSet set ->
          tree.put(
              "spec",
              set(set.replicas(), set.selector(), set.template())
                  .text("serviceName", set.serviceName())
                  .text("podManagementPolicy", set.parallel() ? "Parallel" : "")
                  .fields);
      case DaemonSet set ->
          tree.put(
              "spec",
              new Tree()
                  .put("selector", selector(set.selector()).fields)
                  .put("template", template(set.template()).fields)
                  .fields);
      case Job job ->
          tree.put(
              "spec",
              new Tree()
                  .number("completions", job.completions(), 1)
                  .number("parallelism", job.parallelism(), 1)
                  .number("backoffLimit", job.backoffLimit(), 6)
                  .put("template", template(job.template()).fields)
                  .fields);
      case Service service -> tree.put("spec", service(service).fields);
      case EndpointSlice slice -> endpointSlice(tree, slice);
      case AccessPolicy policy -> tree.put("spec", accessPolicy(policy).fields);
    }
    return tree.fields;
  }

  private static Tree accessPolicy(AccessPolicy policy) {
    return new Tree()
        .list(
            "targetRefs",
            policy.targets(),
            target ->
                switch (target) {
                  case AccessPolicy.Target.OfService service ->
                      new Tree().put("kind", "Service").put("name", service.name());
                  case AccessPolicy.Target.OfPods pods ->
                      new Tree()
                          .put("kind", "Pod")
                          .put("selector", selector(pods.selector()).fields);
                })
        .text("action", policy.decides() ? word(policy.action()) : "")
        .text("mode", policy.shadow() ? "shadow" : "")
        .text("mtls", policy.mtls() == AccessPolicy.Mtls.UNSAID ? "" : word(policy.mtls()))
        .list(
            "from",
            policy.from(),
            from ->
                new Tree()
                    .texts("serviceAccounts", from.serviceAccounts())
                    .texts("notServiceAccounts", from.notServiceAccounts())
                    .texts("namespaces", from.namespaces())
                    .texts("notNamespaces", from.notNamespaces())
                    .texts("principals", from.principals())
                    .texts("notPrincipals", from.notPrincipals())
                    .texts("ipBlocks", texts(from.ipBlocks()))
                    .texts("notIpBlocks", texts(from.notIpBlocks())))
        .list(
            "to",
            policy.to(),
            to -> new Tree().numbers("ports", to.ports()).numbers("notPorts", to.notPorts()));
  }

  private static String word(Enum<?> value) {
    return value.name().toLowerCase(Locale.ROOT);
  }

  private static List<String> texts(List<Cidr> blocks) {
    return blocks.stream().map(Cidr::toString).toList();
  }

  private static Tree metadata(Metadata metadata) {
    return new Tree()
        .put("name", metadata.name())
        .text("namespace", metadata.namespace())
        .text("uid", metadata.uid())
        .text("creationTimestamp", metadata.creationTimestamp())
        .text("deletionTimestamp", metadata.deletionTimestamp())
        .texts("labels", metadata.labels())
        .texts("annotations", metadata.annotations())
        .list(
            "ownerReferences",
            metadata.owners(),
            owner ->
                new Tree()
                    .text("apiVersion", owner.apiVersion())
                    .put("kind", owner.kind())
                    .put("name", owner.name())
                    .text("uid", owner.uid())
                    .flag("controller", owner.controller()));
  }

  private static void node(Tree tree, Node node) {
    tree.child("spec", new Tree().texts("podCIDRs", node.podCidrs()));
    tree.child(
        "status",
        new Tree()
            .list(
                "addresses",
                node.addresses(),
                address ->
                    new Tree().put("type", "InternalIP").put("address", address.getHostAddress()))
            .list("conditions", node.conditions(), ManifestWriter::condition));
  }

  private static Tree condition(Condition condition) {
    return new Tree()
        .put("type", condition.type())
        .put("status", condition.met() ? "True" : "False")
        .text("reason", condition.reason())
        .text("message", condition.message());
  }

  private static Tree set(int replicas, LabelSelector selector, PodTemplate template) {
    return new Tree()
        .put("replicas", replicas)
        .put("selector", selector(selector).fields)
        .put("template", template(template).fields);
  }

  private static Tree selector(LabelSelector selector) {
    return new Tree()
        .sorted("matchLabels", selector.matchLabels())
        .list(
            "matchExpressions",
            selector.matchExpressions(),
            expression ->
                new Tree()
                    .put("key", expression.key())
                    .put(
                        "operator",
                        switch (expression.operator()) {
                          case IN -> "In";
                          case NOT_IN -> "NotIn";
                          case EXISTS -> "Exists";
                          case DOES_NOT_EXIST -> "DoesNotExist";
                        })
                    .texts("values", expression.values()));
  }

  private static Tree template(PodTemplate template) {
    return new Tree()
        .child(
            "metadata",
            new Tree()
                .sorted("labels", template.labels())
                .sorted("annotations", template.annotations()))
        .put("spec", spec(template.spec()).fields);
  }

  private static Tree spec(PodSpec spec) {
    return new Tree()
        .text("nodeName", spec.nodeName())
        .sorted("nodeSelector", spec.nodeSelector())
        .flag("hostNetwork", spec.hostNetwork())
        .put("serviceAccountName", spec.serviceAccountName())
        .text("hostname", spec.hostname())
        .text("subdomain", spec.subdomain())
        .put(
            "restartPolicy",
            switch (spec.restartPolicy()) {
              case ALWAYS -> "Always";
              case ON_FAILURE -> "OnFailure";
              case NEVER -> "Never";
            })
        .number(
            "terminationGracePeriodSeconds",
            spec.terminationGracePeriodSeconds(),
            PodSpec.DEFAULT_GRACE_SECONDS)
        .child(
            "securityContext",
            new Tree().id("runAsUser", spec.runAsUser()).id("runAsGroup", spec.runAsGroup()))
        .list(
            "hostAliases",
            spec.hostAliases(),
            alias ->
                new Tree()
                    .put("ip", alias.address().getHostAddress())
                    .texts("hostnames", alias.hostnames()))
        .list("initContainers", spec.initContainers(), ManifestWriter::container)
        .list("containers", spec.containers(), ManifestWriter::container)
        .list("volumes", spec.volumes(), ManifestWriter::volume);
  }

  private static Tree container(Container container) {
    Tree tree =
        new Tree()
            .put("name", container.name())
            .text("image", container.image())
            .texts("command", container.command())
            .texts("args", container.args())
            .text("workingDir", container.workingDir())
            .text("restartPolicy", container.sidecar() ? "Always" : "")
            .list("envFrom", container.envFrom(), ManifestWriter::envFrom)
            .list("env", container.env(), ManifestWriter::env)
            .list(
                "ports",
                container.ports(),
                port ->
                    new Tree()
                        .text("name", port.name())
                        .put("containerPort", port.containerPort())
                        .put("protocol", port.protocol()))
            .list(
                "volumeMounts",
                container.volumeMounts(),
                mount ->
                    new Tree()
                        .put("name", mount.name())
                        .put("mountPath", mount.mountPath())
                        .text("subPath", mount.subPath())
                        .flag("readOnly", mount.readOnly()))
            .child(
                "securityContext",
                new Tree()
                    .id("runAsUser", container.runAsUser())
                    .id("runAsGroup", container.runAsGroup()));
    probe(tree, "startupProbe", container.startupProbe());
    probe(tree, "readinessProbe", container.readinessProbe());
    probe(tree, "livenessProbe", container.livenessProbe());
    return tree;
  }

  private static Tree envFrom(Container.EnvFrom from) {
    return new Tree()
        .text("prefix", from.prefix())
        .put(
            from.source() == Container.EnvFrom.Source.SECRET ? "secretRef" : "configMapRef",
            new Tree().put("name", from.name()).flag("optional", from.optional()).fields);
  }

  private static Tree env(Container.EnvVar env) {
    Tree tree = new Tree().put("name", env.name());
    switch (env.value()) {
      case Container.EnvValue.Text text -> tree.text("value", text.text());
      case Container.EnvValue.Field field ->
          from(tree, "fieldRef", new Tree().put("fieldPath", field.path()));
      case Container.EnvValue.Resource resource ->
          from(
              tree,
              "resourceFieldRef",
              new Tree()
                  .text("containerName", resource.container())
                  .put("resource", resource.resource()));
      case Container.EnvValue.ConfigMapKey key ->
          from(
              tree,
              "configMapKeyRef",
              new Tree()
                  .put("name", key.name())
                  .put("key", key.key())
                  .flag("optional", key.optional()));
      case Container.EnvValue.SecretKey key ->
          from(
              tree,
              "secretKeyRef",
              new Tree()
                  .put("name", key.name())
                  .put("key", key.key())
                  .flag("optional", key.optional()));
    }
    return tree;
  }

  private static void from(Tree env, String name, Tree source) {
    env.put("valueFrom", new Tree().put(name, source.fields).fields);
  }

  private static void probe(Tree container, String name, @Nullable Probe probe) {
    if (probe == null) {
      return;
    }
    Tree tree = new Tree();
    switch (probe.handler()) {
      case Probe.HttpGet http ->
          tree.put(
              "httpGet",
              new Tree()
                  .put("scheme", http.scheme())
                  .text("host", http.host())
                  .put("port", port(http.port()))
                  .put("path", http.path())
                  .list(
                      "httpHeaders",
                      List.copyOf(new TreeMap<>(http.headers()).entrySet()),
                      header ->
                          new Tree().put("name", header.getKey()).put("value", header.getValue()))
                  .fields);
      case Probe.TcpSocket tcp ->
          tree.put(
              "tcpSocket",
              new Tree().text("host", tcp.host()).put("port", port(tcp.port())).fields);
      case Probe.Exec exec -> tree.put("exec", new Tree().texts("command", exec.command()).fields);
      case Probe.Grpc grpc ->
          tree.put(
              "grpc", new Tree().put("port", grpc.port()).text("service", grpc.service()).fields);
    }
    container.put(
        name,
        tree.number("initialDelaySeconds", probe.initialDelaySeconds(), 0)
            .number("periodSeconds", probe.periodSeconds(), 10)
            .number("timeoutSeconds", probe.timeoutSeconds(), 1)
            .number("successThreshold", probe.successThreshold(), 1)
            .number("failureThreshold", probe.failureThreshold(), 3)
            .fields);
  }

  private static Object port(PortReference port) {
    return port.name().isEmpty() ? (Object) port.number() : port.name();
  }

  private static Tree volume(Volume volume) {
    Tree tree = new Tree().put("name", volume.name());
    switch (volume.source()) {
      case Volume.EmptyDir dir ->
          tree.put("emptyDir", new Tree().text("medium", dir.medium()).fields);
      case Volume.HostPath path ->
          tree.put(
              "hostPath", new Tree().put("path", path.path()).text("type", path.type()).fields);
      case Volume.ConfigMapFiles files -> tree.put("configMap", configMapFiles(files).fields);
      case Volume.SecretFiles files -> tree.put("secret", secretFiles(files, "secretName").fields);
      case Volume.PodFields fields -> tree.put("downwardAPI", podFields(fields).fields);
      case Volume.Projected projected ->
          tree.put(
              "projected",
              new Tree().list("sources", projected.sources(), ManifestWriter::projection).fields);
      case Volume.Other other -> tree.put(other.type(), Map.of());
    }
    return tree;
  }

  private static Tree projection(Volume.Projection projection) {
    return switch (projection) {
      case Volume.ConfigMapFiles files -> new Tree().put("configMap", configMapFiles(files).fields);
      case Volume.SecretFiles files -> new Tree().put("secret", secretFiles(files, "name").fields);
      case Volume.PodFields fields -> new Tree().put("downwardAPI", podFields(fields).fields);
      case Volume.ServiceAccountToken token ->
          new Tree()
              .put(
                  "serviceAccountToken",
                  new Tree()
                      .text("audience", token.audience())
                      .put("expirationSeconds", token.expirationSeconds())
                      .put("path", token.path())
                      .fields);
    };
  }

  private static Tree configMapFiles(Volume.ConfigMapFiles files) {
    return items(new Tree().put("name", files.name()), files.items())
        .flag("optional", files.optional());
  }

  private static Tree secretFiles(Volume.SecretFiles files, String nameField) {
    return items(new Tree().put(nameField, files.name()), files.items())
        .flag("optional", files.optional());
  }

  private static Tree items(Tree tree, Map<String, String> items) {
    return tree.list(
        "items",
        List.copyOf(new TreeMap<>(items).entrySet()),
        item -> new Tree().put("key", item.getKey()).put("path", item.getValue()));
  }

  private static Tree podFields(Volume.PodFields fields) {
    return new Tree()
        .list(
            "items",
            List.copyOf(new TreeMap<>(fields.items()).entrySet()),
            item ->
                new Tree()
                    .put("path", item.getKey())
                    .put("fieldRef", new Tree().put("fieldPath", item.getValue()).fields));
  }

  private static Tree status(PodStatus status) {
    return new Tree()
        .text("phase", status.phase())
        .text("reason", status.reason())
        .text("message", status.message())
        .text("startTime", status.startTime())
        .list("hostIPs", status.hostIps(), ManifestWriter::ip)
        .text("podIP", status.podIps().isEmpty() ? "" : status.podIps().getFirst().getHostAddress())
        .list("podIPs", status.podIps(), ManifestWriter::ip)
        .list("conditions", status.conditions(), ManifestWriter::condition)
        .list(
            "containerStatuses",
            status.containers(),
            container ->
                new Tree()
                    .put("name", container.name())
                    .put("ready", container.ready())
                    .put("restartCount", container.restarts()));
  }

  private static Tree ip(InetAddress address) {
    return new Tree().put("ip", address.getHostAddress());
  }

  private static Tree service(Service service) {
    List<String> clusterIps =
        service.headless()
            ? List.of("None")
            : service.clusterIps().stream().map(InetAddress::getHostAddress).toList();
    return new Tree()
        .put(
            "type",
            switch (service.type()) {
              case CLUSTER_IP -> "ClusterIP";
              case NODE_PORT -> "NodePort";
              case LOAD_BALANCER -> "LoadBalancer";
              case EXTERNAL_NAME -> "ExternalName";
            })
        .text("clusterIP", clusterIps.isEmpty() ? "" : clusterIps.getFirst())
        .texts("clusterIPs", clusterIps)
        .text("externalName", service.externalName())
        .texts(
            "ipFamilies",
            service.ipFamilies().stream()
                .map(family -> family == Service.IpFamily.IPV4 ? "IPv4" : "IPv6")
                .toList())
        .put(
            "ipFamilyPolicy",
            switch (service.ipFamilyPolicy()) {
              case SINGLE_STACK -> "SingleStack";
              case PREFER_DUAL_STACK -> "PreferDualStack";
              case REQUIRE_DUAL_STACK -> "RequireDualStack";
            })
        .flag("publishNotReadyAddresses", service.publishNotReadyAddresses())
        .text("internalTrafficPolicy", service.localOnly() ? "Local" : "")
        .text("sessionAffinity", service.clientAffinity() ? "ClientIP" : "")
        .child(
            "sessionAffinityConfig",
            new Tree()
                .child(
                    "clientIP",
                    new Tree().number("timeoutSeconds", service.affinityTimeoutSeconds(), 0)))
        .text("trafficDistribution", service.preference())
        .sorted("selector", service.selector())
        .list(
            "ports",
            service.ports(),
            port ->
                new Tree()
                    .text("name", port.name())
                    .put("protocol", port.protocol())
                    .put("port", port.port())
                    .put("targetPort", port(port.targetPort()))
                    .number("nodePort", port.nodePort(), 0)
                    .text("appProtocol", port.appProtocol()));
  }

  private static void endpointSlice(Tree tree, EndpointSlice slice) {
    tree.put("addressType", slice.addressType())
        .list(
            "endpoints",
            slice.endpoints(),
            endpoint ->
                new Tree()
                    .put(
                        "addresses",
                        endpoint.addresses().stream().map(InetAddress::getHostAddress).toList())
                    .put(
                        "conditions",
                        new Tree()
                            .put("ready", endpoint.ready())
                            .put("serving", endpoint.serving())
                            .put("terminating", endpoint.terminating())
                            .fields)
                    .text("hostname", endpoint.hostname())
                    .text("nodeName", endpoint.nodeName())
                    .text("zone", endpoint.zone())
                    .child("targetRef", target(slice, endpoint)))
        .list(
            "ports",
            slice.ports(),
            port ->
                new Tree()
                    .put("name", port.name())
                    .put("protocol", port.protocol())
                    .number("port", port.port(), 0)
                    .text("appProtocol", port.appProtocol()));
  }

  private static Tree target(EndpointSlice slice, EndpointSlice.Endpoint endpoint) {
    if (endpoint.pod().isEmpty()) {
      return new Tree();
    }
    return new Tree()
        .put("kind", "Pod")
        .put("namespace", slice.namespace())
        .put("name", endpoint.pod())
        .text("uid", endpoint.podUid());
  }
}
