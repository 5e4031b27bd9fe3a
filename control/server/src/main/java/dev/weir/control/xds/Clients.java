package dev.weir.control.xds;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/** What is known of each stream, written by the xds thread and read by anyone. */
final class Clients {
  /** Nodes that went are remembered, so that an operator sees them; more than this many are not. */
  private static final int MOST_GONE = 1_000;

  private final ConcurrentHashMap<Long, ClientStatus> byStream = new ConcurrentHashMap<>();

  /** A stream said which node it is: what was remembered of that node is stale. */
  void arrived(String node) {
    byStream.values().removeIf(other -> !other.connected() && other.node().equals(node));
  }

  void put(long stream, ClientStatus status) {
    byStream.put(stream, status);
  }

  /** A stream ended; its node is remembered unless it has another one already. */
  void went(long stream, ClientStatus status) {
    byStream.remove(stream);
    if (status.node().isEmpty()
        || byStream.values().stream().anyMatch(other -> other.node().equals(status.node()))) {
      return;
    }
    byStream.put(stream, status);
    forgetOldest();
  }

  private void forgetOldest() {
    List<Map.Entry<Long, ClientStatus>> gone = new ArrayList<>();
    for (var entry : byStream.entrySet()) {
      if (!entry.getValue().connected()) {
        gone.add(entry);
      }
    }
    if (gone.size() > MOST_GONE) {
      gone.sort(Comparator.comparing(entry -> entry.getValue().since()));
      byStream.remove(gone.getFirst().getKey());
    }
  }

  List<ClientStatus> all() {
    List<ClientStatus> all = new ArrayList<>(byStream.values());
    all.sort(
        Comparator.comparing(ClientStatus::node)
            .thenComparing(ClientStatus::since)
            .thenComparing(ClientStatus::id));
    return all;
  }
}
