package dev.weir.api.kube;

import dev.weir.api.yaml.Fields;
import java.net.InetAddress;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** Reads what pods are made of. */
final class PodReader {
  private static final int MAX_PORT = 65535;

  /** Kinds of volume that Kubernetes has and a node agent or the lab never fills. */
  private static final List<String> OTHER_VOLUMES =
      List.of(
          "awsElasticBlockStore",
          "azureDisk",
          "azureFile",
          "cephfs",
          "cinder",
          "csi",
          "ephemeral",
          "fc",
          "flexVolume",
          "flocker",
          "gcePersistentDisk",
          "gitRepo",
          "glusterfs",
          "image",
          "iscsi",
          "nfs",
          "persistentVolumeClaim",
          "photonPersistentDisk",
          "portworxVolume",
          "quobyte",
          "rbd",
          "scaleIO",
          "storageos",
          "vsphereVolume");

  private PodReader() {}

  /**
   * Reads a pod's spec.
   *
   * @param claims volumes that a StatefulSet's volumeClaimTemplates add to it
   */
  static PodSpec spec(Fields spec, List<String> claims) {
    spec.ignore(
        "activeDeadlineSeconds",
        "affinity",
        "automountServiceAccountToken",
        "dnsConfig",
        "dnsPolicy",
        "enableServiceLinks",
        "ephemeralContainers",
        "hostIPC",
        "hostPID",
        "hostUsers",
        "hostnameOverride",
        "imagePullSecrets",
        "os",
        "overhead",
        "preemptionPolicy",
        "priority",
        "priorityClassName",
        "readinessGates",
        "resourceClaims",
        "resources",
        "runtimeClassName",
        "schedulerName",
        "schedulingGates",
        "setHostnameAsFQDN",
        "shareProcessNamespace",
        "tolerations",
        "topologySpreadConstraints",
        "workloadRef");
    List<Container> initContainers = spec.list("initContainers", PodReader::container);
    spec.required("containers");
    List<Container> containers = spec.list("containers", PodReader::container);
    if (containers.isEmpty()) {
      throw spec.wrong("containers", "is empty; a pod needs at least one container");
    }
    Set<String> names = new HashSet<>();
    for (List<Container> group : List.of(initContainers, containers)) {
      for (Container container : group) {
        if (!names.add(container.name())) {
          throw spec.wrong("containers", "names '" + container.name() + "' twice");
        }
      }
    }
    List<Volume> volumes = new ArrayList<>(spec.list("volumes", PodReader::volume));
    for (String claim : claims) {
      volumes.removeIf(volume -> volume.name().equals(claim));
      volumes.add(new Volume(claim, new Volume.Other("persistentVolumeClaim")));
    }
    Set<String> volumeNames = new HashSet<>();
    for (Volume volume : volumes) {
      if (!volumeNames.add(volume.name())) {
        throw spec.wrong("volumes", "names '" + volume.name() + "' twice");
      }
    }
    Long runAsUser = null;
    Long runAsGroup = null;
    Fields security = spec.child("securityContext");
    if (security != null) {
      security.ignore(
          "appArmorProfile",
          "fsGroup",
          "fsGroupChangePolicy",
          "runAsNonRoot",
          "seLinuxChangePolicy",
          "seLinuxOptions",
          "seccompProfile",
          "supplementalGroups",
          "supplementalGroupsPolicy",
          "sysctls",
          "windowsOptions");
      runAsUser = id(security, "runAsUser");
      runAsGroup = id(security, "runAsGroup");
      security.done();
    }
    String account = spec.text("serviceAccountName", "");
    String oldAccount = spec.text("serviceAccount", "");
    if (account.isEmpty()) {
      account = oldAccount.isEmpty() ? "default" : oldAccount;
    }
    PodSpec read =
        new PodSpec(
            initContainers,
            containers,
            volumes,
            spec.choice(
                "restartPolicy",
                PodSpec.RestartPolicy.ALWAYS,
                Map.of(
                    "Always", PodSpec.RestartPolicy.ALWAYS,
                    "OnFailure", PodSpec.RestartPolicy.ON_FAILURE,
                    "Never", PodSpec.RestartPolicy.NEVER)),
            spec.longInteger(
                "terminationGracePeriodSeconds",
                PodSpec.DEFAULT_GRACE_SECONDS,
                0,
                Integer.MAX_VALUE),
            spec.text("nodeName", ""),
            spec.texts("nodeSelector"),
            spec.flag("hostNetwork", false),
            account,
            spec.text("hostname", ""),
            spec.text("subdomain", ""),
            runAsUser,
            runAsGroup,
            spec.list(
                "hostAliases",
                alias -> {
                  var line =
                      new PodSpec.HostAlias(
                          ObjectReader.ip(alias, "ip"), alias.textList("hostnames"));
                  alias.done();
                  return line;
                }));
    checkMounts(spec, read, volumeNames);
    spec.done();
    return read;
  }

  private static void checkMounts(Fields spec, PodSpec pod, Set<String> volumes) {
    for (List<Container> group : List.of(pod.initContainers(), pod.containers())) {
      for (Container container : group) {
        for (Container.VolumeMount mount : container.volumeMounts()) {
          if (!volumes.contains(mount.name())) {
            String guess = Fields.closest(mount.name(), volumes);
            throw spec.wrong(
                "volumes",
                "has no volume '"
                    + mount.name()
                    + "', which container '"
                    + container.name()
                    + "' mounts"
                    + (guess == null ? "" : "; did you mean '" + guess + "'?"));
          }
        }
      }
    }
  }

  private static @Nullable Long id(Fields security, String name) {
    return security.has(name) ? security.longInteger(name, 0, 0, 0xFFFF_FFFEL) : null;
  }

  private static Container container(Fields container) {
    container.ignore(
        "imagePullPolicy",
        "lifecycle",
        "resizePolicy",
        "resources",
        "restartPolicyRules",
        "stdin",
        "stdinOnce",
        "terminationMessagePath",
        "terminationMessagePolicy",
        "tty",
        "volumeDevices");
    Long runAsUser = null;
    Long runAsGroup = null;
    Fields security = container.child("securityContext");
    if (security != null) {
      security.ignore(
          "allowPrivilegeEscalation",
          "appArmorProfile",
          "capabilities",
          "privileged",
          "procMount",
          "readOnlyRootFilesystem",
          "runAsNonRoot",
          "seLinuxOptions",
          "seccompProfile",
          "windowsOptions");
      runAsUser = id(security, "runAsUser");
      runAsGroup = id(security, "runAsGroup");
      security.done();
    }
    Container read =
        new Container(
            container.text("name"),
            container.text("image", ""),
            container.textList("command"),
            container.textList("args"),
            container.text("workingDir", ""),
            container.list("envFrom", PodReader::envFrom),
            container.list("env", PodReader::env),
            container.list("ports", PodReader::port),
            container.list("volumeMounts", PodReader::mount),
            runAsUser,
            runAsGroup,
            probe(container, "startupProbe"),
            probe(container, "readinessProbe"),
            probe(container, "livenessProbe"),
            container.choice(
                "restartPolicy",
                false,
                Map.of("Always", true, "OnFailure", false, "Never", false)));
    for (String name : List.of("startupProbe", "readinessProbe", "livenessProbe")) {
      Probe probe =
          switch (name) {
            case "startupProbe" -> read.startupProbe();
            case "readinessProbe" -> read.readinessProbe();
            default -> read.livenessProbe();
          };
      String portName =
          probe == null
              ? ""
              : switch (probe.handler()) {
                case Probe.HttpGet http -> http.port().name();
                case Probe.TcpSocket tcp -> tcp.port().name();
                case Probe.Exec exec -> "";
                case Probe.Grpc grpc -> "";
              };
      if (!portName.isEmpty() && read.port(portName) == 0) {
        throw container.wrong(
            name, "asks port '" + portName + "', which is not among the container's ports");
      }
    }
    container.done();
    return read;
  }

  private static Container.Port port(Fields port) {
    port.ignore("hostIP", "hostPort");
    Container.Port read =
        new Container.Port(
            port.text("name", ""),
            port.integer("containerPort", 1, MAX_PORT),
            port.choice("protocol", "TCP", Map.of("TCP", "TCP", "UDP", "UDP", "SCTP", "SCTP")));
    port.done();
    return read;
  }

  private static Container.VolumeMount mount(Fields mount) {
    mount.ignore("mountPropagation", "recursiveReadOnly", "subPathExpr");
    Container.VolumeMount read =
        new Container.VolumeMount(
            mount.text("name"),
            mount.text("mountPath"),
            mount.text("subPath", ""),
            mount.flag("readOnly", false));
    if (!read.mountPath().startsWith("/")) {
      throw mount.wrong("mountPath", "'" + read.mountPath() + "' must start with '/'");
    }
    if (List.of(read.subPath().split("/")).contains("..")) {
      throw mount.wrong("subPath", "'" + read.subPath() + "' must not leave the volume");
    }
    mount.done();
    return read;
  }

  private static Container.EnvFrom envFrom(Fields from) {
    String prefix = from.text("prefix", "");
    Fields configMap = from.child("configMapRef");
    Fields secret = from.child("secretRef");
    Fields chosen = configMap != null ? configMap : secret;
    if (chosen == null || (configMap != null && secret != null)) {
      throw new dev.weir.api.yaml.YamlException(
          from.where(),
          from.path("configMapRef") + " or secretRef must be there, and only one of them");
    }
    Container.EnvFrom read =
        new Container.EnvFrom(
            prefix,
            configMap != null
                ? Container.EnvFrom.Source.CONFIG_MAP
                : Container.EnvFrom.Source.SECRET,
            chosen.text("name"),
            chosen.flag("optional", false));
    chosen.done();
    from.done();
    return read;
  }

  private static Container.EnvVar env(Fields env) {
    String name = env.text("name");
    if (name.isEmpty() || name.indexOf('=') >= 0 || name.indexOf('\0') >= 0) {
      throw env.wrong("name", "'" + name + "' cannot name a variable");
    }
    Fields from = env.child("valueFrom");
    Container.EnvValue value;
    if (from == null) {
      value = new Container.EnvValue.Text(env.text("value", ""));
    } else {
      if (env.has("value")) {
        throw env.wrong("valueFrom", "cannot stand beside value; remove one");
      }
      value = envSource(from);
    }
    env.done();
    return new Container.EnvVar(name, value);
  }

  private static Container.EnvValue envSource(Fields from) {
    List<Container.EnvValue> values = new ArrayList<>();
    Fields field = from.child("fieldRef");
    if (field != null) {
      values.add(new Container.EnvValue.Field(fieldPath(field)));
    }
    Fields resource = from.child("resourceFieldRef");
    if (resource != null) {
      resource.ignore("divisor");
      values.add(
          new Container.EnvValue.Resource(
              resource.text("containerName", ""), resource.text("resource")));
      resource.done();
    }
    Fields configMap = from.child("configMapKeyRef");
    if (configMap != null) {
      values.add(
          new Container.EnvValue.ConfigMapKey(
              configMap.text("name"), configMap.text("key"), configMap.flag("optional", false)));
      configMap.done();
    }
    Fields secret = from.child("secretKeyRef");
    if (secret != null) {
      values.add(
          new Container.EnvValue.SecretKey(
              secret.text("name"), secret.text("key"), secret.flag("optional", false)));
      secret.done();
    }
    from.done();
    if (values.size() != 1) {
      throw new dev.weir.api.yaml.YamlException(
          from.where(),
          from.path("fieldRef")
              + ", resourceFieldRef, configMapKeyRef or secretKeyRef must be there, and only one of them");
    }
    return values.getFirst();
  }

  private static String fieldPath(Fields field) {
    field.ignore("apiVersion");
    String path = field.text("fieldPath");
    field.done();
    return path;
  }

  private static @Nullable Probe probe(Fields container, String name) {
    Fields probe = container.child(name);
    if (probe == null) {
      return null;
    }
    probe.ignore("terminationGracePeriodSeconds");
    List<Probe.Handler> handlers = new ArrayList<>();
    Fields http = probe.child("httpGet");
    if (http != null) {
      Map<String, String> headers = new LinkedHashMap<>();
      http.list(
          "httpHeaders",
          header -> {
            headers.put(header.text("name"), header.text("value"));
            header.done();
            return header;
          });
      handlers.add(
          new Probe.HttpGet(
              http.choice("scheme", "HTTP", Map.of("HTTP", "HTTP", "HTTPS", "HTTPS")),
              http.text("host", ""),
              ObjectReader.portReference(http, "port"),
              http.text("path", "/"),
              headers));
      http.done();
    }
    Fields tcp = probe.child("tcpSocket");
    if (tcp != null) {
      handlers.add(
          new Probe.TcpSocket(tcp.text("host", ""), ObjectReader.portReference(tcp, "port")));
      tcp.done();
    }
    Fields exec = probe.child("exec");
    if (exec != null) {
      handlers.add(new Probe.Exec(exec.textList("command")));
      exec.done();
    }
    Fields grpc = probe.child("grpc");
    if (grpc != null) {
      handlers.add(new Probe.Grpc(grpc.integer("port", 1, MAX_PORT), grpc.text("service", "")));
      grpc.done();
    }
    Probe read =
        new Probe(
            handlers.isEmpty() ? new Probe.Exec(List.of()) : handlers.getFirst(),
            probe.integer("initialDelaySeconds", 0, 0, Integer.MAX_VALUE),
            probe.integer("periodSeconds", 10, 1, Integer.MAX_VALUE),
            probe.integer("timeoutSeconds", 1, 1, Integer.MAX_VALUE),
            probe.integer("successThreshold", 1, 1, Integer.MAX_VALUE),
            probe.integer("failureThreshold", 3, 1, Integer.MAX_VALUE));
    probe.done();
    if (handlers.size() != 1) {
      throw container.wrong(
          name,
          "must have exactly one of httpGet, tcpSocket, exec, grpc; it has " + handlers.size());
    }
    return read;
  }

  private static Volume volume(Fields volume) {
    String name = volume.text("name");
    List<Volume.Source> sources = new ArrayList<>();
    Fields emptyDir = volume.child("emptyDir");
    if (emptyDir != null) {
      emptyDir.ignore("sizeLimit");
      sources.add(new Volume.EmptyDir(emptyDir.text("medium", "")));
      emptyDir.done();
    }
    Fields hostPath = volume.child("hostPath");
    if (hostPath != null) {
      sources.add(new Volume.HostPath(hostPath.text("path"), hostPath.text("type", "")));
      hostPath.done();
    }
    Fields configMap = volume.child("configMap");
    if (configMap != null) {
      sources.add(configMapFiles(configMap));
    }
    Fields secret = volume.child("secret");
    if (secret != null) {
      sources.add(secretFiles(secret, "secretName"));
    }
    Fields downward = volume.child("downwardAPI");
    if (downward != null) {
      sources.add(podFields(downward));
    }
    Fields projected = volume.child("projected");
    if (projected != null) {
      projected.ignore("defaultMode");
      sources.add(new Volume.Projected(projected.list("sources", PodReader::projection)));
      projected.done();
    }
    for (String other : OTHER_VOLUMES) {
      if (volume.has(other)) {
        sources.add(new Volume.Other(other));
      }
    }
    volume.done();
    if (sources.size() > 1) {
      throw volume.wrong("name", "'" + name + "' has more than one source; keep one");
    }
    // Kubernetes takes a volume without a source for an emptyDir.
    return new Volume(name, sources.isEmpty() ? new Volume.EmptyDir("") : sources.getFirst());
  }

  private static Volume.Projection projection(Fields source) {
    List<Volume.Projection> projections = new ArrayList<>();
    Fields configMap = source.child("configMap");
    if (configMap != null) {
      projections.add(configMapFiles(configMap));
    }
    Fields secret = source.child("secret");
    if (secret != null) {
      projections.add(secretFiles(secret, "name"));
    }
    Fields downward = source.child("downwardAPI");
    if (downward != null) {
      projections.add(podFields(downward));
    }
    Fields token = source.child("serviceAccountToken");
    if (token != null) {
      projections.add(
          new Volume.ServiceAccountToken(
              token.text("audience", ""),
              token.longInteger("expirationSeconds", 3600, 600, 1L << 32),
              relative(token, "path")));
      token.done();
    }
    source.done();
    if (projections.size() != 1) {
      throw new dev.weir.api.yaml.YamlException(
          source.where(),
          source.path("configMap")
              + ", secret, downwardAPI or serviceAccountToken must be there, and only one of them");
    }
    return projections.getFirst();
  }

  private static Volume.ConfigMapFiles configMapFiles(Fields source) {
    source.ignore("defaultMode");
    Volume.ConfigMapFiles read =
        new Volume.ConfigMapFiles(
            source.text("name"), items(source), source.flag("optional", false));
    source.done();
    return read;
  }

  private static Volume.SecretFiles secretFiles(Fields source, String nameField) {
    source.ignore("defaultMode");
    Volume.SecretFiles read =
        new Volume.SecretFiles(
            source.text(nameField), items(source), source.flag("optional", false));
    source.done();
    return read;
  }

  private static Map<String, String> items(Fields source) {
    Map<String, String> items = new LinkedHashMap<>();
    source.list(
        "items",
        item -> {
          item.ignore("mode");
          items.put(item.text("key"), relative(item, "path"));
          item.done();
          return item;
        });
    return items;
  }

  private static Volume.PodFields podFields(Fields source) {
    source.ignore("defaultMode");
    Map<String, String> items = new LinkedHashMap<>();
    source.list(
        "items",
        item -> {
          item.ignore("mode");
          Fields field = item.child("fieldRef");
          String path = relative(item, "path");
          if (field != null) {
            items.put(path, fieldPath(field));
          } else {
            // A container's limits: of no interest here, but ordinary in manifests.
            item.required("resourceFieldRef");
          }
          item.done();
          return item;
        });
    source.done();
    return new Volume.PodFields(items);
  }

  /** A path inside a volume, which must not lead out of it. */
  private static String relative(Fields fields, String name) {
    String path = fields.text(name);
    if (path.isEmpty() || path.startsWith("/") || List.of(path.split("/")).contains("..")) {
      throw fields.wrong(name, "'" + path + "' must be a relative path inside the volume");
    }
    return path;
  }

  static PodStatus status(Fields status) {
    status.ignore(
        "allocatedResources",
        "ephemeralContainerStatuses",
        "extendedResourceClaimStatus",
        "initContainerStatuses",
        "nominatedNodeName",
        "observedGeneration",
        "qosClass",
        "resize",
        "resourceClaimStatuses",
        "resources");
    PodStatus read =
        new PodStatus(
            status.text("phase", ""),
            addresses(status, "hostIPs", "hostIP"),
            addresses(status, "podIPs", "podIP"),
            status.list("conditions", ObjectReader::condition),
            status.list(
                "containerStatuses",
                container ->
                    // A kubelet writes much more here, differently in each version.
                    new PodStatus.ContainerStatus(
                        container.text("name"),
                        container.flag("ready", false),
                        container.integer("restartCount", 0, 0, Integer.MAX_VALUE))),
            status.text("startTime", ""),
            status.text("reason", ""),
            status.text("message", ""));
    status.done();
    return read;
  }

  private static List<InetAddress> addresses(Fields status, String many, String one) {
    List<InetAddress> addresses =
        new ArrayList<>(
            status.list(
                many,
                entry -> {
                  InetAddress address = ObjectReader.ip(entry, "ip");
                  entry.done();
                  return address;
                }));
    if (!status.text(one, "").isEmpty() && addresses.isEmpty()) {
      addresses.add(ObjectReader.ip(status, one));
    }
    return addresses;
  }
}
