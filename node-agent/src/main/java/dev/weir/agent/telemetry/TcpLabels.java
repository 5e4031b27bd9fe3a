package dev.weir.agent.telemetry;

import dev.weir.agent.metrics.Exposition;
import dev.weir.api.model.Service;
import dev.weir.api.model.Workload;
import org.jspecify.annotations.Nullable;

/** Istio's standard labels of {@code istio_tcp_*}, so that its boards and Kiali read ours. */
final class TcpLabels {
  private static final String UNKNOWN = "unknown";

  private TcpLabels() {}

  /** All but {@code response_flags}; {@code reporter} is SOURCE or DESTINATION. */
  static String of(
      Reporter reporter,
      @Nullable Workload source,
      @Nullable Workload destination,
      @Nullable Service service,
      boolean mutualTls) {
    return Exposition.labels(
        "reporter", reporter == Reporter.SOURCE ? "source" : "destination",
        "source_workload", source == null ? UNKNOWN : known(source.ownerName()),
        "source_canonical_service", source == null ? UNKNOWN : known(source.canonicalName()),
        "source_canonical_revision", source == null ? UNKNOWN : revision(source),
        "source_workload_namespace", source == null ? UNKNOWN : known(source.namespace()),
        "source_principal", source == null ? UNKNOWN : source.identity(),
        "source_app", source == null ? UNKNOWN : known(source.canonicalName()),
        "source_version", source == null ? UNKNOWN : revision(source),
        "source_cluster", source == null ? UNKNOWN : known(source.cluster()),
        "source_region", source == null ? UNKNOWN : known(source.locality().region()),
        "source_zone", source == null ? UNKNOWN : known(source.locality().zone()),
        "destination_service", service == null ? UNKNOWN : service.hostname(),
        "destination_service_namespace", service == null ? UNKNOWN : service.namespace(),
        "destination_service_name", service == null ? UNKNOWN : service.name(),
        "destination_workload", destination == null ? UNKNOWN : known(destination.ownerName()),
        "destination_canonical_service",
            destination == null ? UNKNOWN : known(destination.canonicalName()),
        "destination_canonical_revision", destination == null ? UNKNOWN : revision(destination),
        "destination_workload_namespace",
            destination == null ? UNKNOWN : known(destination.namespace()),
        "destination_principal", destination == null ? UNKNOWN : destination.identity(),
        "destination_app", destination == null ? UNKNOWN : known(destination.canonicalName()),
        "destination_version", destination == null ? UNKNOWN : revision(destination),
        "destination_cluster", destination == null ? UNKNOWN : known(destination.cluster()),
        "destination_region",
            destination == null ? UNKNOWN : known(destination.locality().region()),
        "destination_zone", destination == null ? UNKNOWN : known(destination.locality().zone()),
        "request_protocol", "tcp",
        "connection_security_policy", mutualTls ? "mutual_tls" : UNKNOWN);
  }

  /** The label set of connections for which no other has room. */
  static String overflow(Reporter reporter) {
    return Exposition.labels(
        "reporter", reporter == Reporter.SOURCE ? "source" : "destination",
        "source_workload", "overflow",
        "destination_workload", "overflow",
        "request_protocol", "tcp",
        "connection_security_policy", UNKNOWN);
  }

  private static String known(String value) {
    return value.isEmpty() ? UNKNOWN : value;
  }

  /** Istio's word for a workload without a version label. */
  private static String revision(Workload workload) {
    return workload.canonicalRevision().isEmpty() ? "latest" : workload.canonicalRevision();
  }
}
