package dev.weir.cli;

import dev.weir.api.json.Json;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * What a pod had of its node's agent between two looks, per second.
 *
 * @param cpuMillis event loops' time, ms a second
 * @param connections through the agent now
 * @param opened connections begun a second
 * @param shed what was refused or cut because the pod had too much, a second
 * @param waitMicros what its work waited for other pods' turns, on average
 * @param waitP99Micros and in the slowest hundredth, rounded up to a power of two
 */
record PodLoad(
    String node,
    String namespace,
    String pod,
    int weight,
    double cpuMillis,
    double received,
    double sent,
    long connections,
    double opened,
    long streams,
    double handshakes,
    long buffered,
    double shed,
    double waitMicros,
    long waitP99Micros) {

  /** Pods of the second look; what the first one did not have began in between. */
  static List<PodLoad> between(String node, Json before, Json now) {
    Map<String, Json> earlier = new HashMap<>();
    before.get("pods").items().forEach(pod -> earlier.put(key(pod), pod));
    double seconds = (now.get("nanos").number() - before.get("nanos").number()) / 1e9;
    List<PodLoad> all = new ArrayList<>();
    for (Json pod : now.get("pods").items()) {
      Since since = new Since(earlier.getOrDefault(key(pod), Json.Nothing.NOTHING), pod, seconds);
      List<Json> waits = pod.get("waits").items();
      List<Json> waitsBefore = since.before.get("waits").items();
      long[] counts = new long[waits.size()];
      long count = 0;
      for (int i = 0; i < counts.length; i++) {
        long former = i < waitsBefore.size() ? waitsBefore.get(i).integer() : 0;
        counts[i] = Math.max(0, waits.get(i).integer() - former);
        count += counts[i];
      }
      all.add(
          new PodLoad(
              node,
              pod.get("namespace").text(),
              pod.get("pod").text(),
              (int) pod.get("weight").integer(),
              since.rate("cpuNanos") / 1e6,
              since.rate("bytesReceived"),
              since.rate("bytesSent"),
              pod.get("connections").integer(),
              since.rate("opened"),
              pod.get("streams").integer(),
              since.rate("handshakes"),
              pod.get("buffered").integer(),
              since.rate("shed"),
              count == 0 ? 0 : since.rate("waitedMicros") * seconds / count,
              p99(counts, count)));
    }
    return all;
  }

  private static String key(Json pod) {
    return pod.get("namespace").text() + "/" + pod.get("pod").text();
  }

  /** The n-th count is of waits below two to the n microseconds. */
  private static long p99(long[] counts, long all) {
    long slowest = all - all * 99 / 100;
    long seen = 0;
    for (int i = counts.length - 1; i > 0; i--) {
      seen += counts[i];
      if (seen >= slowest && seen > 0) {
        return 1L << i;
      }
    }
    return 0;
  }

  private record Since(Json before, Json now, double seconds) {
    /** What an agent counts begins anew with the next one. */
    double rate(String field) {
      double former = before.get(field).isNull() ? 0 : before.get(field).number();
      double grown = now.get(field).number() - former;
      return seconds <= 0 || grown < 0 ? 0 : grown / seconds;
    }
  }

  /** The two together, as one line for their node. */
  PodLoad plus(PodLoad other) {
    return new PodLoad(
        node,
        "",
        "",
        weight + other.weight,
        cpuMillis + other.cpuMillis,
        received + other.received,
        sent + other.sent,
        connections + other.connections,
        opened + other.opened,
        streams + other.streams,
        handshakes + other.handshakes,
        buffered + other.buffered,
        shed + other.shed,
        Math.max(waitMicros, other.waitMicros),
        Math.max(waitP99Micros, other.waitP99Micros));
  }

  Json json() {
    return Json.object()
        .with("node", node)
        .with("namespace", namespace)
        .with("pod", pod)
        .with("weight", weight)
        .with("cpuMillisPerSecond", cpuMillis)
        .with("bytesReceivedPerSecond", received)
        .with("bytesSentPerSecond", sent)
        .with("connections", connections)
        .with("openedPerSecond", opened)
        .with("streams", streams)
        .with("handshakesPerSecond", handshakes)
        .with("buffered", buffered)
        .with("shedPerSecond", shed)
        .with("queueDelayMicros", waitMicros)
        .with("queueDelayP99Micros", waitP99Micros)
        .build();
  }
}
