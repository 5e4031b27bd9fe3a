package dev.weir.agent.admin;

import dev.weir.agent.authz.Authz;
import dev.weir.agent.capture.Joining;
import dev.weir.agent.capture.KernelDrop;
import dev.weir.agent.capture.Pod;
import dev.weir.agent.config.MeshView;
import dev.weir.agent.config.XdsState;
import dev.weir.agent.identity.LineFailure;
import dev.weir.agent.telemetry.RefusalReport;
import dev.weir.api.json.Json;
import io.netty.util.NetUtil;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;

/** How the node stands: what {@code weir status} shows. */
final class StatusReport {
  private record Cause(String pod, String reason) {}

  private final AdminOptions options;
  private final AdminSources sources;

  StatusReport(AdminOptions options, AdminSources sources) {
    this.options = options;
    this.sources = sources;
  }

  Json json() {
    List<String> notReady = sources.notReady().get();
    Standing standing = sources.standing().get();
    return Json.object()
        .with("node", options.node())
        .with("version", options.version())
        .with("pid", ProcessHandle.current().pid())
        .with("state", standing.state().name().toLowerCase(Locale.ROOT))
        .with("inCharge", standing.inCharge())
        .with("connections", standing.connections())
        .with("secondsLeft", standing.secondsLeft())
        .with("generation", sources.mesh().current().generation())
        .with("ready", notReady.isEmpty())
        .with("notReady", notReady)
        .with("transport", sources.transport())
        .with("joining", joining(sources.joining().get()))
        .with("pods", pods())
        .with("refusals", refusalsJson())
        .with("policies", policies())
        .with("xds", xds(sources.xds().get()))
        .with("certificates", CertificatePage.troubles(sources.certificates().get()))
        .with("crl", CertificatePage.crl(sources.crl().get()))
        .build();
  }

  /** The kernel's refusals and the agent's, one number for a pod and a reason. */
  List<RefusalReport> refusals() {
    Map<Cause, Long> counts =
        new TreeMap<>(Comparator.comparing(Cause::pod).thenComparing(Cause::reason));
    for (KernelDrop drop : sources.drops().get()) {
      Pod pod = drop.pod();
      counts.merge(
          new Cause(pod == null ? "" : pod.label(), drop.reason().label()),
          drop.count(),
          Long::sum);
    }
    for (RefusalReport refusal : sources.telemetry().refusals()) {
      counts.merge(new Cause(refusal.pod(), refusal.reason()), refusal.count(), Long::sum);
    }
    List<RefusalReport> reports = new ArrayList<>(counts.size());
    counts.forEach(
        (cause, count) -> reports.add(new RefusalReport(cause.pod(), cause.reason(), count)));
    return reports;
  }

  private static Json joining(Joining joining) {
    List<Json> checks = new ArrayList<>();
    for (Joining.Check check : joining.checks()) {
      checks.add(
          Json.object()
              .with("name", check.name())
              .with("passed", check.passed())
              .with("detail", check.detail())
              .with("millis", check.millis())
              .build());
    }
    return Json.object()
        .with("state", joining.state().name().toLowerCase(Locale.ROOT))
        .with("reason", joining.reason())
        .with("checks", Json.of(checks))
        .build();
  }

  private Json pods() {
    List<Pod> pods = new ArrayList<>(sources.pods().get());
    pods.sort(Comparator.comparing(Pod::namespace).thenComparing(Pod::name));
    List<Json> list = new ArrayList<>(pods.size());
    for (Pod pod : pods) {
      list.add(
          Json.object()
              .with("uid", pod.uid())
              .with("namespace", pod.namespace())
              .with("name", pod.name())
              .with("number", pod.number())
              .with("identity", pod.identity())
              .with("ips", pod.addresses().stream().map(NetUtil::toAddressString).toList())
              .with("fastPath", pod.settings().fastPath().name().toLowerCase(Locale.ROOT))
              .with("onAgentLoss", pod.settings().onAgentLoss().name().toLowerCase(Locale.ROOT))
              .with("listeners", sources.listeners().apply(pod))
              .build());
    }
    return Json.of(list);
  }

  private Json refusalsJson() {
    List<Json> list = new ArrayList<>();
    for (RefusalReport refusal : refusals()) {
      list.add(
          Json.object()
              .with("pod", refusal.pod())
              .with("reason", refusal.reason())
              .with("count", refusal.count())
              .build());
    }
    return Json.of(list);
  }

  private Json policies() {
    MeshView view = sources.mesh().current();
    List<Json> decisions = new ArrayList<>();
    for (Authz.Count count : sources.authz().counts()) {
      decisions.add(
          Json.object()
              .with("policy", count.policy())
              .with("effect", count.effect())
              .with("count", count.count())
              .build());
    }
    List<String> problems = new ArrayList<>();
    for (String key : view.policies().unreadable()) {
      problems.add("policy " + key + " cannot be read; callers that it may concern are refused");
    }
    for (Pod pod : sources.pods().get()) {
      view.pod(pod.namespace(), pod.name())
          .ifPresent(workload -> {
            for (String key : view.policies().missing(workload)) {
              problems.add(
                  "policy "
                      + key
                      + " of "
                      + pod.label()
                      + " has not come; its callers are refused");
            }
          });
    }
    problems.sort(Comparator.naturalOrder());
    return Json.object()
        .with("count", view.policies().names().size())
        .with("names", view.policies().names())
        .with("targets", Json.of(targets(view)))
        .with("decisions", Json.of(decisions))
        .with("problems", problems)
        .build();
  }

  /** How many pods of the mesh each policy with targets picks; where none, it protects nothing. */
  private static List<Json> targets(MeshView view) {
    Map<String, Integer> pods = new TreeMap<>();
    view.policies().targeted().forEach(policy -> pods.put(policy, 0));
    if (!pods.isEmpty()) {
      view.forEachWorkload(workload ->
          workload.authorizationPolicies().stream()
              .map(view.policies()::nameOf)
              .distinct()
              .forEach(policy -> pods.computeIfPresent(policy, (name, count) -> count + 1)));
    }
    List<Json> all = new ArrayList<>(pods.size());
    pods.forEach((policy, count) ->
        all.add(Json.object().with("policy", policy).with("pods", count).build()));
    return all;
  }

  private static Json xds(XdsState xds) {
    List<Json> types = new ArrayList<>();
    for (XdsState.Type type : xds.types()) {
      types.add(
          Json.object()
              .with("url", type.url())
              .with("resources", type.resources())
              .with("responses", type.responses())
              .with("rejected", type.rejected())
              .with("lastRejection", type.lastRejection())
              .build());
    }
    Instant last = xds.lastUpdate();
    LineFailure failure = xds.lastFailure();
    return Json.object()
        .with("connected", xds.connected())
        .with("target", xds.target())
        .with("security", xds.secure() ? "tls" : "plaintext")
        .with("lastUpdate", last == null ? "" : last.toString())
        .with("lastCause", failure == null ? "" : failure.cause().label())
        .with("lastError", failure == null ? "" : failure.reason())
        .with("types", Json.of(types))
        .build();
  }
}
