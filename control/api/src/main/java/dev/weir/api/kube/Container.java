package dev.weir.api.kube;

import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * One container of a pod.
 *
 * @param runAsUser null where the pod's own decides
 * @param sidecar an init container that stays ({@code restartPolicy: Always})
 */
public record Container(
    String name,
    String image,
    List<String> command,
    List<String> args,
    String workingDir,
    List<EnvFrom> envFrom,
    List<EnvVar> env,
    List<Port> ports,
    List<VolumeMount> volumeMounts,
    @Nullable Long runAsUser,
    @Nullable Long runAsGroup,
    @Nullable Probe startupProbe,
    @Nullable Probe readinessProbe,
    @Nullable Probe livenessProbe,
    boolean sidecar) {
  public Container {
    command = List.copyOf(command);
    args = List.copyOf(args);
    envFrom = List.copyOf(envFrom);
    env = List.copyOf(env);
    ports = List.copyOf(ports);
    volumeMounts = List.copyOf(volumeMounts);
  }

  /** The probes that it has. */
  public List<Probe> probes() {
    List<Probe> probes = new ArrayList<>(3);
    for (Probe probe : new @Nullable Probe[] {startupProbe, readinessProbe, livenessProbe}) {
      if (probe != null) {
        probes.add(probe);
      }
    }
    return probes;
  }

  /**
   * The port that a probe dials on the pod; 0 if it dials none, or a name that the container lacks.
   */
  public int probePort(Probe probe) {
    PortReference port =
        switch (probe.handler()) {
          case Probe.HttpGet http -> http.host().isEmpty() ? http.port() : null;
          case Probe.TcpSocket tcp -> tcp.host().isEmpty() ? tcp.port() : null;
          case Probe.Grpc grpc -> PortReference.of(grpc.port());
          case Probe.Exec exec -> null;
        };
    if (port == null) {
      return 0;
    }
    return port.name().isEmpty() ? port.number() : port(port.name());
  }

  /** The number behind a port's name; 0 if it has no such port. */
  public int port(String name) {
    for (Port port : ports) {
      if (port.name().equals(name)) {
        return port.containerPort();
      }
    }
    return 0;
  }

  /** A port that the container says it serves. */
  public record Port(String name, int containerPort, String protocol) {}

  /** Where a volume appears in the container. */
  public record VolumeMount(String name, String mountPath, String subPath, boolean readOnly) {}

  /** All of a ConfigMap's or a Secret's keys as variables. */
  public record EnvFrom(String prefix, Source source, String name, boolean optional) {
    /** Which of the two. */
    public enum Source {
      CONFIG_MAP,
      SECRET
    }
  }

  /** A variable of the container's environment. */
  public record EnvVar(String name, EnvValue value) {}

  /** Where a variable's value comes from. */
  public sealed interface EnvValue {
    /** The manifest itself. */
    record Text(String text) implements EnvValue {}

    /** A field of the pod, such as {@code status.podIP}. */
    record Field(String path) implements EnvValue {}

    /** A container's limit or request. */
    record Resource(String container, String resource) implements EnvValue {}

    /** A key of a ConfigMap. */
    record ConfigMapKey(String name, String key, boolean optional) implements EnvValue {}

    /** A key of a Secret. */
    record SecretKey(String name, String key, boolean optional) implements EnvValue {}
  }
}
