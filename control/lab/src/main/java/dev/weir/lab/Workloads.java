package dev.weir.lab;

import dev.weir.api.kube.DaemonSet;
import dev.weir.api.kube.Deployment;
import dev.weir.api.kube.Job;
import dev.weir.api.kube.KubeObject;
import dev.weir.api.kube.Metadata;
import dev.weir.api.kube.OwnerReference;
import dev.weir.api.kube.Pod;
import dev.weir.api.kube.PodSpec;
import dev.weir.api.kube.PodStatus;
import dev.weir.api.kube.PodTemplate;
import dev.weir.api.kube.ReplicaSet;
import dev.weir.api.kube.StatefulSet;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.random.RandomGenerator;

/**
 * What the controllers of a cluster would do next: from workloads and the pods that are to the pods
 * to make and to stop. Pure but for names; asked again after every change, so it takes one step at
 * a time where order matters.
 */
final class Workloads {
  /** Without vowels, as Kubernetes has it: no name becomes a word. */
  private static final String ALPHABET = "bcdfghjklmnpqrstvwxz2456789";

  static final String HASH_LABEL = "pod-template-hash";

  private final RandomGenerator random;

  Workloads(RandomGenerator random) {
    this.random = random;
  }

  /** A pod to make. */
  record Wanted(Pod pod, String owner, String revision) {}

  record Step(List<Wanted> make, List<PodRun> stop) {}

  /** How a pod of the workload compares with it. */
  private record Group(List<PodRun> current, List<PodRun> outdated) {
    static Group of(Collection<PodRun> pods, String revision) {
      List<PodRun> current = new ArrayList<>();
      List<PodRun> outdated = new ArrayList<>();
      for (PodRun pod : pods) {
        if (!pod.stopping()) {
          (pod.revision.equals(revision) ? current : outdated).add(pod);
        }
      }
      return new Group(current, outdated);
    }
  }

  static String revision(PodTemplate template) {
    return encode(Integer.toUnsignedLong(template.hashCode()), 8);
  }

  private static String encode(long number, int length) {
    StringBuilder text = new StringBuilder();
    for (long rest = number; text.length() < length; rest /= ALPHABET.length()) {
      text.append(ALPHABET.charAt((int) (rest % ALPHABET.length())));
    }
    return text.toString();
  }

  /** The next step for one workload. */
  Step step(KubeObject workload, Collection<PodRun> pods, Collection<LabNode> nodes) {
    return switch (workload) {
      case Deployment deployment -> deployment(deployment, pods);
      case ReplicaSet set -> replicas(set, set.template(), set.replicas(), pods);
      case StatefulSet set -> statefulSet(set, pods);
      case DaemonSet set -> daemonSet(set, pods, nodes);
      case Job job -> job(job, pods);
      default -> new Step(List.of(), List.of());
    };
  }

  /**
   * A rolling update with Kubernetes' defaults: a quarter more, rounded up, and a quarter fewer
   * ready, rounded down.
   */
  private Step deployment(Deployment deployment, Collection<PodRun> pods) {
    int want = deployment.replicas();
    Group group = Group.of(pods, revision(deployment.template()));
    if (group.outdated().isEmpty()) {
      return replicas(deployment, deployment.template(), want, pods);
    }
    int surge = (want + 3) / 4;
    int most = want + surge;
    int present = group.current().size() + group.outdated().size();
    int create =
        Math.clamp(Math.min((long) want - group.current().size(), (long) most - present), 0, want);
    int leastReady = want - want / 4;
    long ready = pods.stream().filter(pod -> !pod.stopping() && pod.pod().ready()).count();
    List<PodRun> stop = new ArrayList<>();
    for (PodRun old : group.outdated()) {
      if (!old.pod().ready()) {
        stop.add(old);
      } else if (ready > leastReady) {
        stop.add(old);
        ready--;
      }
    }
    return new Step(many(deployment, deployment.template(), create, pods), stop);
  }

  private Step replicas(KubeObject owner, PodTemplate template, int want, Collection<PodRun> pods) {
    List<PodRun> living = pods.stream().filter(pod -> !pod.stopping()).toList();
    if (living.size() <= want) {
      return new Step(many(owner, template, want - living.size(), pods), List.of());
    }
    // The least useful first: not ready, then the youngest.
    List<PodRun> stop =
        living.reversed().stream()
            .sorted(Comparator.comparing(pod -> pod.pod().ready()))
            .limit(living.size() - (long) want)
            .toList();
    return new Step(List.of(), stop);
  }

  private List<Wanted> many(
      KubeObject owner, PodTemplate template, int count, Collection<PodRun> pods) {
    Set<String> taken = new HashSet<>();
    pods.forEach(pod -> taken.add(pod.pod().name()));
    String revision = revision(template);
    // A Deployment's pods belong to a ReplicaSet, which stands between them here only by its name.
    boolean deployment = owner instanceof Deployment;
    String base = deployment ? owner.name() + "-" + revision : owner.name();
    OwnerReference reference =
        deployment
            ? new OwnerReference(
                "apps/v1", "ReplicaSet", base, owner.metadata().uid() + "-" + revision, true)
            : reference(owner);
    List<Wanted> wanted = new ArrayList<>();
    while (wanted.size() < count) {
      String name = base + "-" + encode(random.nextLong() >>> 1, 5);
      if (taken.add(name)) {
        Map<String, String> labels = new LinkedHashMap<>(template.labels());
        if (deployment) {
          labels.put(HASH_LABEL, revision);
        }
        wanted.add(
            new Wanted(
                pod(owner, template, name, labels, reference, template.spec()),
                owner.key(),
                revision));
      }
    }
    return wanted;
  }

  private Step statefulSet(StatefulSet set, Collection<PodRun> pods) {
    String revision = revision(set.template());
    List<Wanted> make = new ArrayList<>();
    List<PodRun> stop = new ArrayList<>();
    boolean allReady = true;
    for (int ordinal = 0; ordinal < set.replicas(); ordinal++) {
      String name = set.name() + "-" + ordinal;
      PodRun present =
          pods.stream().filter(pod -> pod.pod().name().equals(name)).findFirst().orElse(null);
      if (present == null) {
        if (set.parallel() || allReady) {
          make.add(ordinal(set, name, ordinal, revision));
        }
        allReady = false;
      } else if (present.stopping() || !present.pod().ready()) {
        allReady = false;
      }
    }
    List<PodRun> excess =
        pods.stream()
            .filter(pod -> ordinalOf(set, pod) >= set.replicas())
            .sorted(Comparator.comparingInt((PodRun pod) -> ordinalOf(set, pod)).reversed())
            .toList();
    if (set.parallel()) {
      stop.addAll(excess);
    } else if (!excess.isEmpty()) {
      stop.add(excess.getFirst());
    }
    if (excess.isEmpty() && make.isEmpty()) {
      // From the highest down, one at a time, and a sick one first: it may be what the update
      // mends.
      pods.stream()
          .filter(pod -> !pod.stopping() && !pod.revision.equals(revision))
          .filter(pod -> allReadyBut(pods, pod))
          .max(Comparator.comparingInt(pod -> ordinalOf(set, pod)))
          .ifPresent(stop::add);
    }
    return new Step(make, stop);
  }

  private static boolean allReadyBut(Collection<PodRun> pods, PodRun one) {
    return pods.stream().allMatch(pod -> pod.equals(one) || (!pod.stopping() && pod.pod().ready()));
  }

  private static int ordinalOf(StatefulSet set, PodRun pod) {
    return Integer.parseInt(pod.pod().name().substring(set.name().length() + 1));
  }

  private static Wanted ordinal(StatefulSet set, String name, int ordinal, String revision) {
    Map<String, String> labels = new LinkedHashMap<>(set.template().labels());
    labels.put("statefulset.kubernetes.io/pod-name", name);
    labels.put("apps.kubernetes.io/pod-index", Integer.toString(ordinal));
    PodSpec spec = set.template().spec().withHostname(name, set.serviceName());
    return new Wanted(
        pod(set, set.template(), name, labels, reference(set), spec), set.key(), revision);
  }

  private Step daemonSet(DaemonSet set, Collection<PodRun> pods, Collection<LabNode> nodes) {
    String revision = revision(set.template());
    List<Wanted> make = new ArrayList<>();
    for (LabNode node : nodes) {
      boolean fits = Placement.fits(set.template().spec(), node);
      if (fits && pods.stream().noneMatch(pod -> pod.node.equals(node))) {
        Wanted wanted = many(set, set.template(), 1, pods).getFirst();
        make.add(
            new Wanted(
                new Pod(
                    wanted.pod().metadata(),
                    wanted.pod().spec().withNodeName(node.name()),
                    PodStatus.NONE),
                wanted.owner(),
                revision));
      }
    }
    List<PodRun> stop = new ArrayList<>();
    if (pods.stream()
        .allMatch(
            pod -> !pod.stopping() && (pod.pod().ready() || !pod.revision.equals(revision)))) {
      pods.stream().filter(pod -> !pod.revision.equals(revision)).findFirst().ifPresent(stop::add);
    }
    return new Step(make, stop);
  }

  private Step job(Job job, Collection<PodRun> pods) {
    long succeeded =
        pods.stream().filter(pod -> pod.pod().status().phase().equals("Succeeded")).count();
    long failed = pods.stream().filter(pod -> pod.pod().status().phase().equals("Failed")).count();
    long active = pods.size() - succeeded - failed;
    if (failed > job.backoffLimit()) {
      return new Step(
          List.of(), pods.stream().filter(pod -> pod.stage() == PodRun.Stage.RUNNING).toList());
    }
    long want = Math.min(job.parallelism() - active, job.completions() - succeeded - active);
    return new Step(many(job, job.template(), (int) Math.max(0, want), pods), List.of());
  }

  private static OwnerReference reference(KubeObject owner) {
    return new OwnerReference(
        owner.apiVersion(), owner.kind(), owner.name(), owner.metadata().uid(), true);
  }

  private static Pod pod(
      KubeObject owner,
      PodTemplate template,
      String name,
      Map<String, String> labels,
      OwnerReference reference,
      PodSpec spec) {
    Metadata metadata =
        Metadata.named(owner.namespace(), name)
            .withLabels(labels)
            .withAnnotations(template.annotations())
            .withOwners(List.of(reference));
    return new Pod(metadata, spec, PodStatus.NONE);
  }
}
