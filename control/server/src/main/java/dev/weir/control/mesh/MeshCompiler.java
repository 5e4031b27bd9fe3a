package dev.weir.control.mesh;

import dev.weir.api.kube.AccessPolicy;
import dev.weir.api.kube.Annotations;
import dev.weir.api.kube.EndpointSlice;
import dev.weir.api.kube.Enrolment;
import dev.weir.api.kube.KubeObject;
import dev.weir.api.kube.Namespace;
import dev.weir.api.kube.Node;
import dev.weir.api.kube.OwnerReference;
import dev.weir.api.kube.Pod;
import dev.weir.api.model.AppProtocol;
import dev.weir.api.model.Authorization;
import dev.weir.api.model.Balancing;
import dev.weir.api.model.IpFamilies;
import dev.weir.api.model.Locality;
import dev.weir.api.model.MeshModel;
import dev.weir.api.model.PodSettings;
import dev.weir.api.model.Service;
import dev.weir.api.model.ServicePort;
import dev.weir.api.model.Tunnel;
import dev.weir.api.model.Workload;
import dev.weir.api.model.WorkloadKind;
import java.net.Inet4Address;
import java.net.InetAddress;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.function.Function;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * Kubernetes objects to the mesh model, as Kubernetes itself means them: endpoints are what
 * EndpointSlices say, and a Service with no ready endpoint left falls back to those that still
 * serve while they terminate (KEP-1669).
 */
public final class MeshCompiler {
  /** A CronJob names its Jobs with the minutes since the epoch. */
  private static final Pattern CRON_JOB = Pattern.compile("(.+)-\\d{8,10}");

  private static final String HASH_LABEL = "pod-template-hash";

  private final String clusterDomain;

  private final String trustDomain;

  /**
   * Makes one for a mesh.
   *
   * @param clusterDomain ends the names of its Services
   * @param trustDomain of its pods' identities
   */
  public MeshCompiler(String clusterDomain, String trustDomain) {
    this.clusterDomain = clusterDomain;
    this.trustDomain = trustDomain;
  }

  /**
   * Makes the model of these objects, the one after {@code before}. What has not changed is the
   * same record as before, so whoever compares the two models is quick, and only one copy of it is
   * held.
   */
  public MeshModel compile(MeshModel before, List<KubeObject> objects) {
    Map<String, Namespace> namespaces = new HashMap<>();
    Map<String, Node> nodes = new HashMap<>();
    Map<String, Pod> pods = new LinkedHashMap<>();
    Map<String, dev.weir.api.kube.Service> services = new LinkedHashMap<>();
    Map<String, List<EndpointSlice>> slices = new HashMap<>();
    List<AccessPolicy> accessPolicies = new ArrayList<>();
    for (KubeObject object : objects) {
      switch (object) {
        case Namespace namespace -> namespaces.put(namespace.name(), namespace);
        case Node node -> nodes.put(node.name(), node);
        case Pod pod -> {
          if (lives(pod)) {
            pods.put(path(pod.namespace(), pod.name()), pod);
          }
        }
        case dev.weir.api.kube.Service service ->
            services.put(path(service.namespace(), service.name()), service);
        case EndpointSlice slice ->
            slices
                .computeIfAbsent(
                    path(slice.namespace(), slice.serviceName()), _ -> new ArrayList<>(2))
                .add(slice);
        case AccessPolicy policy -> accessPolicies.add(policy);
        default -> {}
      }
    }
    PolicyCompiler policies = new PolicyCompiler(accessPolicies, services::get, trustDomain);
    Map<String, Service> meshServices = HashMap.newHashMap(services.size());
    Answering answering = new Answering(pods, nodes);
    services.forEach((path, service) -> {
      Service made = same(before.services(), service(service), Service::key);
      meshServices.put(made.key(), made);
      if (service.type() != dev.weir.api.kube.Service.Type.EXTERNAL_NAME) {
        answering.add(service, made, slices.getOrDefault(path, List.of()));
      }
    });
    Map<String, Workload> workloads = HashMap.newHashMap(pods.size());
    pods.forEach((path, pod) -> {
      Workload made =
          same(
              before.workloads(),
              workload(
                  pod,
                  namespaces.get(pod.namespace()),
                  nodes.get(pod.spec().nodeName()),
                  answering.byPod.getOrDefault(path, Map.of()),
                  policies.of(pod, answering.namedBy.getOrDefault(path, Set.of()))),
              Workload::uid);
      workloads.put(made.uid(), made);
    });
    answering
        .byAddress
        .values()
        .forEach(listed -> {
          Workload made = same(before.workloads(), listed.workload(), Workload::uid);
          workloads.put(made.uid(), made);
        });
    Map<String, Authorization> authorizations = new HashMap<>();
    policies
        .authorizations()
        .forEach((key, made) ->
            authorizations.put(key, same(before.authorizations(), made, Authorization::key)));
    return new MeshModel(before.generation() + 1, workloads, meshServices, authorizations);
  }

  private static <T> T same(Map<String, T> before, T made, Function<T, String> name) {
    T known = before.get(name.apply(made));
    return known != null && known.equals(made) ? known : made;
  }

  /** A pod that has ended has given its address back. */
  private static boolean lives(Pod pod) {
    return !pod.spec().nodeName().isEmpty()
        && !pod.status().phase().equals("Succeeded")
        && !pod.status().phase().equals("Failed");
  }

  /** Collects which workload answers for which service port. */
  private static final class Answering {
    final Map<String, Map<String, List<ServicePort>>> byPod = new HashMap<>();
    final Map<String, Listed> byAddress = new LinkedHashMap<>();

    /** Of each pod, the Services whose slices list it, ready or not. */
    final Map<String, Set<String>> namedBy = new HashMap<>();

    private final Map<String, Pod> pods;
    private final Map<String, Node> nodes;

    Answering(Map<String, Pod> pods, Map<String, Node> nodes) {
      this.pods = pods;
      this.nodes = nodes;
    }

    void add(dev.weir.api.kube.Service service, Service made, List<EndpointSlice> slices) {
      boolean anyReady = false;
      for (EndpointSlice slice : slices) {
        for (EndpointSlice.Endpoint endpoint : slice.endpoints()) {
          anyReady |= endpoint.ready();
          if (!endpoint.pod().isEmpty()) {
            namedBy
                .computeIfAbsent(path(slice.namespace(), endpoint.pod()), _ -> new HashSet<>(4))
                .add(path(service.namespace(), service.name()));
          }
        }
      }
      for (EndpointSlice slice : slices) {
        List<ServicePort> ports = ports(service, slice);
        if (ports.isEmpty()) {
          continue;
        }
        for (EndpointSlice.Endpoint endpoint : slice.endpoints()) {
          boolean usable =
              anyReady ? endpoint.ready() : endpoint.serving() && endpoint.terminating();
          if (usable) {
            add(made.key(), slice, endpoint, ports);
          }
        }
      }
    }

    private void add(
        String service,
        EndpointSlice slice,
        EndpointSlice.Endpoint endpoint,
        List<ServicePort> ports) {
      if (endpoint.pod().isEmpty()) {
        for (InetAddress address : endpoint.addresses()) {
          byAddress
              .computeIfAbsent(
                  slice.namespace() + "/" + address.getHostAddress(),
                  _ -> new Listed(slice, endpoint, address, nodes.get(endpoint.nodeName())))
              .services
              .putIfAbsent(service, ports);
        }
        return;
      }
      String path = path(slice.namespace(), endpoint.pod());
      Pod pod = pods.get(path);
      // A slice lags behind its pods: an address that another pod has by now must not be dialled in
      // this one's name.
      if (pod != null
          && (endpoint.podUid().isEmpty()
              || pod.metadata().uid().isEmpty()
              || endpoint.podUid().equals(pod.metadata().uid()))
          && pod.status().podIps().containsAll(endpoint.addresses())) {
        byPod.computeIfAbsent(path, _ -> new HashMap<>(4)).putIfAbsent(service, ports);
      }
    }

    /** The service's TCP ports that the slice has a number for. */
    private static List<ServicePort> ports(dev.weir.api.kube.Service service, EndpointSlice slice) {
      List<ServicePort> ports = new ArrayList<>(service.ports().size());
      for (dev.weir.api.kube.Service.Port port : service.ports()) {
        if (!port.protocol().equals("TCP")) {
          continue;
        }
        for (EndpointSlice.Port target : slice.ports()) {
          if (target.name().equals(port.name())
              && target.protocol().equals("TCP")
              && target.port() > 0) {
            // Without the name: the service says it once for all.
            ports.add(new ServicePort("", port.port(), target.port(), protocol(port)));
            break;
          }
        }
      }
      return List.copyOf(ports);
    }
  }

  /**
   * An endpoint that a user listed by hand; it is no pod, so it has no settings and is never
   * enrolled.
   */
  private static final class Listed {
    final Map<String, List<ServicePort>> services = new HashMap<>(4);
    private final EndpointSlice slice;
    private final EndpointSlice.Endpoint endpoint;
    private final InetAddress address;
    private final @Nullable Node node;

    Listed(
        EndpointSlice slice,
        EndpointSlice.Endpoint endpoint,
        InetAddress address,
        @Nullable Node node) {
      this.slice = slice;
      this.endpoint = endpoint;
      this.address = address;
      this.node = node;
    }

    Workload workload() {
      return new Workload(
          Workload.DEFAULT_CLUSTER
              + "/discovery.k8s.io/EndpointSlice/"
              + slice.namespace()
              + "/"
              + slice.name()
              + "/"
              + address.getHostAddress(),
          slice.namespace(),
          slice.name(),
          List.of(address),
          "",
          endpoint.nodeName(),
          "",
          Workload.DEFAULT_SERVICE_ACCOUNT,
          Workload.DEFAULT_TRUST_DOMAIN,
          Workload.DEFAULT_CLUSTER,
          new Locality(node == null ? "" : node.region(), zone(), ""),
          WorkloadKind.POD,
          slice.name(),
          slice.name(),
          "latest",
          Tunnel.NONE,
          true,
          false,
          1,
          services,
          PodSettings.DEFAULT);
    }

    private String zone() {
      return endpoint.zone().isEmpty() && node != null ? node.zone() : endpoint.zone();
    }
  }

  private Service service(dev.weir.api.kube.Service service) {
    List<ServicePort> ports = new ArrayList<>(service.ports().size());
    for (dev.weir.api.kube.Service.Port port : service.ports()) {
      if (port.protocol().equals("TCP")) {
        ports.add(
            new ServicePort(port.name(), port.port(), port.targetPort().number(), protocol(port)));
      }
    }
    return new Service(
        service.namespace(),
        service.name(),
        service.name() + "." + service.namespace() + ".svc." + clusterDomain,
        "",
        service.clusterIps(),
        ports,
        families(service),
        balancing(service),
        service.headless(),
        service.externalName(),
        service.publishNotReadyAddresses());
  }

  private static IpFamilies families(dev.weir.api.kube.Service service) {
    boolean v4 = service.ipFamilies().contains(dev.weir.api.kube.Service.IpFamily.IPV4);
    boolean v6 = service.ipFamilies().contains(dev.weir.api.kube.Service.IpFamily.IPV6);
    for (InetAddress address : service.clusterIps()) {
      v4 |= address instanceof Inet4Address;
      v6 |= !(address instanceof Inet4Address);
    }
    if (v4 && v6) {
      return IpFamilies.DUAL;
    }
    return v4 ? IpFamilies.IPV4 : v6 ? IpFamilies.IPV6 : IpFamilies.AUTOMATIC;
  }

  private static Balancing balancing(dev.weir.api.kube.Service service) {
    boolean byClient = service.clientAffinity();
    if (service.localOnly()) {
      return new Balancing(List.of(Balancing.Scope.NODE), Balancing.Mode.STRICT, byClient);
    }
    return switch (service.preference()) {
      case "PreferClose", "PreferSameZone" ->
          new Balancing(
              List.of(Balancing.Scope.NETWORK, Balancing.Scope.REGION, Balancing.Scope.ZONE),
              Balancing.Mode.FAILOVER,
              byClient);
      case "PreferSameNode" ->
          new Balancing(
              List.of(
                  Balancing.Scope.NETWORK,
                  Balancing.Scope.REGION,
                  Balancing.Scope.ZONE,
                  Balancing.Scope.NODE),
              Balancing.Mode.FAILOVER,
              byClient);
      default -> new Balancing(List.of(), Balancing.Mode.UNSPECIFIED, byClient);
    };
  }

  /** {@code appProtocol} where it is declared, else the port's name up to the first dash. */
  static AppProtocol protocol(dev.weir.api.kube.Service.Port port) {
    String declared = port.appProtocol().toLowerCase(Locale.ROOT);
    if (declared.isEmpty()) {
      int dash = port.name().indexOf('-');
      declared =
          port.name().startsWith("grpc-web")
              ? "grpc-web"
              : dash < 0 ? port.name() : port.name().substring(0, dash);
    }
    return switch (declared) {
      case "http", "http1", "grpc-web", "kubernetes.io/ws", "ws" -> AppProtocol.HTTP1;
      case "http2", "h2c", "kubernetes.io/h2c" -> AppProtocol.HTTP2;
      case "grpc", "kubernetes.io/grpc" -> AppProtocol.GRPC;
      case "https", "tls", "wss", "kubernetes.io/wss" -> AppProtocol.TLS;
      case "tcp", "mongo", "mysql", "redis", "postgres", "postgresql", "kafka" -> AppProtocol.TCP;
      default -> AppProtocol.UNKNOWN;
    };
  }

  private Workload workload(
      Pod pod,
      @Nullable Namespace namespace,
      @Nullable Node node,
      Map<String, List<ServicePort>> services,
      List<String> authorizationPolicies) {
    Owner owner = owner(pod);
    PodSettings settings = Enrolment.of(pod, namespace);
    Map<String, String> labels = pod.metadata().labels();
    String hostname =
        pod.spec().hostname().isEmpty() || pod.spec().subdomain().isEmpty()
            ? ""
            : pod.spec().hostname()
                + "."
                + pod.spec().subdomain()
                + "."
                + pod.namespace()
                + ".svc."
                + clusterDomain;
    return new Workload(
        Workload.podUid(Workload.DEFAULT_CLUSTER, pod.namespace(), pod.name()),
        pod.namespace(),
        pod.name(),
        pod.status().podIps(),
        "",
        pod.spec().nodeName(),
        hostname,
        pod.spec().serviceAccountName(),
        trustDomain,
        Workload.DEFAULT_CLUSTER,
        node == null || (node.region().isEmpty() && node.zone().isEmpty())
            ? Locality.UNKNOWN
            : new Locality(node.region(), node.zone(), ""),
        owner.kind(),
        owner.name(),
        firstOf(
            labels,
            owner.name(),
            "service.istio.io/canonical-name",
            "app.kubernetes.io/name",
            "app"),
        firstOf(
            labels,
            "latest",
            "service.istio.io/canonical-revision",
            "app.kubernetes.io/version",
            "version"),
        tunnel(pod, settings),
        pod.ready(),
        pod.spec().hostNetwork(),
        1,
        services,
        settings,
        authorizationPolicies,
        null);
  }

  /**
   * Other nodes may tunnel to the pod once its own agent listens for it, which is what its status
   * says; before, they would find nobody there. An agent that dies later changes nothing: the pod
   * is then closed to them, not open.
   */
  private static Tunnel tunnel(Pod pod, PodSettings settings) {
    return settings.enrolled()
            && Annotations.ENROLLED.equals(pod.metadata().annotations().get(Annotations.STATUS))
        ? Tunnel.HBONE
        : Tunnel.NONE;
  }

  private record Owner(WorkloadKind kind, String name) {}

  /** The thing that a user wrote, which is what metrics name. */
  private static Owner owner(Pod pod) {
    for (OwnerReference owner : pod.metadata().owners()) {
      if (!owner.controller()) {
        continue;
      }
      return switch (owner.kind()) {
        case "ReplicaSet" -> {
          String hash = pod.metadata().labels().getOrDefault(HASH_LABEL, "");
          String tail = "-" + hash;
          yield !hash.isEmpty() && owner.name().endsWith(tail)
              ? new Owner(
                  WorkloadKind.DEPLOYMENT,
                  owner.name().substring(0, owner.name().length() - tail.length()))
              : new Owner(WorkloadKind.POD, owner.name());
        }
        case "Deployment" -> new Owner(WorkloadKind.DEPLOYMENT, owner.name());
        case "Job" -> {
          Matcher cron = CRON_JOB.matcher(owner.name());
          yield cron.matches()
              ? new Owner(WorkloadKind.CRONJOB, cron.group(1))
              : new Owner(WorkloadKind.JOB, owner.name());
        }
        // Istio's words have none for StatefulSets and DaemonSets.
        default -> new Owner(WorkloadKind.POD, owner.name());
      };
    }
    return new Owner(WorkloadKind.POD, pod.name());
  }

  private static String firstOf(Map<String, String> labels, String otherwise, String... keys) {
    for (String key : keys) {
      String value = labels.get(key);
      if (value != null && !value.isEmpty()) {
        return value;
      }
    }
    return otherwise;
  }

  private static String path(String namespace, String name) {
    return namespace + "/" + name;
  }
}
