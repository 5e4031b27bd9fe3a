package dev.weir.agent.capture;

import java.net.InetAddress;
import java.util.Collection;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Who is who: pods by number and address, identities by number. Written on the capture thread;
 * readers on any thread see one immutable snapshot.
 */
final class PodBook {
  // Names for flows that end after their pod: enough for those of a few minutes.
  private static final int REMEMBERED_MAX = 4_096;

  private record Snapshot(
      List<Pod> pods, Map<Integer, Pod> byNumber, Map<InetAddress, Pod> byAddress) {}

  private volatile Snapshot snapshot = new Snapshot(List.of(), Map.of(), Map.of());
  // Withdrawn pods whose namespace is still held, since connections of theirs live.
  private volatile Map<Integer, Pod> leaving = Map.of();
  private volatile Map<Integer, Pod> remembered = Map.of();
  private final LinkedHashMap<Integer, Pod> rememberedInOrder = new LinkedHashMap<>();
  private final Map<String, Integer> identities = new HashMap<>();
  private int lastPod;
  private int lastIdentity;

  /** Numbers that some map still mentions are not given again. */
  void seen(int podNumber, int identityNumber) {
    lastPod = Math.max(lastPod, podNumber);
    lastIdentity = Math.max(lastIdentity, identityNumber);
  }

  /** Leaves room for the numbers that an agent which still lives gives meanwhile. */
  void skip(int count) {
    lastPod += count;
    lastIdentity += count;
  }

  int nextPodNumber() {
    return ++lastPod;
  }

  /**
   * The identity's number, a new one where it has none, preferably the one that a former agent gave
   * it.
   */
  int identityNumber(String identity, int preferred) {
    return identities.computeIfAbsent(
        identity,
        name ->
            preferred != 0 && !identities.containsValue(preferred) ? preferred : ++lastIdentity);
  }

  /** 0 where the identity has none. */
  int identityNumber(String identity) {
    return identities.getOrDefault(identity, 0);
  }

  /** Null where no identity has the number, as one that only a former agent knew. */
  @Nullable String identity(int number) {
    for (Map.Entry<String, Integer> each : identities.entrySet()) {
      if (each.getValue() == number) {
        return each.getKey();
      }
    }
    return null;
  }

  void publish(Collection<Pod> pods) {
    Map<Integer, Pod> byNumber = HashMap.newHashMap(pods.size());
    Map<InetAddress, Pod> byAddress = HashMap.newHashMap(pods.size() * 2);
    for (Pod pod : pods) {
      byNumber.put(pod.number(), pod);
      for (InetAddress address : pod.addresses()) {
        byAddress.put(address, pod);
      }
      rememberedInOrder.remove(pod.number());
      rememberedInOrder.put(pod.number(), pod);
    }
    while (rememberedInOrder.size() > REMEMBERED_MAX) {
      rememberedInOrder.pollFirstEntry();
    }
    remembered = Map.copyOf(rememberedInOrder);
    snapshot = new Snapshot(List.copyOf(pods), Map.copyOf(byNumber), Map.copyOf(byAddress));
  }

  void publishLeaving(Map<Integer, Pod> pods) {
    leaving = Map.copyOf(pods);
  }

  List<Pod> pods() {
    return snapshot.pods;
  }

  @Nullable Pod at(InetAddress address) {
    return snapshot.byAddress.get(address);
  }

  /** An enrolled pod. */
  @Nullable Pod byNumber(int number) {
    return snapshot.byNumber.get(number);
  }

  /** A pod whose namespace can still be entered. */
  @Nullable Pod withNetns(int number) {
    Pod pod = snapshot.byNumber.get(number);
    return pod == null ? leaving.get(number) : pod;
  }

  /** A pod that is or was: for names in reports only. */
  @Nullable Pod remembered(int number) {
    Pod pod = snapshot.byNumber.get(number);
    return pod == null ? remembered.get(number) : pod;
  }
}
