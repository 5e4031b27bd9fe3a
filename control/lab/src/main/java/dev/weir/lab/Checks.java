package dev.weir.lab;

import dev.weir.api.kube.Container;
import dev.weir.api.kube.DaemonSet;
import dev.weir.api.kube.Deployment;
import dev.weir.api.kube.Job;
import dev.weir.api.kube.KubeObject;
import dev.weir.api.kube.LabelSelector;
import dev.weir.api.kube.Manifest;
import dev.weir.api.kube.Manifests;
import dev.weir.api.kube.Node;
import dev.weir.api.kube.Pod;
import dev.weir.api.kube.PodSpec;
import dev.weir.api.kube.PodTemplate;
import dev.weir.api.kube.ReplicaSet;
import dev.weir.api.kube.StatefulSet;
import dev.weir.api.kube.Volume;
import dev.weir.api.yaml.Problem;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/** Reads what the user gave, and says what the lab cannot run before anything of it runs. Pure. */
final class Checks {
  /** More would not fit a terminal; the rest shows when these are mended. */
  private static final int MOST_PROBLEMS = 10;

  private Checks() {}

  /** All objects, or one exception with a line for each problem. */
  static List<Manifest> read(List<Source> sources) {
    List<Manifest> manifests = new ArrayList<>();
    List<Problem> problems = new ArrayList<>();
    for (Source source : sources) {
      Manifests.Result result = Manifests.read(source.name(), source.text());
      manifests.addAll(result.manifests());
      problems.addAll(result.problems());
    }
    for (Problem problem : Manifests.duplicates(manifests)) {
      if (!problems.contains(problem)) {
        problems.add(problem);
      }
    }
    for (Manifest manifest : manifests) {
      String wrong = unfit(manifest.object());
      if (wrong != null) {
        problems.add(new Problem(manifest.where(), wrong));
      }
    }
    if (!problems.isEmpty()) {
      List<String> lines = problems.stream().limit(MOST_PROBLEMS).map(Problem::toString).toList();
      String more =
          problems.size() > MOST_PROBLEMS
              ? "\n… and " + (problems.size() - MOST_PROBLEMS) + " more"
              : "";
      throw new LabException(String.join("\n", lines) + more);
    }
    return manifests;
  }

  private static @Nullable String unfit(KubeObject object) {
    return switch (object) {
      case Node node -> "the lab makes its own nodes; remove this, and use --nodes and --zone";
      case Pod pod -> unfit("Pod " + pod.name(), pod.spec());
      case Deployment workload -> unfit(workload, workload.selector(), workload.template());
      case ReplicaSet workload -> unfit(workload, workload.selector(), workload.template());
      case StatefulSet workload -> unfit(workload, workload.selector(), workload.template());
      case DaemonSet workload -> unfit(workload, workload.selector(), workload.template());
      case Job job -> unfit("Job " + job.name(), job.template().spec());
      default -> null;
    };
  }

  private static @Nullable String unfit(
      KubeObject workload, LabelSelector selector, PodTemplate template) {
    String name = workload.kind() + " " + workload.name();
    if (!selector.matches(template.labels())) {
      return name + ": its selector does not match the labels of its own template";
    }
    if (template.spec().restartPolicy() != PodSpec.RestartPolicy.ALWAYS) {
      return name + ": restartPolicy must be Always; use a Job for what ends";
    }
    return unfit(name, template.spec());
  }

  private static @Nullable String unfit(String who, PodSpec spec) {
    Set<String> names = new HashSet<>();
    for (Container container :
        Stream.concat(spec.initContainers().stream(), spec.containers().stream()).toList()) {
      if (!names.add(container.name())) {
        return who + ": a second container '" + container.name() + "'";
      }
      if (container.command().isEmpty()) {
        return who
            + ": container "
            + container.name()
            + " has no command: the lab runs programs of this machine and ignores images, so say which";
      }
      for (Container.VolumeMount mount : container.volumeMounts()) {
        if (spec.volumes().stream().noneMatch(volume -> volume.name().equals(mount.name()))) {
          return who
              + ": container "
              + container.name()
              + " mounts volume '"
              + mount.name()
              + "', which the pod does not have";
        }
        if (!mount.mountPath().startsWith("/") || mount.mountPath().equals("/")) {
          return who
              + ": mountPath '"
              + mount.mountPath()
              + "' (expected: an absolute path below /)";
        }
      }
    }
    if (spec.containers().isEmpty()) {
      return who + ": no containers";
    }
    for (Volume volume : spec.volumes()) {
      if (volume.source() instanceof Volume.Other(String type)) {
        return who
            + ": volume "
            + volume.name()
            + ": the lab has no "
            + type
            + " (expected: configMap, secret, emptyDir, projected, downwardAPI or hostPath)";
      }
    }
    if (!spec.nodeName().isEmpty()
        && !spec.nodeName().matches("[a-z0-9]([a-z0-9.-]{0,40}[a-z0-9])?")) {
      return who + ": nodeName '" + spec.nodeName() + "' (expected: a-z, 0-9, - and .)";
    }
    return null;
  }

  /** The spec of the pods that an object makes; null where it makes none. */
  static @Nullable PodSpec podSpec(KubeObject object) {
    return switch (object) {
      case Pod pod -> pod.spec();
      case Deployment workload -> workload.template().spec();
      case ReplicaSet workload -> workload.template().spec();
      case StatefulSet workload -> workload.template().spec();
      case DaemonSet workload -> workload.template().spec();
      case Job workload -> workload.template().spec();
      default -> null;
    };
  }
}
