package dev.weir.agent.tunnel;

import java.net.InetAddress;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.Map;
import java.util.Set;

/**
 * Connections to a pod's tunnel port whose handshake is not over, on one event loop, which owns
 * this. When there are too many, the one goes that waits longest of the source that has most: a
 * source that floods pushes out itself, and nobody who comes from elsewhere.
 */
final class Greetings {
  private final int most;
  private final Map<InetAddress, Set<Entry>> bySource = new LinkedHashMap<>();
  private int count;

  /** One connection, from being accepted until its handshake has ended. */
  final class Entry {
    private final InetAddress source;
    private Runnable close;
    private boolean pushedOut;

    private Entry(InetAddress source, Runnable close) {
      this.source = source;
      this.close = close;
    }

    /** What closes it from now on. */
    void closedBy(Runnable now) {
      close = now;
    }

    /** Whether it had to go for another's sake; it is closed then. */
    boolean isPushedOut() {
      return pushedOut;
    }

    /** Its handshake has ended, one way or the other. */
    void ended() {
      Set<Entry> same = bySource.get(source);
      if (same != null && same.remove(this)) {
        count--;
        if (same.isEmpty()) {
          bySource.remove(source);
        }
      }
    }

    private void pushOut() {
      pushedOut = true;
      ended();
      close.run();
    }
  }

  Greetings(int most) {
    this.most = most;
  }

  /** Whether the source has a handshake under way. */
  boolean isGreeting(InetAddress source) {
    return bySource.containsKey(source);
  }

  /**
   * @param close what closes it, where it has to go
   */
  Entry begun(InetAddress source, Runnable close) {
    Entry entry = new Entry(source, close);
    bySource.computeIfAbsent(source, _ -> new LinkedHashSet<>()).add(entry);
    if (++count > most) {
      oldestOfHeaviest().pushOut();
    }
    return entry;
  }

  // Sources are at most as many as entries, and this is asked only while a flood lasts. Where all
  // have as many, the source that came first loses.
  private Entry oldestOfHeaviest() {
    Set<Entry> heaviest = Set.of();
    for (Set<Entry> each : bySource.values()) {
      if (each.size() > heaviest.size()) {
        heaviest = each;
      }
    }
    return heaviest.iterator().next();
  }
}
