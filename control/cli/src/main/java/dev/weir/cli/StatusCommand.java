package dev.weir.cli;

import dev.weir.api.json.Json;
import dev.weir.lab.LabClient;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;

@Command(
    name = "status",
    mixinStandardHelpOptions = true,
    description = {
      "Show what each node's agent has: its pods, its control plane, its policies, what it refused",
      "and why.",
      "Ends with 1 where an agent does not answer or is not ready."
    },
    footer = {"", "Examples:", "  weir status", "  weir status -o json | jq '.nodes[].refusals'"})
final class StatusCommand implements Callable<Integer> {
  @Mixin LabOption lab = new LabOption();
  @Mixin FormatOption format = new FormatOption();

  private final Output output;

  StatusCommand(Output output) {
    this.output = output;
  }

  @Override
  public Integer call() {
    LabClient client = lab.lab();
    List<Json> nodes = new ArrayList<>();
    boolean well = true;
    for (Json node : client.status().get("nodes").items()) {
      String name = node.get("name").text();
      Json status;
      try {
        status = Nodes.admin(client, name).get("/status");
      } catch (CommandFailure e) {
        String state = node.get("agent").get("state").text();
        status =
            Json.object()
                .with("node", name)
                .with("ready", false)
                .with("error", "agent is " + state + ": " + e.getMessage())
                .build();
      }
      well &= status.get("ready").isTrue();
      nodes.add(withDraining(status, node.get("draining").items()));
    }
    Json all = Json.object().with("lab", client.name()).with("nodes", Json.of(nodes)).build();
    format.print(output, all, wide -> text(nodes, wide));
    return well ? 0 : 1;
  }

  private void draining(Json node, Table agents, StringBuilder notes) {
    String name = node.get("node").text();
    for (Json former : node.get("draining").items()) {
      agents.row(name, output.yellow("draining"), former.get("version").text(), "", "", "", "", "");
      if (!former.get("error").isNull()) {
        notes
            .append(name)
            .append(": a former agent, pid ")
            .append(former.get("pid").text())
            .append(", does not say what it finishes: ")
            .append(former.get("error").text())
            .append('\n');
        continue;
      }
      notes
          .append(name)
          .append(": a former agent, pid ")
          .append(former.get("pid").text())
          .append(", finishes ")
          .append(former.get("connections").integer())
          .append(" connections; what is left in ")
          .append(former.get("secondsLeft").integer())
          .append(" s is reset\n");
    }
  }

  /** Former agents that finish what they have; one that ended while it was asked is left out. */
  private static Json withDraining(Json status, List<Json> formers) {
    List<Json> draining = new ArrayList<>();
    for (Json former : formers) {
      try {
        draining.add(new AdminDoor(Path.of(former.get("admin").text())).get("/status"));
      } catch (CommandFailure e) {
        Json pid = former.get("pid");
        if (ProcessHandle.of(pid.integer()).isPresent()) {
          draining.add(
              Json.object()
                  .with("pid", pid)
                  .with("version", "")
                  .with("error", String.valueOf(e.getMessage()))
                  .build());
        }
      }
    }
    Json.Builder all = Json.object();
    status.fieldsByName().forEach(all::with);
    return all.with("draining", Json.of(draining)).build();
  }

  private String text(List<Json> nodes, boolean wide) {
    Table agents =
        new Table("NODE", "AGENT", "VERSION", "GENERATION", "XDS", "TRANSPORT", "JOINING", "PODS");
    Table pods =
        wide
            ? new Table("NODE", "NAMESPACE", "POD", "FAST PATH", "LISTENERS", "IPS", "IDENTITY")
            : new Table("NODE", "NAMESPACE", "POD", "FAST PATH", "IP");
    Table refusals = new Table("NODE", "POD", "REASON", "COUNT");
    Table policies = new Table("NODE", "POLICY", "PODS", "DENIED", "WOULD DENY");
    StringBuilder errors = new StringBuilder();
    for (Json node : nodes) {
      String name = node.get("node").text();
      if (!node.get("error").isNull()) {
        agents.row(name, output.red("away"), "", "", "", "", "", "");
        errors.append(name).append(": ").append(node.get("error").text()).append('\n');
        draining(node, agents, errors);
        continue;
      }
      Json joining = node.get("joining");
      agents.row(
          name,
          node.get("ready").isTrue() ? output.green("ready") : output.yellow("not ready"),
          node.get("version").text(),
          node.get("generation").text(),
          standing(node.get("xds")),
          node.get("transport").text(),
          joining.get("state").text()
              + (joining.get("reason").text().isEmpty()
                  ? ""
                  : " (" + joining.get("reason").text() + ")"),
          node.get("pods").items().size());
      draining(node, agents, errors);
      for (Json reason : node.get("notReady").items()) {
        errors.append(name).append(": not ready: ").append(reason.text()).append('\n');
      }
      if (!node.get("xds").get("connected").isTrue()
          && !node.get("xds").get("lastError").text().isEmpty()) {
        errors
            .append(name)
            .append(": control plane: ")
            .append(trouble(node.get("xds")))
            .append('\n');
      }
      for (Json type : node.get("xds").get("types").items()) {
        if (!type.get("lastRejection").text().isEmpty()) {
          errors
              .append(name)
              .append(": rejected from the control plane: ")
              .append(type.get("lastRejection").text())
              .append('\n');
        }
      }
      for (Json trouble : node.get("certificates").items()) {
        errors
            .append(name)
            .append(": certificates: ")
            .append(CertsCommand.trouble(trouble.get("identity").text(), trouble))
            .append('\n');
      }
      String crl = node.get("crl").get("problem").text();
      if (!crl.isEmpty()) {
        errors
            .append(name)
            .append(": CRL ")
            .append(node.get("crl").get("file").text())
            .append(": ")
            .append(crl)
            .append('\n');
      }
      for (Json pod : node.get("pods").items()) {
        List<String> ips = pod.get("ips").items().stream().map(Json::text).toList();
        List<Object> cells =
            new ArrayList<>(
                List.of(
                    name,
                    pod.get("namespace").text(),
                    pod.get("name").text(),
                    pod.get("fastPath").text()));
        if (wide) {
          cells.add(
              String.join(",", pod.get("listeners").items().stream().map(Json::text).toList()));
          cells.add(String.join(",", ips));
          cells.add(pod.get("identity").text());
        } else {
          cells.add(ips.isEmpty() ? "" : ips.getFirst());
        }
        pods.row(cells.toArray());
      }
      for (Json problem : node.get("policies").get("problems").items()) {
        errors.append(name).append(": ").append(problem.text()).append('\n');
      }
      Map<String, String> reach = reach(node.get("policies"));
      Decisions.of(node.get("policies"))
          .forEach((policy, decisions) ->
              policies.row(
                  name,
                  policy,
                  reach.getOrDefault(policy, ""),
                  decisions.denied(),
                  decisions.wouldDeny()));
      for (Json refusal : node.get("refusals").items()) {
        refusals.row(
            name,
            refusal.get("pod").text(),
            output.yellow(refusal.get("reason").text()),
            refusal.get("count").text());
      }
    }
    StringBuilder text = new StringBuilder(agents.text()).append(errors);
    if (!pods.isEmpty()) {
      text.append("\nenrolled pods\n").append(pods.text());
    }
    if (!policies.isEmpty()) {
      text.append("\npolicies\n").append(policies.text());
    }
    text.append(refusals.isEmpty() ? "\nnothing refused\n" : "\nrefused\n" + refusals.text());
    return text.toString();
  }

  /** TLS is how it should be; that it is missing is told. */
  private String standing(Json xds) {
    if (!xds.get("connected").isTrue()) {
      return output.red("away");
    }
    return xds.get("security").text().equals("plaintext")
        ? output.yellow("plaintext")
        : output.green("connected");
  }

  /** Why there is no control plane, and what to do. */
  static String trouble(Json xds) {
    String cause = xds.get("lastCause").text();
    String hint =
        switch (cause) {
          case "unreachable", "slow", "failed" ->
              "does the control plane run? `weir lab status`, `weir lab logs control`";
          case "not-tls", "handshake" -> "is --xds the control plane's --listen?";
          case "root-unreadable", "not-trusted" ->
              "the agent's --xds-root, or else --ca-root, must hold the root of the control plane's"
                  + " certificate";
          case "wrong-name" ->
              "give the control plane's --tls-name what the agent's --xds calls it";
          case "token-unreadable", "token-refused" ->
              "the agent's token must be a current one of audience istio-ca; `weir lab logs control` says more";
          case "not-allowed" ->
              "the control plane's --node-accounts must name the agent's service account";
          default -> "";
        };
    return cause + ": " + xds.get("lastError").text() + (hint.isEmpty() ? "" : " (" + hint + ")");
  }

  /** How many pods each policy of the mesh picks. One without targets holds for all there are. */
  private Map<String, String> reach(Json policies) {
    Map<String, String> all = new TreeMap<>();
    policies.get("names").items().forEach(each -> all.put(each.text(), "all"));
    for (Json each : policies.get("targets").items()) {
      long pods = each.get("pods").integer();
      all.put(
          each.get("policy").text(),
          pods == 0 ? output.yellow("matches no pod") : Long.toString(pods));
    }
    return all;
  }

  /** What a policy decided against on one node. */
  private record Decisions(long denied, long wouldDeny) {
    static final Decisions NONE = new Decisions(0, 0);

    /** By policy: those in force, and those that are gone and had decided something. */
    static Map<String, Decisions> of(Json policies) {
      Map<String, Decisions> all = new TreeMap<>();
      policies.get("names").items().forEach(each -> all.put(each.text(), NONE));
      for (Json each : policies.get("decisions").items()) {
        boolean would = each.get("effect").text().equals("would-deny");
        long count = each.get("count").integer();
        all.merge(
            each.get("policy").text(),
            new Decisions(would ? 0 : count, would ? count : 0),
            (a, b) -> new Decisions(a.denied + b.denied, a.wouldDeny + b.wouldDeny));
      }
      return all;
    }
  }
}
