package dev.weir.cli;

import dev.weir.api.json.Json;
import dev.weir.lab.LabClient;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** The nodes of a lab, asked by their agents' admin sockets. */
final class Nodes {
  private Nodes() {}

  static AdminDoor admin(LabClient lab, String node) {
    return new AdminDoor(lab.paths().node(node).resolve("admin.sock"));
  }

  static List<String> names(LabClient lab) {
    return lab.status().get("nodes").items().stream().map(node -> node.get("name").text()).toList();
  }

  /** All nodes of a lab, or the one that was asked for; an error names those that there are. */
  static List<String> asked(LabClient lab, @Nullable String only) {
    List<String> names = names(lab);
    if (only == null) {
      return names;
    }
    if (!names.contains(only)) {
      throw new CommandFailure(
          "lab %s has no node '%s' (it has: %s)"
              .formatted(lab.name(), only, String.join(", ", names)));
    }
    return List.of(only);
  }

  /** The edges that the nodes saw, each with its node. */
  static List<Edge> edges(LabClient lab, List<String> nodes) {
    List<Edge> edges = new ArrayList<>();
    for (String node : nodes) {
      for (Json edge : admin(lab, node).get("/edges").items()) {
        edges.add(Edge.of(node, edge));
      }
    }
    return edges;
  }

  /**
   * The same, without the nodes whose agents do not answer: one that is being killed must not end
   * who watches.
   */
  static List<Edge> reachableEdges(LabClient lab, List<String> nodes) {
    List<Edge> edges = new ArrayList<>();
    for (String node : nodes) {
      try {
        edges.addAll(edges(lab, List.of(node)));
      } catch (CommandFailure e) {
        // Seen in what is missing: the node has no edges.
      }
    }
    return edges;
  }
}
