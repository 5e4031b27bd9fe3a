package dev.weir.bench;

import dev.weir.api.json.Json;
import java.io.IOException;
import java.util.List;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;

/** What {@code weir lab status} says of the bench's lab. */
record Status(Json json) {
  private static final long PATIENCE_NANOS = TimeUnit.SECONDS.toNanos(60);
  private static final long LOOK_AGAIN_NANOS = TimeUnit.MILLISECONDS.toNanos(50);

  interface Condition {
    boolean holds() throws IOException;
  }

  static Status read(Weir weir) throws IOException {
    return new Status(Json.parse(weir.run("lab", "status", "--name", weir.lab(), "-o", "json")));
  }

  record PodEntry(String ip, String netns) {}

  PodEntry pod(String pod) throws IOException {
    for (Json each : json.get("pods").items()) {
      if (each.get("name").text().equals(pod)) {
        return new PodEntry(each.get("ips").items().getFirst().text(), each.get("netns").text());
      }
    }
    throw new IOException("the lab has no pod " + pod);
  }

  String ip(String pod) throws IOException {
    return pod(pod).ip;
  }

  String clusterIp(String service) throws IOException {
    for (Json each : json.get("services").items()) {
      if (each.get("name").text().equals(service)) {
        return each.get("clusterIPs").items().getFirst().text();
      }
    }
    throw new IOException("the lab has no service " + service);
  }

  static void awaitEnrolled(Weir weir, Set<String> pods) throws IOException {
    await(
        "exactly these pods to be in the mesh: " + pods,
        () ->
            read(weir).json.get("pods").items().stream()
                .allMatch(
                    pod -> pod.get("enrolled").isTrue() == pods.contains(pod.get("name").text())));
  }

  long enrolledCount() {
    return json.get("pods").items().stream().filter(pod -> pod.get("enrolled").isTrue()).count();
  }

  static void await(String what, Condition condition) throws IOException {
    long deadline = System.nanoTime() + PATIENCE_NANOS;
    while (!condition.holds()) {
      if (System.nanoTime() > deadline) {
        throw new IOException("waited 60 s in vain for " + what);
      }
      LockSupport.parkNanos(LOOK_AGAIN_NANOS);
    }
  }

  /** The agents, node by node. */
  List<ProxyProcess> agents() {
    return json.get("nodes").items().stream()
        .map(node -> new ProxyProcess(node.get("agent").get("pid").integer()))
        .toList();
  }

  /** User and system time of the first node's agent so far. */
  double agentCpuMillis() throws IOException {
    return agents().getFirst().cpuMillis();
  }
}
