package dev.weir.agent.fairness;

/**
 * A pod's account at one moment; counts are since the pod was enrolled.
 *
 * @param received bytes towards the pod
 * @param sent bytes from it
 * @param shed what it was refused or lost because somebody had to give way
 * @param waitedMicros sum of what its work waited for others
 * @param waits how often it waited less than 1 µs, 2 µs, 4 µs, and so on
 */
@SuppressWarnings("ArrayRecordComponent") // Read once, by whoever prints it.
public record PodUsage(
    String namespace,
    String name,
    int weight,
    long cpuNanos,
    long received,
    long sent,
    int connections,
    long opened,
    int streams,
    long handshakes,
    long buffered,
    long shed,
    long waitedMicros,
    long[] waits) {

  PodUsage plus(PodUsage other) {
    long[] sums = waits.clone();
    for (int i = 0; i < sums.length; i++) {
      sums[i] += other.waits[i];
    }
    return new PodUsage(
        namespace,
        name,
        weight,
        cpuNanos + other.cpuNanos,
        received + other.received,
        sent + other.sent,
        connections + other.connections,
        opened + other.opened,
        streams + other.streams,
        handshakes + other.handshakes,
        buffered + other.buffered,
        shed + other.shed,
        waitedMicros + other.waitedMicros,
        sums);
  }

  public String label() {
    return namespace + "/" + name;
  }
}
