package dev.weir.control.xds;

import dev.weir.api.model.Addresses;
import dev.weir.api.proto.discovery.DeltaDiscoveryRequest;
import dev.weir.api.proto.discovery.DeltaDiscoveryResponse;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.BiFunction;
import org.jspecify.annotations.Nullable;

/**
 * One type's state on one stream, as the xDS protocol's incremental variant has it. Belongs to the
 * xds thread.
 *
 * <p>A client follows everything (wildcard) or what it names. Of a wildcard client only the
 * snapshot that it was told last is kept, not a version for each resource. A change is told in
 * responses of bounded size; the next one goes out when the client has answered the one before, so
 * a slow client costs one response in memory, and what changes meanwhile is told as one difference.
 */
final class Subscription {
  private static final String EVERYTHING = "*";

  /** Well under gRPC's default limit of 4 MiB a message. */
  private static final int MOST_BYTES = 1 << 20;

  /** A client that names more than this many resources should follow everything. */
  static final int MOST_NAMES = 100_000;

  private final String type;
  private boolean started;
  private boolean wildcard;

  /** Names were unsubscribed, so what was told only because of them is of no interest any more. */
  private boolean forget;

  private final Set<String> asked = new LinkedHashSet<>();
  private final Set<String> toAnswer = new LinkedHashSet<>();

  /** What a wildcard client was told last in full; null before that. */
  private @Nullable Snapshot told;

  /** What a client without wildcard was told of last. */
  private @Nullable Snapshot toldByName;

  /** Gone, and not told yet: {@link #next} was asked to keep it back. */
  private final Set<String> kept = new LinkedHashSet<>();

  /**
   * What the client has: versions it came with, and for a client without wildcard what it was told
   * since.
   */
  private final Map<String, String> has = new HashMap<>();

  private List<Published> changed = List.of();
  private List<String> removed = List.of();
  private int nextChanged;
  private int nextRemoved;
  private boolean owesResponse;
  private boolean aliases;
  private @Nullable Snapshot telling;

  private String awaited = "";
  private boolean awaitedEnds;
  private long acked;

  Subscription(String type) {
    this.type = type;
  }

  String type() {
    return type;
  }

  /** The generation that the client has acknowledged in full. */
  long acked() {
    return acked;
  }

  /** Whether the client has answered all of this snapshot, but for removals kept back. */
  boolean answered(Snapshot snapshot) {
    return (wildcard ? told : toldByName) == snapshot && awaited.isEmpty() && !telling();
  }

  /**
   * Takes in a request.
   *
   * @return whether it refuses the response in flight (NACK)
   */
  boolean take(DeltaDiscoveryRequest request) {
    if (!started) {
      started = true;
      // xDS: a first request without names is a wildcard by itself; later the same is no change.
      wildcard = request.getResourceNamesSubscribeCount() == 0;
      has.putAll(request.getInitialResourceVersionsMap());
    }
    for (String name : request.getResourceNamesSubscribeList()) {
      if (name.equals(EVERYTHING)) {
        wildcard = true;
      } else if (asked.size() < MOST_NAMES) {
        asked.add(name);
        toAnswer.add(name);
      } else {
        throw new IllegalArgumentException(
            "more than " + MOST_NAMES + " names subscribed; subscribe to * instead");
      }
    }
    for (String name : request.getResourceNamesUnsubscribeList()) {
      if (name.equals(EVERYTHING)) {
        wildcard = false;
        Snapshot last = told;
        if (last != null) {
          told = null;
          keepNamed(last);
        }
      } else {
        asked.remove(name);
        toAnswer.remove(name);
        forget = true;
      }
    }
    if (awaited.isEmpty() || !request.getResponseNonce().equals(awaited)) {
      return false;
    }
    awaited = "";
    boolean refused = request.hasErrorDetail();
    if (awaitedEnds && telling != null && !refused) {
      acked = telling.generation();
    }
    return refused;
  }

  /** From wildcard to names only: of all that it was told, what it asks for by name counts on. */
  private void keepNamed(Snapshot last) {
    for (String name : asked) {
      for (Published resource : last.named(name)) {
        has.put(resource.name(), resource.version());
      }
    }
  }

  /**
   * The next response, or null if there is nothing to tell or one is still unanswered.
   *
   * @param difference of two snapshots; shared by all wildcard clients
   * @param keepRemoved tell a wildcard client what is new, and what is gone only later
   */
  DeltaDiscoveryResponse.@Nullable Builder next(
      Snapshot current,
      BiFunction<Snapshot, Snapshot, Snapshot.Change> difference,
      boolean keepRemoved,
      String nonce) {
    if (!started || !awaited.isEmpty()) {
      return null;
    }
    if (!telling()) {
      if (wildcard) {
        prepareWildcard(current, difference, keepRemoved);
      } else {
        prepareNamed(current);
      }
    }
    if (!telling()) {
      return null;
    }
    return tell(nonce);
  }

  private boolean telling() {
    return owesResponse || nextChanged < changed.size() || nextRemoved < removed.size();
  }

  private void prepareWildcard(
      Snapshot current,
      BiFunction<Snapshot, Snapshot, Snapshot.Change> difference,
      boolean keepRemoved) {
    Snapshot last = told;
    Snapshot.Change change;
    if (last == null) {
      change = current.since(has);
      has.clear();
      // A client is ready when it has heard once, even that there is nothing.
      owesResponse = true;
    } else if (last != current) {
      change = difference.apply(last, current);
      if (change.isEmpty() && acked == last.generation()) {
        acked = current.generation();
      }
    } else {
      change = new Snapshot.Change(List.of(), List.of());
    }
    if (keepRemoved) {
      kept.addAll(change.removed());
      change = new Snapshot.Change(change.changed(), List.of());
    } else if (!kept.isEmpty()) {
      kept.addAll(change.removed());
      // What has come back meanwhile is among the changed.
      kept.removeIf(name -> current.get(name) != null);
      change = new Snapshot.Change(change.changed(), List.copyOf(kept));
      kept.clear();
    }
    if (!toAnswer.isEmpty()) {
      Map<String, Published> wanted = new LinkedHashMap<>();
      Set<String> missing = new LinkedHashSet<>(change.removed());
      change.changed().forEach(resource -> wanted.put(resource.name(), resource));
      answer(current, wanted, missing);
      change = new Snapshot.Change(List.copyOf(wanted.values()), List.copyOf(missing));
      owesResponse = true;
      aliases = true;
    } else {
      aliases = false;
    }
    told = current;
    begin(current, change);
  }

  private void prepareNamed(Snapshot current) {
    toldByName = current;
    Map<String, Published> wanted = new LinkedHashMap<>();
    for (String name : asked) {
      for (Published resource : current.named(name)) {
        wanted.put(resource.name(), resource);
      }
    }
    if (forget) {
      forget = false;
      has.keySet().retainAll(wanted.keySet());
    }
    Set<String> missing = new LinkedHashSet<>();
    for (String name : has.keySet()) {
      if (!wanted.containsKey(name)) {
        // A workload that no longer answers for the service that was asked for: the client must
        // hear so.
        Published still = current.get(name);
        if (still == null) {
          missing.add(name);
        } else {
          wanted.put(name, still);
        }
      }
    }
    has.keySet().removeAll(missing);
    Map<String, Published> news = new LinkedHashMap<>();
    for (Published resource : wanted.values()) {
      if (!resource.version().equals(has.get(resource.name()))) {
        news.put(resource.name(), resource);
      }
    }
    if (!toAnswer.isEmpty()) {
      answer(current, news, missing);
      owesResponse = true;
    }
    for (Published resource : news.values()) {
      has.put(resource.name(), resource.version());
    }
    aliases = true;
    begin(current, new Snapshot.Change(List.copyOf(news.values()), List.copyOf(missing)));
  }

  /**
   * A name just asked for is answered even if the client has it, and by its absence if there is
   * none.
   */
  private void answer(Snapshot current, Map<String, Published> wanted, Set<String> missing) {
    for (String name : toAnswer) {
      List<Published> found = current.named(name);
      if (found.isEmpty()) {
        missing.add(name);
      }
      for (Published resource : found) {
        wanted.put(resource.name(), resource);
      }
    }
    toAnswer.clear();
  }

  private void begin(Snapshot current, Snapshot.Change change) {
    telling = current;
    changed = change.changed();
    removed = change.removed();
    nextChanged = 0;
    nextRemoved = 0;
  }

  private DeltaDiscoveryResponse.Builder tell(String nonce) {
    DeltaDiscoveryResponse.Builder response =
        DeltaDiscoveryResponse.newBuilder().setTypeUrl(type).setNonce(nonce);
    int bytes = 0;
    // What is gone first: a new pod may have the address of an old one.
    while (nextRemoved < removed.size() && bytes < MOST_BYTES) {
      String name = removed.get(nextRemoved++);
      response.addRemovedResources(name);
      bytes += name.length() + 4;
    }
    while (nextChanged < changed.size()) {
      Published resource = changed.get(nextChanged);
      if (bytes > 0 && bytes + resource.bytes() > MOST_BYTES) {
        break;
      }
      response.addResources(aliases ? resource.resourceWithAliases() : resource.resource());
      bytes += resource.bytes();
      nextChanged++;
    }
    owesResponse = false;
    awaited = nonce;
    awaitedEnds = !telling();
    if (awaitedEnds) {
      changed = List.of();
      removed = List.of();
      nextChanged = 0;
      nextRemoved = 0;
      Snapshot end = telling;
      response.setSystemVersionInfo(end == null ? "" : Long.toString(end.generation()));
    } else {
      response.setSystemVersionInfo(Addresses.PARTIAL);
    }
    return response;
  }
}
