package dev.weir.agent.telemetry;

/** One edge of the last hour; bytes are the caller's. Names are empty where nothing is known. */
public record EdgeReport(
    String sourceNamespace,
    String sourceWorkload,
    String sourcePod,
    String namespace,
    String service,
    String workload,
    String pod,
    String address,
    Path path,
    long opened,
    long open,
    long failed,
    long bytesSent,
    long bytesReceived,
    int rttMicros) {}
