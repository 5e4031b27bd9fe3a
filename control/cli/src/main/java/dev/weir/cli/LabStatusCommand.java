package dev.weir.cli;

import dev.weir.api.json.Json;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;

/** {@code weir lab status}: what runs, beside what the mesh makes of it ({@link StatusCommand}). */
@Command(
    name = "status",
    mixinStandardHelpOptions = true,
    description = "Show a lab's nodes, pods and services.",
    footer = {
      "",
      "Examples:",
      "  weir lab status",
      "  weir lab status -o json | jq -r '.pods[].ips[0]'"
    })
final class LabStatusCommand implements Callable<Integer> {
  @Mixin LabOption lab = new LabOption();
  @Mixin FormatOption format = new FormatOption();
  private final Output output;

  LabStatusCommand(Output output) {
    this.output = output;
  }

  @Override
  public Integer call() {
    Json status = lab.lab().status();
    format.print(output, status, wide -> text(status, wide));
    return 0;
  }

  private String text(Json status, boolean wide) {
    StringBuilder text = new StringBuilder("lab " + status.get("name").text() + "\n\n");
    Table nodes = new Table("NODE", "ZONE", "AGENT", "PID", "MEMORY", "VERSION");
    for (Json node : status.get("nodes").items()) {
      Json agent = node.get("agent");
      nodes.row(
          node.get("name").text(),
          node.get("zone").text(),
          state(agent.get("state").text()),
          agent.get("pid").text(),
          agent.get("rssKiB").isNull() ? "" : Units.bytes(agent.get("rssKiB").integer() << 10),
          agent.get("version").text());
      for (Json draining : node.get("draining").items()) {
        nodes.row(
            node.get("name").text(),
            node.get("zone").text(),
            state(draining.get("state").text()),
            draining.get("pid").text(),
            Units.bytes(draining.get("rssKiB").integer() << 10),
            "");
      }
    }
    text.append(nodes.text());
    Json control = status.get("control");
    if (!control.isNull()) {
      text.append("control plane: ").append(state(control.get("state").text()));
      text.append(control.get("pid").isNull() ? "" : ", pid " + control.get("pid").text())
          .append('\n');
    }
    Table pods =
        wide
            ? new Table(
                "NAMESPACE", "POD", "NODE", "PHASE", "READY", "MESH", "IPS", "IDENTITY", "NETNS")
            : new Table("NAMESPACE", "POD", "NODE", "PHASE", "READY", "MESH", "IP");
    for (Json pod : status.get("pods").items()) {
      List<Object> cells =
          new ArrayList<>(
              List.of(
                  pod.get("namespace").text(),
                  pod.get("name").text(),
                  pod.get("node").text(),
                  pod.get("phase").text(),
                  pod.get("ready").isTrue() ? output.green("yes") : output.yellow("no"),
                  pod.get("enrolled").isTrue() ? output.green("enrolled") : "no",
                  ips(pod.get("ips"), wide)));
      if (wide) {
        cells.add(pod.get("identity").text());
        cells.add(pod.get("netns").text());
      }
      pods.row(cells.toArray());
    }
    if (!pods.isEmpty()) {
      text.append('\n').append(pods.text());
    }
    Table services = new Table("NAMESPACE", "SERVICE", "ADDRESSES", "PORTS", "ENDPOINTS");
    for (Json service : status.get("services").items()) {
      long endpoints =
          service.get("endpoints").items().stream()
              .map(endpoint ->
                  endpoint.get("pod").text()
                      + (endpoint.get("pod").isNull() ? endpoint(endpoint) : ""))
              .distinct()
              .count();
      services.row(
          service.get("namespace").text(),
          service.get("name").text(),
          ips(service.get("clusterIPs"), wide),
          String.join(
              ",", service.get("ports").items().stream().map(LabStatusCommand::port).toList()),
          wide
              ? String.join(
                  ",",
                  service.get("endpoints").items().stream()
                      .map(LabStatusCommand::endpoint)
                      .toList())
              : endpoints);
    }
    if (!services.isEmpty()) {
      text.append('\n').append(services.text());
    }
    for (Json service : status.get("services").items()) {
      for (Json caveat : service.get("caveats").items()) {
        text.append(
                "service/%s (%s): "
                    .formatted(service.get("name").text(), service.get("namespace").text()))
            .append(output.yellow(caveat.text()))
            .append('\n');
      }
    }
    return text.toString();
  }

  private String state(String state) {
    return switch (state) {
      case "ready", "running" -> output.green(state);
      case "stopped" -> output.red(state);
      default -> output.yellow(state);
    };
  }

  private static String port(Json port) {
    return port instanceof Json.Fields ? port.get("port").text() : port.text();
  }

  private static String endpoint(Json endpoint) {
    if (!(endpoint instanceof Json.Fields)) {
      return endpoint.text();
    }
    return endpoint.get("ip").isNull() ? endpoint.get("address").text() : endpoint.get("ip").text();
  }

  private static String ips(Json ips, boolean all) {
    List<String> texts = ips.items().stream().map(Json::text).toList();
    return all || texts.isEmpty() ? String.join(",", texts) : texts.getFirst();
  }
}
