package dev.weir.lab;

import dev.weir.api.kube.Annotations;
import dev.weir.api.kube.Deployment;
import dev.weir.api.kube.KubeObject;
import dev.weir.api.kube.Pod;
import dev.weir.api.kube.PodSpec;
import dev.weir.api.kube.ReplicaSet;
import dev.weir.api.kube.StatefulSet;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;

/** What a lab still lacks before it is ready, in people's words. Desk only. */
final class Readiness {
  private final Control control;
  private final LabNodes nodes;
  private final Bulletin bulletin;
  private final Objects objects;

  Readiness(Control control, LabNodes nodes, Bulletin bulletin, Objects objects) {
    this.control = control;
    this.nodes = nodes;
    this.bulletin = bulletin;
    this.objects = objects;
  }

  /**
   * A line for each.
   *
   * @param unplaced pods that no node fits, with the reason
   */
  List<String> missing(Collection<PodRun> pods, Map<String, String> unplaced) {
    List<String> missing = new ArrayList<>();
    mesh(missing);
    unplaced.forEach((key, why) -> missing.add(Objects.readable(key) + ": " + why));
    pods(pods, missing);
    replicas(pods, missing);
    return missing;
  }

  private void mesh(List<String> missing) {
    MeshProcess plane = control.process();
    if (plane != null && plane.state() != MeshProcess.State.READY) {
      missing.add(
          "the control plane is "
              + StatusPage.word(plane.state())
              + "; see `weir lab logs control`");
    }
    for (LabNode node : nodes.all()) {
      NodeKit kit = nodes.kit(node);
      MeshProcess agent = kit.agent;
      if (agent != null && agent.state() != MeshProcess.State.READY) {
        missing.add(
            "the agent of "
                + node.name()
                + " is "
                + StatusPage.word(agent.state())
                + "; see `weir lab logs agent/"
                + node.name()
                + "`");
      }
      if (!bulletin.inForce(kit)) {
        missing.add("ClusterIPs of " + node.name() + " are being written");
      }
    }
  }

  private static void pods(Collection<PodRun> pods, List<String> missing) {
    for (PodRun run : pods) {
      Pod pod = run.pod();
      boolean ends = pod.spec().restartPolicy() != PodSpec.RestartPolicy.ALWAYS;
      String phase = run.status().phase();
      boolean well =
          ends ? phase.equals("Running") || phase.equals("Succeeded") : run.status().ready();
      if (run.stopping()) {
        missing.add(Objects.readable(pod.key()) + " is ending");
      } else if (!well) {
        String why = run.trouble();
        String enrolment =
            pod.metadata().annotations().getOrDefault(Annotations.STATUS, Annotations.ENROLLED);
        missing.add(
            Objects.readable(pod.key())
                + " is "
                + phase
                + (why.isEmpty() ? "" : ": " + why)
                + (enrolment.equals(Annotations.ENROLLED) ? "" : "; mesh: " + enrolment));
      }
    }
  }

  private void replicas(Collection<PodRun> pods, List<String> missing) {
    for (KubeObject object : objects.all()) {
      long owned =
          pods.stream().filter(pod -> pod.owner.equals(object.key()) && !pod.stopping()).count();
      int want =
          switch (object) {
            case Deployment deployment -> deployment.replicas();
            case StatefulSet set -> set.replicas();
            case ReplicaSet set -> set.replicas();
            default -> 0;
          };
      if (owned < want) {
        missing.add(Objects.readable(object.key()) + ": " + owned + " of " + want + " pods");
      }
    }
  }
}
