package dev.weir.lab;

import java.util.Collection;
import java.util.Collections;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;

/** The nodes, and what each has. Desk only. */
final class LabNodes {
  private final Map<String, LabNode> byName = new LinkedHashMap<>();
  private final Map<String, NodeKit> kits = new HashMap<>();

  void add(LabNode node) {
    byName.put(node.name(), node);
    kits.put(node.name(), new NodeKit());
  }

  Map<String, LabNode> byName() {
    return Map.copyOf(byName);
  }

  Collection<LabNode> all() {
    return Collections.unmodifiableCollection(byName.values());
  }

  LabNode named(String name) {
    LabNode node = byName.get(name);
    if (node == null) {
      throw new LabException(
          "no node '" + name + "' (there are: " + String.join(", ", byName.keySet()) + ")");
    }
    return node;
  }

  /** Empty where it is in none, or not there. */
  String zone(String name) {
    LabNode node = byName.get(name);
    return node == null ? "" : node.zone();
  }

  NodeKit kit(LabNode node) {
    NodeKit kit = kits.get(node.name());
    if (kit == null) {
      throw new IllegalStateException("node " + node.name() + " has no kit");
    }
    return kit;
  }
}
