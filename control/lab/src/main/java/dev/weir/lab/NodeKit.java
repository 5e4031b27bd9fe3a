package dev.weir.lab;

import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** What a node has besides namespaces. Desk only. */
final class NodeKit {
  @Nullable Enroller enroller;
  @Nullable MeshProcess agent;

  /** Those that have handed over and finish what they have; several after quick upgrades. */
  final List<Former> formers = new ArrayList<>();

  /** An agent that was taken over from, and the name of its admin socket. */
  record Former(MeshProcess process, String adminSocket) {}

  String version = "";
  String adminSocket = "";

  /** Each has an admin socket of its own: those that drain are still asked how far they are. */
  int agents;

  String rulesApplied = "";
  boolean rulesInHand;

  MeshProcess currentAgent() {
    MeshProcess current = agent;
    if (current == null) {
      throw new LabException("this node has no agent");
    }
    return current;
  }
}
