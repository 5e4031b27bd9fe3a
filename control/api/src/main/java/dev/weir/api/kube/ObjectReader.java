package dev.weir.api.kube;

import dev.weir.api.model.Cidr;
import dev.weir.api.yaml.Fields;
import dev.weir.api.yaml.YamlException;
import dev.weir.api.yaml.YamlNode;
import java.net.Inet4Address;
import java.net.InetAddress;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/** Reads each kind but what pods are made of, which {@link PodReader} does. */
final class ObjectReader {
  /** A day, as the API server has it. */
  private static final int MOST_AFFINITY_SECONDS = 86_400;

  /** RFC 1123 labels, as Kubernetes wants names. */
  private static final Pattern LABEL = Pattern.compile("[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?");

  private static final Pattern SUBDOMAIN =
      Pattern.compile("[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*");

  private static final int MAX_SUBDOMAIN = 253;
  private static final int MAX_PORT = 65535;
  private static final Map<String, String> PROTOCOLS =
      Map.of("TCP", "TCP", "UDP", "UDP", "SCTP", "SCTP");

  private ObjectReader() {}

  static Namespace namespace(Fields object) {
    Metadata metadata = metadata(object, "Namespace", false);
    object.ignore("spec", "status");
    return new Namespace(metadata);
  }

  static ServiceAccount serviceAccount(Fields object) {
    object.ignore("automountServiceAccountToken", "imagePullSecrets", "secrets");
    return new ServiceAccount(metadata(object, "ServiceAccount", true));
  }

  static Node node(Fields object) {
    Metadata metadata = metadata(object, "Node", false);
    List<String> podCidrs = new ArrayList<>();
    Fields spec = object.child("spec");
    if (spec != null) {
      spec.ignore("providerID", "taints", "unschedulable", "configSource", "externalID");
      podCidrs.addAll(spec.textList("podCIDRs"));
      String one = spec.text("podCIDR", "");
      if (podCidrs.isEmpty() && !one.isEmpty()) {
        podCidrs.add(one);
      }
      spec.done();
    }
    List<InetAddress> addresses = new ArrayList<>();
    List<Condition> conditions = List.of();
    Fields status = object.child("status");
    if (status != null) {
      status.list(
          "addresses",
          address -> {
            if (address.text("type").equals("InternalIP")) {
              addresses.add(ip(address, "address"));
            }
            address.ignore("address");
            address.done();
            return address;
          });
      conditions = status.list("conditions", ObjectReader::condition);
    }
    return new Node(metadata, addresses, podCidrs, conditions);
  }

  static ConfigMap configMap(Fields object) {
    object.ignore("immutable");
    Metadata metadata = metadata(object, "ConfigMap", true);
    return new ConfigMap(metadata, object.texts("data"), base64(object, "binaryData"));
  }

  static Secret secret(Fields object) {
    object.ignore("immutable");
    Metadata metadata = metadata(object, "Secret", true);
    Map<String, String> data = new LinkedHashMap<>(base64(object, "data"));
    object
        .texts("stringData")
        .forEach((key, text) ->
            data.put(
                key, Base64.getEncoder().encodeToString(text.getBytes(StandardCharsets.UTF_8))));
    return new Secret(metadata, object.text("type", "Opaque"), data);
  }

  private static Map<String, String> base64(Fields object, String name) {
    Map<String, String> values = object.texts(name);
    values.forEach((key, value) -> {
      try {
        Base64.getDecoder().decode(value);
      } catch (IllegalArgumentException e) {
        throw object.wrong(name, "['" + key + "'] is not base64: " + e.getMessage());
      }
    });
    return values;
  }

  static Pod pod(Fields object) {
    Metadata metadata = metadata(object, "Pod", true);
    PodSpec spec = PodReader.spec(object.requiredChild("spec"), List.of());
    Fields status = object.child("status");
    return new Pod(metadata, spec, status == null ? PodStatus.NONE : PodReader.status(status));
  }

  static Deployment deployment(Fields object) {
    Metadata metadata = metadata(object, "Deployment", true);
    object.ignore("status");
    Fields spec = object.requiredChild("spec");
    spec.ignore(
        "minReadySeconds", "paused", "progressDeadlineSeconds", "revisionHistoryLimit", "strategy");
    PodTemplate template = template(spec);
    Deployment deployment =
        new Deployment(metadata, replicas(spec), selector(spec, template), template);
    spec.done();
    return deployment;
  }

  static ReplicaSet replicaSet(Fields object) {
    Metadata metadata = metadata(object, "ReplicaSet", true);
    object.ignore("status");
    Fields spec = object.requiredChild("spec");
    spec.ignore("minReadySeconds");
    PodTemplate template = template(spec);
    ReplicaSet replicaSet =
        new ReplicaSet(metadata, replicas(spec), selector(spec, template), template);
    spec.done();
    return replicaSet;
  }

  static StatefulSet statefulSet(Fields object) {
    Metadata metadata = metadata(object, "StatefulSet", true);
    object.ignore("status");
    Fields spec = object.requiredChild("spec");
    spec.ignore(
        "minReadySeconds",
        "ordinals",
        "persistentVolumeClaimRetentionPolicy",
        "revisionHistoryLimit",
        "updateStrategy");
    List<String> claims =
        spec.list("volumeClaimTemplates", claim -> claim.requiredChild("metadata").text("name"));
    PodTemplate template = template(spec, claims);
    boolean parallel =
        spec.choice("podManagementPolicy", false, Map.of("OrderedReady", false, "Parallel", true));
    StatefulSet set =
        new StatefulSet(
            metadata,
            replicas(spec),
            selector(spec, template),
            spec.text("serviceName", ""),
            parallel,
            template);
    spec.done();
    return set;
  }

  static DaemonSet daemonSet(Fields object) {
    Metadata metadata = metadata(object, "DaemonSet", true);
    object.ignore("status");
    Fields spec = object.requiredChild("spec");
    spec.ignore("minReadySeconds", "revisionHistoryLimit", "updateStrategy");
    PodTemplate template = template(spec);
    DaemonSet set = new DaemonSet(metadata, selector(spec, template), template);
    spec.done();
    return set;
  }

  static Job job(Fields object) {
    Metadata metadata = metadata(object, "Job", true);
    object.ignore("status");
    Fields spec = object.requiredChild("spec");
    spec.ignore(
        "activeDeadlineSeconds",
        "backoffLimitPerIndex",
        "completionMode",
        "managedBy",
        "manualSelector",
        "maxFailedIndexes",
        "podFailurePolicy",
        "podReplacementPolicy",
        "selector",
        "successPolicy",
        "suspend",
        "ttlSecondsAfterFinished");
    PodTemplate template = template(spec);
    if (template.spec().restartPolicy() == PodSpec.RestartPolicy.ALWAYS) {
      throw spec.wrong("template", "of a Job must say restartPolicy: Never or OnFailure");
    }
    Job job =
        new Job(
            metadata,
            spec.integer("completions", 1, 0, Integer.MAX_VALUE),
            spec.integer("parallelism", 1, 0, Integer.MAX_VALUE),
            spec.integer("backoffLimit", 6, 0, Integer.MAX_VALUE),
            template);
    spec.done();
    return job;
  }

  private static int replicas(Fields spec) {
    return spec.integer("replicas", 1, 0, Integer.MAX_VALUE);
  }

  private static PodTemplate template(Fields spec) {
    return template(spec, List.of());
  }

  private static PodTemplate template(Fields spec, List<String> claims) {
    Fields template = spec.requiredChild("template");
    Map<String, String> labels = Map.of();
    Map<String, String> annotations = Map.of();
    Fields metadata = template.child("metadata");
    if (metadata != null) {
      ignoreBookkeeping(metadata);
      metadata.ignore(
          "name", "namespace", "generateName", "uid", "ownerReferences", "deletionTimestamp");
      labels = labels(metadata, "Pod");
      annotations = annotations(metadata, "Pod");
      metadata.done();
    }
    PodSpec pod = PodReader.spec(template.requiredChild("spec"), claims);
    template.done();
    return new PodTemplate(labels, annotations, pod);
  }

  private static LabelSelector selector(Fields spec, PodTemplate template) {
    LabelSelector result = labelSelector(spec.requiredChild("selector"));
    if (!result.matches(template.labels())) {
      throw spec.wrong(
          "selector",
          "does not match the labels of spec.template.metadata; give both the same labels");
    }
    return result;
  }

  static LabelSelector labelSelector(Fields selector) {
    LabelSelector result =
        new LabelSelector(
            selector.texts("matchLabels"),
            selector.list(
                "matchExpressions",
                expression -> {
                  var read =
                      new LabelSelector.Expression(
                          expression.text("key"),
                          expression.choice(
                              "operator",
                              LabelSelector.Operator.IN,
                              Map.of(
                                  "In", LabelSelector.Operator.IN,
                                  "NotIn", LabelSelector.Operator.NOT_IN,
                                  "Exists", LabelSelector.Operator.EXISTS,
                                  "DoesNotExist", LabelSelector.Operator.DOES_NOT_EXIST)),
                          expression.textList("values"));
                  expression.done();
                  return read;
                }));
    selector.done();
    return result;
  }

  static Service service(Fields object) {
    Metadata metadata = metadata(object, "Service", true);
    if (!LABEL.matcher(metadata.name()).matches()) {
      throw object.wrong(
          "metadata",
          "name '" + metadata.name() + "' is no DNS label: a Service's name may not hold a dot");
    }
    object.ignore("status");
    Fields spec = object.requiredChild("spec");
    spec.ignore(
        "allocateLoadBalancerNodePorts",
        "externalIPs",
        "externalTrafficPolicy",
        "healthCheckNodePort",
        "loadBalancerClass",
        "loadBalancerIP",
        "loadBalancerSourceRanges");
    Service.Type type =
        spec.choice(
            "type",
            Service.Type.CLUSTER_IP,
            Map.of(
                "ClusterIP", Service.Type.CLUSTER_IP,
                "NodePort", Service.Type.NODE_PORT,
                "LoadBalancer", Service.Type.LOAD_BALANCER,
                "ExternalName", Service.Type.EXTERNAL_NAME));
    List<String> given = new ArrayList<>(spec.textList("clusterIPs"));
    String one = spec.text("clusterIP", "");
    if (given.isEmpty() && !one.isEmpty()) {
      given.add(one);
    }
    boolean headless = given.contains("None");
    if (headless && (given.size() > 1 || (!one.isEmpty() && !one.equals("None")))) {
      throw spec.wrong("clusterIP", "cannot be both None and an address");
    }
    List<InetAddress> clusterIps = new ArrayList<>();
    if (!headless) {
      for (String address : given) {
        clusterIps.add(ip(spec, spec.has("clusterIPs") ? "clusterIPs" : "clusterIP", address));
      }
    }
    String externalName = spec.text("externalName", "");
    if (type == Service.Type.EXTERNAL_NAME) {
      if (externalName.isEmpty()) {
        throw spec.wrong("externalName", "is missing; a Service of type ExternalName needs it");
      }
      if (!clusterIps.isEmpty() || headless) {
        throw spec.wrong("clusterIP", "cannot stand beside type ExternalName; remove it");
      }
    } else if (!externalName.isEmpty()) {
      throw spec.wrong("externalName", "needs type: ExternalName");
    }
    List<Service.IpFamily> families = new ArrayList<>();
    for (String family : spec.textList("ipFamilies")) {
      families.add(
          switch (family) {
            case "IPv4" -> Service.IpFamily.IPV4;
            case "IPv6" -> Service.IpFamily.IPV6;
            default ->
                throw spec.wrong("ipFamilies", "holds '" + family + "' (expected: IPv4, IPv6)");
          });
    }
    List<Service.Port> ports = spec.list("ports", ObjectReader::servicePort);
    checkPorts(spec, ports, type, headless);
    Service service =
        new Service(
            metadata,
            type,
            headless,
            clusterIps,
            spec.texts("selector"),
            ports,
            externalName,
            families,
            spec.choice(
                "ipFamilyPolicy",
                Service.IpFamilyPolicy.SINGLE_STACK,
                Map.of(
                    "SingleStack", Service.IpFamilyPolicy.SINGLE_STACK,
                    "PreferDualStack", Service.IpFamilyPolicy.PREFER_DUAL_STACK,
                    "RequireDualStack", Service.IpFamilyPolicy.REQUIRE_DUAL_STACK)),
            spec.flag("publishNotReadyAddresses", false),
            spec.choice("internalTrafficPolicy", false, Map.of("Cluster", false, "Local", true)),
            spec.choice("sessionAffinity", false, Map.of("None", false, "ClientIP", true)),
            affinityTimeoutSeconds(spec),
            spec.choice(
                "trafficDistribution",
                "",
                Map.of(
                    "PreferClose", "PreferClose",
                    "PreferSameZone", "PreferSameZone",
                    "PreferSameNode", "PreferSameNode")));
    spec.done();
    return service;
  }

  private static int affinityTimeoutSeconds(Fields spec) {
    int seconds = 0;
    Fields config = spec.child("sessionAffinityConfig");
    if (config != null) {
      Fields client = config.child("clientIP");
      if (client != null) {
        seconds = client.integer("timeoutSeconds", 0, 1, MOST_AFFINITY_SECONDS);
        client.done();
      }
      config.done();
    }
    return seconds;
  }

  private static void checkPorts(
      Fields spec, List<Service.Port> ports, Service.Type type, boolean headless) {
    if (ports.isEmpty() && !headless && type != Service.Type.EXTERNAL_NAME) {
      throw spec.wrong("ports", "is missing; a Service needs at least one port");
    }
    Set<String> seen = new HashSet<>();
    for (Service.Port port : ports) {
      if (ports.size() > 1 && port.name().isEmpty()) {
        throw spec.wrong(
            "ports", "has several ports, so each needs a name; port " + port.port() + " has none");
      }
      if (!seen.add("name " + port.name())) {
        throw spec.wrong("ports", "names '" + port.name() + "' twice");
      }
      if (!seen.add(port.protocol() + " " + port.port())) {
        throw spec.wrong("ports", "has " + port.protocol() + " port " + port.port() + " twice");
      }
    }
  }

  private static Service.Port servicePort(Fields port) {
    int number = port.integer("port", 1, MAX_PORT);
    Service.Port read =
        new Service.Port(
            port.text("name", ""),
            port.choice("protocol", "TCP", PROTOCOLS),
            number,
            port.has("targetPort") ? portReference(port, "targetPort") : PortReference.of(number),
            port.integer("nodePort", 0, 0, MAX_PORT),
            port.text("appProtocol", ""));
    port.done();
    return read;
  }

  static EndpointSlice endpointSlice(Fields object) {
    Metadata metadata = metadata(object, "EndpointSlice", true);
    String addressType = object.text("addressType");
    if (!addressType.equals("IPv4") && !addressType.equals("IPv6")) {
      throw object.wrong(
          "addressType",
          "is '"
              + addressType
              + "' (expected: IPv4, IPv6); for a host name use a Service of type ExternalName");
    }
    List<EndpointSlice.Endpoint> endpoints =
        object.list("endpoints", endpoint -> endpoint(endpoint, addressType.equals("IPv4")));
    List<EndpointSlice.Port> ports =
        object.list(
            "ports",
            port -> {
              var read =
                  new EndpointSlice.Port(
                      port.text("name", ""),
                      port.choice("protocol", "TCP", PROTOCOLS),
                      port.integer("port", 0, 0, MAX_PORT),
                      port.text("appProtocol", ""));
              port.done();
              return read;
            });
    return new EndpointSlice(metadata, addressType, endpoints, ports);
  }

  private static EndpointSlice.Endpoint endpoint(Fields endpoint, boolean v4) {
    endpoint.ignore("deprecatedTopology", "hints");
    List<InetAddress> addresses = ips(endpoint, "addresses");
    for (InetAddress address : addresses) {
      if (address instanceof Inet4Address != v4) {
        throw endpoint.wrong(
            "addresses",
            "holds " + address.getHostAddress() + ", which is not of the slice's addressType");
      }
    }
    if (addresses.isEmpty()) {
      throw endpoint.wrong("addresses", "is missing; an endpoint needs at least one address");
    }
    boolean ready = true;
    boolean serving = true;
    boolean terminating = false;
    Fields conditions = endpoint.child("conditions");
    if (conditions != null) {
      ready = conditions.flag("ready", true);
      serving = conditions.flag("serving", ready);
      terminating = conditions.flag("terminating", false);
      conditions.done();
    }
    String pod = "";
    String podUid = "";
    Fields target = endpoint.child("targetRef");
    if (target != null) {
      target.ignore("apiVersion", "fieldPath", "namespace", "resourceVersion");
      boolean isPod = target.text("kind", "").equals("Pod");
      String name = target.text("name", "");
      String uid = target.text("uid", "");
      if (isPod) {
        pod = name;
        podUid = uid;
      }
      target.done();
    }
    EndpointSlice.Endpoint read =
        new EndpointSlice.Endpoint(
            addresses,
            ready,
            serving,
            terminating,
            endpoint.text("hostname", ""),
            endpoint.text("nodeName", ""),
            endpoint.text("zone", ""),
            pod,
            podUid);
    endpoint.done();
    return read;
  }

  static Condition condition(Fields condition) {
    condition.ignore(
        "lastProbeTime", "lastTransitionTime", "lastHeartbeatTime", "observedGeneration");
    Condition read =
        new Condition(
            condition.text("type"),
            condition.choice(
                "status", false, Map.of("True", true, "False", false, "Unknown", false)),
            condition.text("reason", ""),
            condition.text("message", ""));
    condition.done();
    return read;
  }

  static Metadata metadata(Fields object, String kind, boolean namespaced) {
    Fields metadata = object.requiredChild("metadata");
    ignoreBookkeeping(metadata);
    if (metadata.has("generateName") && !metadata.has("name")) {
      throw metadata.wrong("generateName", "is not taken; give a metadata.name");
    }
    String name = metadata.text("name");
    if (name.length() > MAX_SUBDOMAIN || !SUBDOMAIN.matcher(name).matches()) {
      throw metadata.wrong(
          "name",
          "'" + name + "' is no DNS name (expected: lower-case letters, digits, '-' and '.')");
    }
    if (kind.equals("Namespace") && !LABEL.matcher(name).matches()) {
      throw metadata.wrong(
          "name",
          "'"
              + name
              + "' is no DNS label (expected: at most 63 lower-case letters, digits and '-')");
    }
    String namespace = metadata.text("namespace", namespaced ? "default" : "");
    if (!namespaced) {
      // kubectl ignores a namespace on what has none.
      namespace = "";
    } else if (!LABEL.matcher(namespace).matches()) {
      throw metadata.wrong("namespace", "'" + namespace + "' is no DNS label");
    }
    Metadata read =
        new Metadata(
            namespace,
            name,
            metadata.text("uid", ""),
            labels(metadata, kind),
            annotations(metadata, kind),
            metadata.list("ownerReferences", ObjectReader::owner),
            metadata.text("creationTimestamp", ""),
            metadata.text("deletionTimestamp", ""));
    metadata.done();
    return read;
  }

  private static void ignoreBookkeeping(Fields metadata) {
    metadata.ignore(
        "clusterName",
        "creationTimestamp",
        "deletionGracePeriodSeconds",
        "finalizers",
        "generateName",
        "generation",
        "managedFields",
        "resourceVersion",
        "selfLink");
  }

  private static OwnerReference owner(Fields owner) {
    owner.ignore("blockOwnerDeletion");
    OwnerReference read =
        new OwnerReference(
            owner.text("apiVersion", ""),
            owner.text("kind"),
            owner.text("name"),
            owner.text("uid", ""),
            owner.flag("controller", false));
    owner.done();
    return read;
  }

  private static Map<String, String> labels(Fields metadata, String kind) {
    Map<String, String> labels = metadata.texts("labels");
    labels.forEach((key, value) ->
        refuse(metadata, "labels", key, Annotations.labelProblem(kind, key, value)));
    return labels;
  }

  private static Map<String, String> annotations(Fields metadata, String kind) {
    Map<String, String> annotations = metadata.texts("annotations");
    annotations.forEach((key, value) ->
        refuse(metadata, "annotations", key, Annotations.problem(kind, key, value)));
    return annotations;
  }

  private static void refuse(Fields metadata, String field, String key, @Nullable String problem) {
    if (problem == null) {
      return;
    }
    if (metadata.optional(field) instanceof YamlNode.Mapping mapping) {
      YamlNode.Entry entry = mapping.entries().get(key);
      if (entry != null) {
        throw new YamlException(entry.where(), problem);
      }
    }
    throw new YamlException(metadata.where(field), problem);
  }

  static PortReference portReference(Fields fields, String name) {
    if (fields.required(name) instanceof YamlNode.Scalar scalar
        && scalar.type() == YamlNode.Type.TEXT) {
      String text = scalar.text();
      if (text.isEmpty()
          || text.length() > 15
          || text.chars().allMatch(c -> c >= '0' && c <= '9')) {
        throw fields.wrong(name, "'" + text + "' is no port's name; a number goes without quotes");
      }
      return PortReference.of(text);
    }
    return PortReference.of(fields.integer(name, 1, MAX_PORT));
  }

  static List<InetAddress> ips(Fields fields, String name) {
    List<InetAddress> addresses = new ArrayList<>();
    for (String text : fields.textList(name)) {
      addresses.add(ip(fields, name, text));
    }
    return addresses;
  }

  static InetAddress ip(Fields fields, String name) {
    return ip(fields, name, fields.text(name));
  }

  private static InetAddress ip(Fields fields, String name, String text) {
    try {
      return Cidr.literal(text);
    } catch (IllegalArgumentException e) {
      throw fields.wrong(name, e.getMessage() == null ? "is no IP address" : e.getMessage());
    }
  }
}
