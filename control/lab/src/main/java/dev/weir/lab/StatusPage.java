package dev.weir.lab;

import dev.weir.api.json.Json;
import dev.weir.api.kube.Annotations;
import dev.weir.api.kube.EndpointSlice;
import dev.weir.api.kube.Pod;
import dev.weir.api.kube.PodStatus;
import dev.weir.api.kube.Service;
import java.net.InetAddress;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/** {@code weir lab status -o json}, piece by piece. Fields may be added, never renamed. */
final class StatusPage {
  private StatusPage() {}

  static Json node(LabNode node, String netns, NodeKit kit, Path folder) {
    List<Json> draining =
        kit.formers.stream()
            .filter(former -> former.process().state() == MeshProcess.State.DRAINING)
            .map(former ->
                process(former.process())
                    .with("admin", folder.resolve(former.adminSocket()).toString())
                    .build())
            .toList();
    return Json.object()
        .with("name", node.name())
        .with("zone", node.zone())
        .with("ips", List.of(Addressing.nodeV4(node.number()), Addressing.nodeV6(node.number())))
        .with("netns", netns)
        .with("agent", process(kit.agent).with("version", kit.version).build())
        .with("draining", Json.of(draining))
        .build();
  }

  static Json.Builder process(@Nullable MeshProcess process) {
    return Json.object()
        .with("pid", process == null ? 0.0 : (double) process.pid())
        .with("state", process == null ? "stopped" : word(process.state()))
        .with("rssKiB", process == null ? 0.0 : (double) process.rssKib());
  }

  static String word(MeshProcess.State state) {
    return state.name().toLowerCase(Locale.ROOT);
  }

  static Json pod(PodRun run, boolean enrolled) {
    Pod pod = run.pod();
    PodStatus status = run.status();
    return Json.object()
        .with("namespace", pod.namespace())
        .with("name", pod.name())
        .with("node", run.node.name())
        .with(
            "ips",
            status.podIps().stream()
                .map(InetAddress::getHostAddress)
                .map(StatusPage::compressed)
                .toList())
        .with("phase", pod.metadata().terminating() ? "Terminating" : status.phase())
        .with("ready", status.ready())
        .with("enrolled", enrolled)
        .with(
            "identity",
            "spiffe://cluster.local/ns/"
                + pod.namespace()
                + "/sa/"
                + pod.spec().serviceAccountName())
        .with("netns", run.netns)
        .with("uid", pod.metadata().uid())
        .with("mesh", pod.metadata().annotations().getOrDefault(Annotations.STATUS, ""))
        .with("restarts", status.containers().stream().mapToInt(c -> c.restarts()).sum())
        .with("message", run.trouble())
        .build();
  }

  static Json service(ServiceRules.Backed each) {
    Service service = each.service();
    List<Json> ports =
        service.ports().stream()
            .map(port ->
                Json.object()
                    .with("name", port.name())
                    .with("port", port.port())
                    .with("protocol", port.protocol())
                    .with("targetPort", port.targetPort().toString())
                    .build())
            .toList();
    List<Json> endpoints = new ArrayList<>();
    for (EndpointSlice slice : each.slices()) {
      for (EndpointSlice.Endpoint endpoint : slice.endpoints()) {
        for (InetAddress address : endpoint.addresses()) {
          endpoints.add(
              Json.object()
                  .with("address", compressed(address.getHostAddress()))
                  .with("pod", endpoint.pod())
                  .with("node", endpoint.nodeName())
                  .with("ready", endpoint.ready())
                  .with("serving", endpoint.serving())
                  .with("terminating", endpoint.terminating())
                  .build());
        }
      }
    }
    return Json.object()
        .with("namespace", service.namespace())
        .with("name", service.name())
        .with(
            "clusterIPs",
            service.clusterIps().stream()
                .map(InetAddress::getHostAddress)
                .map(StatusPage::compressed)
                .toList())
        .with("ports", Json.of(ports))
        .with("endpoints", Json.of(endpoints))
        .with("caveats", Caveats.of(service))
        .build();
  }

  /**
   * fd00:244:1::2 for Java's fd00:244:1:0:0:0:0:2 (RFC 5952, as far as the lab's own addresses need
   * it).
   */
  private static String compressed(String address) {
    return address.replaceFirst("(:0){2,}:", "::").replaceFirst("(:0){2,}$", "::");
  }
}
