package dev.weir.lab;

import java.util.concurrent.atomic.AtomicInteger;
import org.jspecify.annotations.Nullable;

/** What a node has besides namespaces. Desk only, but for {@link #synced}. */
final class NodeKit {
  @Nullable Enroller enroller;
  @Nullable MeshProcess agent;

  /** Two during an upgrade. */
  @Nullable MeshProcess former;

  String version = "";
  String adminSocket = "";
  String rulesApplied = "";
  boolean rulesInHand;

  /** How often an agent has had everything; read by threads that wait for the next time. */
  final AtomicInteger synced = new AtomicInteger();

  MeshProcess currentAgent() {
    MeshProcess current = agent;
    if (current == null) {
      throw new LabException("this node has no agent");
    }
    return current;
  }
}
