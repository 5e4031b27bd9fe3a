package dev.weir.agent.admin;

import dev.weir.agent.capture.Pod;
import dev.weir.agent.config.MeshView;
import dev.weir.api.json.Json;
import dev.weir.api.model.GatewayAddress;
import dev.weir.api.model.Service;
import dev.weir.api.model.ServicePort;
import dev.weir.api.model.Tunnel;
import dev.weir.api.model.Workload;
import dev.weir.api.model.WorkloadKind;
import io.netty.util.NetUtil;
import java.net.InetAddress;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.Iterator;
import java.util.List;
import java.util.Locale;
import java.util.NoSuchElementException;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * What the node knows, under the keys of ztunnel's dump, so that {@code istioctl ztunnel-config}
 * reads it. Made piece by piece: a mesh of 100,000 workloads is a dump of 60 MB, more than the
 * agent's heap.
 */
final class ConfigDump {
  private static final int PIECE_CHARS = 32 * 1024;

  private final AdminOptions options;
  private final AdminSources sources;

  ConfigDump(AdminOptions options, AdminSources sources) {
    this.options = options;
    this.sources = sources;
  }

  Iterator<String> pieces() {
    MeshView view = sources.mesh().current();
    List<Workload> workloads = new ArrayList<>(view.workloadCount());
    view.forEachWorkload(workloads::add);
    workloads.sort(Comparator.comparing(Workload::uid));
    List<Service> services = new ArrayList<>(view.serviceCount());
    view.forEachService(services::add);
    services.sort(Comparator.comparing(Service::key));
    return new Pieces(
        List.of(
            new Part("{\"workloads\":[", elements(workloads, ConfigDump::workload)),
            new Part("],\"services\":[", elements(services, service -> service(view, service))),
            new Part(
                "],\"policies\":[],\"stagedServices\":{},\"certificates\":[",
                elements(sources.certificates().get(), CertificatePage::dumped)),
            new Part("],\"config\":", List.of(config().toJson()).iterator()),
            new Part(",\"version\":", List.of(version().toJson()).iterator()),
            new Part(",\"workloadState\":{", elements(sources.pods().get(), this::state)),
            new Part("}}\n", List.<String>of().iterator())));
  }

  private static <T> Iterator<String> elements(List<T> list, Function<T, String> writer) {
    Iterator<T> from = list.iterator();
    return new Iterator<>() {
      private boolean first = true;

      @Override
      public boolean hasNext() {
        return from.hasNext();
      }

      @Override
      public String next() {
        String text = writer.apply(from.next());
        String whole = first ? text : "," + text;
        first = false;
        return whole;
      }
    };
  }

  private static String workload(Workload in) {
    Json.Builder out =
        Json.object()
            .with("uid", in.uid())
            .with("workloadIps", addresses(in.addresses()))
            .with("protocol", in.tunnel() == Tunnel.HBONE ? "HBONE" : "TCP")
            .with("name", in.name())
            .with("namespace", in.namespace())
            .with("serviceAccount", in.serviceAccount())
            .with("trustDomain", in.trustDomain())
            .with("workloadName", in.ownerName())
            .with("workloadType", type(in.kind()))
            .with("canonicalName", in.canonicalName())
            .with("canonicalRevision", in.canonicalRevision())
            .with("clusterId", in.cluster())
            .with("network", in.network())
            .with("node", in.node())
            .with("hostname", in.hostname())
            .with("status", in.healthy() ? "Healthy" : "Unhealthy")
            .with("networkMode", in.hostNetwork() ? "HostNetwork" : "Standard")
            .with("capacity", in.capacity())
            .with("authorizationPolicies", List.of())
            .with("services", in.services().keySet().stream().sorted().toList());
    if (!in.locality().region().isEmpty() || !in.locality().zone().isEmpty()) {
      out.with(
          "locality",
          Json.object()
              .with("region", in.locality().region())
              .with("zone", in.locality().zone())
              .with("subzone", in.locality().subzone())
              .build());
    }
    GatewayAddress gateway = in.networkGateway();
    if (gateway != null) {
      out.with(
          "networkGateway",
          Json.object()
              .with("destination", gateway.toString())
              .with("hboneMtlsPort", gateway.port())
              .build());
    }
    return out.build().toJson();
  }

  private static String service(MeshView view, Service in) {
    Json.Builder ports = Json.object();
    for (ServicePort port : in.ports()) {
      ports.with(String.valueOf(port.port()), port.targetPort());
    }
    Json.Builder endpoints = Json.object();
    List<Workload> members = new ArrayList<>(view.workloads(in));
    members.addAll(view.workloadsElsewhere(in));
    for (Workload workload : members) {
      Json.Builder targets = Json.object();
      for (ServicePort port : in.ports()) {
        int target = workload.targetPort(in.key(), port.port());
        if (target != 0) {
          targets.with(String.valueOf(port.port()), target);
        }
      }
      endpoints.with(
          workload.uid(),
          Json.object()
              .with("workloadUid", workload.uid())
              .with("service", "")
              .with("port", targets.build())
              .with("status", workload.healthy() ? "Healthy" : "Unhealthy")
              .build());
    }
    Json.Builder out =
        Json.object()
            .with("name", in.name())
            .with("namespace", in.namespace())
            .with("hostname", in.hostname())
            .with(
                "vips",
                in.addresses().stream()
                    .map(address -> in.network() + "/" + NetUtil.toAddressString(address))
                    .toList())
            .with("ports", ports.build())
            .with("endpoints", endpoints.build())
            .with("subjectAltNames", in.subjectAltNames())
            .with("ipFamilies", in.families().name())
            .with("headless", in.headless());
    if (!in.externalName().isEmpty()) {
      out.with("externalName", in.externalName());
    }
    return out.build().toJson();
  }

  /** One pod of this node; istioctl finds it by the uid of the enrolment. */
  private String state(Pod pod) {
    String value =
        Json.object()
            .with("state", "Up")
            .with(
                "connections",
                Json.object()
                    .with("inbound", Json.of(List.of()))
                    .with("outbound", Json.of(List.of()))
                    .build())
            .with(
                "info",
                Json.object()
                    .with("name", pod.name())
                    .with("namespace", pod.namespace())
                    .with("trustDomain", "")
                    .with("serviceAccount", pod.serviceAccount())
                    .build())
            .with("identity", pod.identity())
            .with("ips", addresses(pod.addresses()))
            .build()
            .toJson();
    return Json.of(pod.uid()).toJson() + ":" + value;
  }

  private Json config() {
    return Json.object()
        .with("localNode", options.node())
        .with("xdsAddress", sources.xds().get().target())
        .with("adminAddr", NetUtil.toSocketAddressString(options.admin()))
        .with("statsAddr", NetUtil.toSocketAddressString(options.metrics()))
        .with("readinessAddr", NetUtil.toSocketAddressString(options.readiness()))
        .with("transport", sources.transport())
        .build();
  }

  private Json version() {
    return Json.object().with("version", options.version()).with("name", "weir").build();
  }

  private static List<String> addresses(List<InetAddress> in) {
    return in.stream().map(NetUtil::toAddressString).toList();
  }

  /** As ztunnel spells it. */
  private static String type(WorkloadKind kind) {
    String lower = kind.name().toLowerCase(Locale.ROOT);
    return kind == WorkloadKind.CRONJOB
        ? "CronJob"
        : Character.toUpperCase(lower.charAt(0)) + lower.substring(1);
  }

  private record Part(String opening, Iterator<String> elements) {}

  /** Gathers small texts into pieces worth a write. */
  private static final class Pieces implements Iterator<String> {
    private final Iterator<Part> parts;
    private @Nullable Part part;

    Pieces(List<Part> parts) {
      this.parts = parts.iterator();
    }

    @Override
    public boolean hasNext() {
      Part now = part;
      return parts.hasNext() || (now != null && now.elements().hasNext());
    }

    @Override
    public String next() {
      if (!hasNext()) {
        throw new NoSuchElementException("the dump has ended");
      }
      StringBuilder piece = new StringBuilder(PIECE_CHARS + 1024);
      while (piece.length() < PIECE_CHARS && hasNext()) {
        Part now = part;
        if (now != null && now.elements().hasNext()) {
          piece.append(now.elements().next());
        } else {
          now = parts.next();
          piece.append(now.opening());
          part = now;
        }
      }
      return piece.toString();
    }
  }
}
