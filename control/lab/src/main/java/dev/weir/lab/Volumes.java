package dev.weir.lab;

import dev.weir.api.kube.Container;
import dev.weir.api.kube.Pod;
import dev.weir.api.kube.PodSpec;
import dev.weir.api.kube.Volume;
import java.io.IOException;
import java.net.InetAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * What a pod's volumes hold. The desk works out contents ({@link #contents}), a hand writes them
 * into the pod's folder ({@link #write}), from where the sandbox binds them; later changes of a
 * ConfigMap or Secret are written to the same files and so appear in the pod, as a kubelet's do.
 */
final class Volumes {
  private Volumes() {}

  /**
   * Files by path for each volume that has any; throws where a ConfigMap or Secret is missing that
   * is not optional.
   */
  static Map<String, Map<String, byte[]>> contents(
      Pod pod, String nodeIp, Objects objects, Tokens tokens) {
    Map<String, Map<String, byte[]>> contents = new TreeMap<>();
    for (Volume volume : pod.spec().volumes()) {
      Map<String, byte[]> files = new TreeMap<>();
      switch (volume.source()) {
        case Volume.Projected(List<Volume.Projection> sources) ->
            sources.forEach(
                source -> files.putAll(projected(pod, nodeIp, source, objects, tokens)));
        case Volume.ConfigMapFiles map ->
            files.putAll(projected(pod, nodeIp, map, objects, tokens));
        case Volume.SecretFiles secret ->
            files.putAll(projected(pod, nodeIp, secret, objects, tokens));
        case Volume.PodFields fields ->
            files.putAll(projected(pod, nodeIp, fields, objects, tokens));
        case Volume.EmptyDir emptyDir -> {
          continue;
        }
        case Volume.HostPath path -> {
          continue;
        }
        case Volume.Other(String type) -> throw unfit(pod, volume, type);
      }
      contents.put(volume.name(), files);
    }
    return contents;
  }

  static LabException unfit(Pod pod, Volume volume, String type) {
    return new LabException(
        "pod %s/%s: volume %s: the lab has no %s (expected: configMap, secret, emptyDir, projected, downwardAPI or hostPath)"
            .formatted(pod.namespace(), pod.name(), volume.name(), type));
  }

  private static Map<String, byte[]> projected(
      Pod pod, String nodeIp, Volume.Projection source, Objects objects, Tokens tokens) {
    return switch (source) {
      case Volume.ConfigMapFiles(String name, Map<String, String> items, boolean optional) ->
          picked("ConfigMap", pod, name, items, optional, objects.configMap(pod.namespace(), name));
      case Volume.SecretFiles(String name, Map<String, String> items, boolean optional) ->
          picked("Secret", pod, name, items, optional, objects.secret(pod.namespace(), name));
      case Volume.PodFields(Map<String, String> items) -> {
        Map<String, byte[]> files = new TreeMap<>();
        items.forEach((path, field) ->
            files.put(path, PodFields.value(pod, nodeIp, field).getBytes(StandardCharsets.UTF_8)));
        yield files;
      }
      case Volume.ServiceAccountToken(String audience, long expirationSeconds, String path) ->
          Map.of(
              path,
              tokens.token(pod, audience, expirationSeconds).getBytes(StandardCharsets.US_ASCII));
    };
  }

  private static Map<String, byte[]> picked(
      String kind,
      Pod pod,
      String name,
      Map<String, String> items,
      boolean optional,
      @Nullable Map<String, byte[]> files) {
    if (files == null) {
      if (optional) {
        return Map.of();
      }
      throw ContainerEnv.missing(kind, pod, name);
    }
    if (items.isEmpty()) {
      return files;
    }
    Map<String, byte[]> picked = new TreeMap<>();
    for (Map.Entry<String, String> item : items.entrySet()) {
      byte[] content = files.get(item.getKey());
      if (content != null) {
        picked.put(item.getValue(), content);
      } else if (!optional) {
        throw new LabException(
            kind + " " + pod.namespace() + "/" + name + " has no key '" + item.getKey() + "'");
      }
    }
    return picked;
  }

  /** Writes what changed, each file whole or not at all, and takes away what is no more. */
  static void write(Path folder, Map<String, byte[]> files) {
    try {
      Files.createDirectories(folder);
      for (Map.Entry<String, byte[]> file : files.entrySet()) {
        Path path = folder.resolve(file.getKey()).normalize();
        if (!path.startsWith(folder)) {
          throw new LabException("a volume's file '" + file.getKey() + "' would lie outside of it");
        }
        if (Files.exists(path) && Arrays.equals(Files.readAllBytes(path), file.getValue())) {
          continue;
        }
        Files.createDirectories(path.resolveSibling("."));
        Path fresh = path.resolveSibling("." + path.getFileName() + ".new");
        Files.write(fresh, file.getValue());
        Files.move(fresh, path, StandardCopyOption.ATOMIC_MOVE);
      }
      try (Stream<Path> present = Files.walk(folder)) {
        for (Path path : present.filter(Files::isRegularFile).toList()) {
          if (!files.containsKey(folder.relativize(path).toString())) {
            Files.delete(path);
          }
        }
      }
    } catch (IOException e) {
      throw new LabException(folder + ": a volume cannot be written: " + e.getMessage(), e);
    }
  }

  static List<String> emptyDirs(PodSpec spec) {
    return spec.volumes().stream()
        .filter(volume -> volume.source() instanceof Volume.EmptyDir)
        .map(Volume::name)
        .toList();
  }

  /**
   * All mounts of all containers: they share one mount namespace, so two may not want different
   * things at one path.
   */
  static List<Sandbox.Mount> mounts(Pod pod, Path volumesFolder) {
    Map<String, Sandbox.Mount> mounts = new LinkedHashMap<>();
    List<Container> containers = new ArrayList<>(pod.spec().initContainers());
    containers.addAll(pod.spec().containers());
    for (Container container : containers) {
      for (Container.VolumeMount mount : container.volumeMounts()) {
        Volume volume =
            pod.spec().volumes().stream()
                .filter(candidate -> candidate.name().equals(mount.name()))
                .findFirst()
                .orElseThrow(() ->
                    new LabException(
                        "container "
                            + container.name()
                            + " mounts volume '"
                            + mount.name()
                            + "', which the pod does not have"));
        String source =
            switch (volume.source()) {
              case Volume.EmptyDir emptyDir -> volume.name();
              case Volume.HostPath(String path, String type) -> path;
              default -> volumesFolder.resolve(volume.name()).toString();
            };
        boolean written =
            !(volume.source() instanceof Volume.EmptyDir)
                && !(volume.source() instanceof Volume.HostPath);
        Sandbox.Mount wanted =
            new Sandbox.Mount(
                mount.mountPath(),
                mount.subPath().isEmpty() ? source : source + "/" + mount.subPath(),
                mount.readOnly() || written);
        Sandbox.Mount other = mounts.putIfAbsent(mount.mountPath(), wanted);
        if (other != null && !other.source().equals(wanted.source())) {
          throw new LabException(
              "two containers mount different volumes at "
                  + mount.mountPath()
                  + "; in the lab a pod's containers share their mounts");
        }
      }
    }
    // Parents before what lies in them.
    return mounts.values().stream().sorted(Comparator.comparing(Sandbox.Mount::path)).toList();
  }

  static String hosts(Pod pod) {
    StringBuilder hosts =
        new StringBuilder("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n");
    String hostname = pod.spec().hostname().isEmpty() ? pod.name() : pod.spec().hostname();
    String full =
        pod.spec().subdomain().isEmpty()
            ? ""
            : hostname
                + "."
                + pod.spec().subdomain()
                + "."
                + pod.namespace()
                + ".svc.cluster.local\t";
    for (InetAddress address : pod.status().podIps()) {
      hosts
          .append(address.getHostAddress())
          .append('\t')
          .append(full)
          .append(hostname)
          .append('\n');
    }
    pod.spec()
        .hostAliases()
        .forEach(alias ->
            hosts
                .append(alias.address().getHostAddress())
                .append('\t')
                .append(String.join("\t", alias.hostnames()))
                .append('\n'));
    return hosts.toString();
  }

  static String resolvConf(String namespace) {
    return "nameserver %s\nsearch %s.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n"
        .formatted(Addressing.DNS.getHostAddress(), namespace);
  }
}
