package dev.weir.api.kube;

import java.net.InetAddress;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/**
 * What a pod should be.
 *
 * @param serviceAccountName {@code default} where none is given
 * @param runAsUser null where the pod leaves it to its containers
 */
public record PodSpec(
    List<Container> initContainers,
    List<Container> containers,
    List<Volume> volumes,
    RestartPolicy restartPolicy,
    long terminationGracePeriodSeconds,
    String nodeName,
    Map<String, String> nodeSelector,
    boolean hostNetwork,
    String serviceAccountName,
    String hostname,
    String subdomain,
    @Nullable Long runAsUser,
    @Nullable Long runAsGroup,
    List<HostAlias> hostAliases) {
  public static final long DEFAULT_GRACE_SECONDS = 30;

  public PodSpec {
    initContainers = List.copyOf(initContainers);
    containers = List.copyOf(containers);
    volumes = List.copyOf(volumes);
    nodeSelector = Map.copyOf(nodeSelector);
    hostAliases = List.copyOf(hostAliases);
  }

  /** When a container that ended is started again. */
  public enum RestartPolicy {
    ALWAYS,
    ON_FAILURE,
    NEVER
  }

  /** A line of the pod's {@code /etc/hosts}. */
  public record HostAlias(InetAddress address, List<String> hostnames) {
    public HostAlias {
      hostnames = List.copyOf(hostnames);
    }
  }

  public PodSpec withNodeName(String value) {
    return new PodSpec(
        initContainers,
        containers,
        volumes,
        restartPolicy,
        terminationGracePeriodSeconds,
        value,
        nodeSelector,
        hostNetwork,
        serviceAccountName,
        hostname,
        subdomain,
        runAsUser,
        runAsGroup,
        hostAliases);
  }

  /** The name that DNS gives the pod: {@code hostname.subdomain.NAMESPACE.svc.DOMAIN}. */
  public PodSpec withHostname(String hostname, String subdomain) {
    return new PodSpec(
        initContainers,
        containers,
        volumes,
        restartPolicy,
        terminationGracePeriodSeconds,
        nodeName,
        nodeSelector,
        hostNetwork,
        serviceAccountName,
        hostname,
        subdomain,
        runAsUser,
        runAsGroup,
        hostAliases);
  }

  /** TCP ports that a probe from the node dials, sorted. */
  public List<Integer> probePorts() {
    TreeSet<Integer> ports = new TreeSet<>();
    for (List<Container> group : List.of(initContainers, containers)) {
      for (Container container : group) {
        for (Probe probe : container.probes()) {
          int port = container.probePort(probe);
          if (port > 0) {
            ports.add(port);
          }
        }
      }
    }
    return List.copyOf(ports);
  }

  /** The number behind a port's name among the containers; 0 if none has it. */
  public int port(String name) {
    for (Container container : containers) {
      int port = container.port(name);
      if (port > 0) {
        return port;
      }
    }
    // A sidecar is an init container that stays, and may serve too.
    for (Container container : initContainers) {
      int port = container.sidecar() ? container.port(name) : 0;
      if (port > 0) {
        return port;
      }
    }
    return 0;
  }
}
