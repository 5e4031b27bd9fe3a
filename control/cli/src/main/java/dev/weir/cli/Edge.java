package dev.weir.cli;

import dev.weir.api.json.Json;

/** Who called whom, as one node's agent saw it. */
record Edge(
    String node,
    String source,
    String sourceNamespace,
    String destination,
    String destinationNamespace,
    String path,
    long opened,
    long open,
    long failed,
    long sent,
    long received,
    long rttMicros,
    Json raw) {

  static Edge of(String node, Json json) {
    Json source = json.get("source");
    Json destination = json.get("destination");
    String service = destination.get("service").text();
    return new Edge(
        node,
        first(source.get("workload").text(), source.get("pod").text(), "outside"),
        source.get("namespace").text(),
        first(
            service.isEmpty() ? "" : service.split("\\.", 2)[0] + arrow(destination),
            destination.get("workload").text(),
            first(destination.get("pod").text(), destination.get("address").text(), "outside")),
        destination.get("namespace").text(),
        json.get("path").text(),
        json.get("opened").integer(),
        json.get("open").integer(),
        json.get("failed").integer(),
        json.get("bytesSent").integer(),
        json.get("bytesReceived").integer(),
        json.get("rttMicros").integer(),
        json);
  }

  /** A Service's name with the workload behind it, where they differ. */
  private static String arrow(Json destination) {
    String workload = destination.get("workload").text();
    String service = destination.get("service").text().split("\\.", 2)[0];
    return workload.isEmpty() || workload.equals(service) ? "" : " (" + workload + ")";
  }

  private static String first(String best, String next, String last) {
    return !best.isEmpty() ? best : !next.isEmpty() ? next : last;
  }
}
