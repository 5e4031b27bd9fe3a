package dev.weir.agent.tunnel;

import dev.weir.api.model.Workload;
import dev.weir.api.model.WorkloadKind;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What a side says of itself in the {@code baggage} header. A claim, not an identity: for telemetry
 * only. Unknown is the empty text.
 */
public record Baggage(
    String cluster,
    String namespace,
    WorkloadKind kind,
    String workload,
    String service,
    String version,
    String region,
    String zone) {
  static final Baggage NONE = new Baggage("", "", WorkloadKind.DEPLOYMENT, "", "", "", "", "");

  // Names of Kubernetes end at 253 letters; more members than these are nobody's honest baggage.
  private static final int LONGEST_VALUE = 253;
  private static final int MOST_MEMBERS = 64;

  /** Of a pod, as far as the control plane tells of it. */
  static Baggage of(@Nullable Workload workload) {
    return workload == null
        ? NONE
        : new Baggage(
            workload.cluster(),
            workload.namespace(),
            workload.kind(),
            workload.ownerName(),
            workload.canonicalName(),
            workload.canonicalRevision(),
            workload.locality().region(),
            workload.locality().zone());
  }

  /**
   * Reads one or several header lines. Whatever is unknown, too long or unprintable is left out.
   */
  static Baggage parse(List<? extends CharSequence> lines) {
    Baggage found = NONE;
    int members = 0;
    for (CharSequence line : lines) {
      String text = line.toString();
      int at = 0;
      while (at < text.length() && members++ < MOST_MEMBERS) {
        int comma = text.indexOf(',', at);
        int end = comma < 0 ? text.length() : comma;
        int equals = text.indexOf('=', at);
        if (equals > at && equals < end) {
          int properties = text.indexOf(';', equals);
          int stop = properties < 0 || properties > end ? end : properties;
          String value = text.substring(equals + 1, stop).strip();
          if (isPlain(value)) {
            found = found.with(text.substring(at, equals).strip(), value);
          }
        }
        at = end + 1;
      }
    }
    return found;
  }

  private Baggage with(String key, String value) {
    return switch (key) {
      case "k8s.cluster.name" ->
          new Baggage(value, namespace, kind, workload, service, version, region, zone);
      case "k8s.namespace.name" ->
          new Baggage(cluster, value, kind, workload, service, version, region, zone);
      case "k8s.deployment.name" -> named(WorkloadKind.DEPLOYMENT, value);
      case "k8s.cronjob.name" -> named(WorkloadKind.CRONJOB, value);
      case "k8s.pod.name" -> named(WorkloadKind.POD, value);
      case "k8s.job.name" -> named(WorkloadKind.JOB, value);
      case "service.name" ->
          new Baggage(cluster, namespace, kind, workload, value, version, region, zone);
      case "service.version" ->
          new Baggage(cluster, namespace, kind, workload, service, value, region, zone);
      case "cloud.region" ->
          new Baggage(cluster, namespace, kind, workload, service, version, value, zone);
      case "cloud.availability_zone" ->
          new Baggage(cluster, namespace, kind, workload, service, version, region, value);
      default -> this;
    };
  }

  private Baggage named(WorkloadKind of, String name) {
    return new Baggage(cluster, namespace, of, name, service, version, region, zone);
  }

  private static boolean isPlain(String value) {
    if (value.isEmpty() || value.length() > LONGEST_VALUE) {
      return false;
    }
    for (int i = 0; i < value.length(); i++) {
      char c = value.charAt(i);
      // W3C baggage-octet; nobody on this wire decodes percent signs.
      if (c <= ' ' || c >= 0x7f || c == '"' || c == ',' || c == ';' || c == '\\') {
        return false;
      }
    }
    return true;
  }

  /** The header's value; empty where nothing is known. */
  @Override
  public String toString() {
    List<String> members = new ArrayList<>(8);
    add(members, "k8s.cluster.name", cluster);
    add(members, "k8s.namespace.name", namespace);
    add(
        members,
        switch (kind) {
          case DEPLOYMENT -> "k8s.deployment.name";
          case CRONJOB -> "k8s.cronjob.name";
          case POD -> "k8s.pod.name";
          case JOB -> "k8s.job.name";
        },
        workload);
    add(members, "service.name", service);
    add(members, "service.version", version);
    add(members, "cloud.region", region);
    add(members, "cloud.availability_zone", zone);
    return String.join(",", members);
  }

  private static void add(List<String> members, String key, String value) {
    if (isPlain(value)) {
      members.add(key + '=' + value);
    }
  }
}
