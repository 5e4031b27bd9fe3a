package dev.weir.lab;

import dev.weir.api.kube.AnnotationException;
import dev.weir.api.kube.Annotations;
import dev.weir.api.kube.Enrolment;
import dev.weir.api.kube.Pod;
import java.util.Collection;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.BooleanSupplier;

/**
 * Which pods are handed to their node's agent, what it said of them, and their {@code
 * weir.dev/status}. Desk only.
 */
final class Enrolments implements Enroller.Register {
  private final BooleanSupplier mesh;
  private final Objects objects;
  private final LabNodes nodes;
  private final Runnable changed;

  /** Pods that were handed to an agent and not taken back, by UID. */
  private final Map<String, PodRun> enrolled = new LinkedHashMap<>();

  /** The agent's word on them: empty where it took them in. */
  private final Map<String, String> verdicts = new HashMap<>();

  Enrolments(BooleanSupplier mesh, Objects objects, LabNodes nodes, Runnable changed) {
    this.mesh = mesh;
    this.objects = objects;
    this.nodes = nodes;
    this.changed = changed;
  }

  boolean optedIn(PodRun pod) {
    if (!mesh.getAsBoolean()) {
      return false;
    }
    try {
      return Enrolment.of(pod.pod(), objects.namespace(pod.pod().namespace())).enrolled();
    } catch (AnnotationException e) {
      Log.warn(pod.pod().key() + ": " + e.getMessage());
      return false;
    }
  }

  /** Whether its agent has taken it in. */
  boolean has(PodRun pod) {
    return "".equals(verdicts.get(pod.pod().metadata().uid()));
  }

  /** Hands over those that want to be, and takes back those that do not any more. */
  void settle(Collection<PodRun> pods) {
    for (PodRun pod : pods) {
      String uid = pod.pod().metadata().uid();
      boolean wanted =
          pod.hasSandbox()
              && (pod.stage() == PodRun.Stage.ENROLLING || pod.stage() == PodRun.Stage.RUNNING)
              && optedIn(pod);
      Enroller enroller = nodes.kit(pod.node).enroller;
      if (enroller == null) {
        continue;
      }
      if (wanted && !enrolled.containsKey(uid)) {
        enrolled.put(uid, pod);
        enroller.add(workload(pod));
      } else if (!wanted && !pod.stopping() && enrolled.containsKey(uid)) {
        withdraw(uid, enroller);
      }
      show(pod);
    }
  }

  /** Its processes have ended. */
  void withdraw(PodRun pod) {
    Enroller enroller = nodes.kit(pod.node).enroller;
    String uid = pod.pod().metadata().uid();
    if (enroller != null && enrolled.containsKey(uid)) {
      withdraw(uid, enroller);
    }
  }

  private void withdraw(String uid, Enroller enroller) {
    enrolled.remove(uid);
    verdicts.remove(uid);
    enroller.delete(uid);
  }

  private void show(PodRun pod) {
    String uid = pod.pod().metadata().uid();
    String word = null;
    if (enrolled.containsKey(uid) || (optedIn(pod) && !pod.stopping())) {
      String verdict = verdicts.get(uid);
      if (verdict == null) {
        Enroller enroller = nodes.kit(pod.node).enroller;
        boolean agent = enroller != null && enroller.connected();
        word =
            "pending: "
                + (agent
                    ? "the agent has not answered yet"
                    : "no agent runs on " + pod.node.name());
      } else {
        word = verdict.isEmpty() ? Annotations.ENROLLED : "refused: " + verdict;
      }
    }
    Map<String, String> annotations = new LinkedHashMap<>(pod.pod().metadata().annotations());
    String before =
        word == null
            ? annotations.remove(Annotations.STATUS)
            : annotations.put(Annotations.STATUS, word);
    if (!java.util.Objects.equals(before, word)) {
      pod.replaceMetadata(pod.pod().metadata().withAnnotations(annotations));
    }
  }

  /** What an agent that connects is told of. */
  List<Enroller.Workload> on(LabNode node) {
    return enrolled.values().stream()
        .filter(pod -> pod.node.equals(node))
        .map(Enrolments::workload)
        .toList();
  }

  private static Enroller.Workload workload(PodRun run) {
    Pod pod = run.pod();
    return new Enroller.Workload(
        pod.metadata().uid(),
        pod.namespace(),
        pod.name(),
        pod.spec().serviceAccountName(),
        run.netns);
  }

  @Override
  public void answered(String uid, String error) {
    if (enrolled.containsKey(uid)) {
      verdicts.put(uid, error);
      changed.run();
    }
  }

  @Override
  public void synced(String node) {
    changed.run();
  }

  @Override
  public void disconnected(String node, boolean last) {
    changed.run();
  }
}
