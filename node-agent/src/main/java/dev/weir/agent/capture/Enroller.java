package dev.weir.agent.capture;

import dev.weir.ffi.Fd;
import java.util.concurrent.CompletionStage;

/**
 * What an enrolment protocol asks of capture. Any thread; the stages end on the capture thread,
 * exceptionally with the reason.
 */
public interface Enroller {
  /**
   * Enrols the pod, or refreshes it where the uid is known. Takes ownership of the descriptor, also
   * on failure.
   */
  CompletionStage<Pod> add(PodName pod, Fd netns);

  /**
   * A pod that a former connection handed over is still there; fails where this agent has no
   * namespace of it.
   */
  CompletionStage<Pod> keep(String uid);

  /** The pod was opted out or is gone; fine where it is unknown. */
  CompletionStage<Void> remove(String uid);

  /** A new connection begins: what is not named before {@link #snapshotEnd} is to go. */
  CompletionStage<Void> snapshotBegin();

  CompletionStage<Void> snapshotEnd();

  /** How an enroller names a pod. */
  record PodName(String uid, String namespace, String name, String serviceAccount) {
    public String label() {
      return namespace + "/" + name;
    }
  }
}
