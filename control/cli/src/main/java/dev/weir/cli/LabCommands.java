package dev.weir.cli;

import dev.weir.api.json.Json;
import dev.weir.lab.LabClient;
import dev.weir.lab.Source;
import dev.weir.lab.UpOptions;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code weir lab …}: each is a call on {@link LabClient} and what it says, printed. */
final class LabCommands {
  private record Entry(String name, Function<Output, Object> make) {}

  private static final List<Entry> ENTRIES =
      List.of(
          new Entry("up", Up::new),
          new Entry("apply", Apply::new),
          new Entry("delete", Delete::new),
          new Entry("scale", Scale::new),
          new Entry("annotate", Annotate::new),
          new Entry("label", Label::new),
          new Entry("exec", Exec::new),
          new Entry("logs", LogsCommand::new),
          new Entry("status", Status::new),
          new Entry("agent", Agent::new),
          new Entry("control", Control::new),
          new Entry("down", Down::new));

  private LabCommands() {}

  /** The group with the one command that is asked for, or with all. */
  static CommandLine line(String second, Output output) {
    CommandLine group = new CommandLine(new Group());
    boolean known = ENTRIES.stream().anyMatch(entry -> entry.name.equals(second));
    for (Entry entry : ENTRIES) {
      if (!known || entry.name.equals(second)) {
        group.addSubcommand(entry.name, new CommandLine(entry.make.apply(output)));
      }
    }
    return group;
  }

  @Command(
      name = "lab",
      mixinStandardHelpOptions = true,
      synopsisSubcommandLabel = "COMMAND",
      description =
          "Run Kubernetes YAML on this machine: nodes and pods are network namespaces, the mesh is real.",
      commandListHeading = "%nCommands:%n",
      footer = {
        "",
        "Examples:",
        "  weir lab up -f pods.yaml",
        "  weir lab exec web -- curl -s http://orders:8080/",
        "  weir lab annotate pod/web weir.dev/mesh=disabled",
        "  weir lab down"
      })
  static final class Group implements Callable<Integer> {
    @Spec CommandSpec spec = CommandSpec.create();

    @Override
    public Integer call() {
      spec.commandLine().usage(spec.commandLine().getErr());
      return 2;
    }
  }

  static final class FileOption {
    @Option(
        names = {"-f", "--filename"},
        paramLabel = "FILE",
        description = "YAML: a file, a folder, or - for standard input; any number of times.")
    List<String> files = new ArrayList<>();

    List<Source> sources() {
      List<Source> sources = new ArrayList<>();
      for (String file : files) {
        sources.addAll(Source.read(file, System.in));
      }
      return sources;
    }
  }

  @Command(
      name = "up",
      mixinStandardHelpOptions = true,
      description = "Start a lab and wait until it is ready; else say why, and end with 1.",
      footer = {
        "",
        "Examples:",
        "  weir lab up -f pods.yaml",
        "  cat *.yaml | weir lab up -f - --nodes 3 --zone node-1=a --zone node-2=b",
        "  weir lab up --name plain --no-mesh -f pods.yaml"
      })
  static final class Up implements Callable<Integer> {
    @Mixin FileOption files = new FileOption();

    @Option(
        names = "--name",
        paramLabel = "LAB",
        defaultValue = "lab",
        description = "The lab's name (default: ${DEFAULT-VALUE}).")
    String name = "lab";

    @Option(
        names = "--nodes",
        paramLabel = "N",
        defaultValue = "2",
        description = "How many nodes (default: ${DEFAULT-VALUE}).")
    int nodes = 2;

    @Option(
        names = "--zone",
        paramLabel = "NODE=ZONE",
        description = "The zone a node is in; any number of times.")
    Map<String, String> zones = new LinkedHashMap<>();

    @Option(
        names = "--no-mesh",
        description = "The same pods without agents and control plane, to compare with.")
    boolean noMesh;

    @Option(
        names = "--wait",
        paramLabel = "TIME",
        defaultValue = "60s",
        converter = Durations.class,
        description =
            "How long to wait until all is ready; 0s does not wait (default: ${DEFAULT-VALUE}).")
    Duration ready = Duration.ofSeconds(60);

    @Option(
        names = "--cert-ttl",
        paramLabel = "TIME",
        converter = Durations.class,
        description =
            "Life of the pods' certificates, 10s at least; they are renewed at half of it (default: 24h).")
    @Nullable Duration certificateLife;

    @Mixin AgentArguments agents = new AgentArguments();

    private final Output output;

    Up(Output output) {
      this.output = output;
    }

    @Override
    public Integer call() {
      Progress progress = new Progress(output);
      List<String> arguments = new ArrayList<>(agents.arguments);
      Duration life = certificateLife;
      if (life != null) {
        arguments.add("--cert-ttl=" + life.toSeconds());
      }
      LabClient lab;
      try {
        lab =
            LabClient.up(
                UpOptions.named(name)
                    .withNodes(nodes)
                    .withZones(zones)
                    .withMesh(!noMesh)
                    .withReady(ready)
                    .withAgentArgs(arguments)
                    .withSources(files.sources()),
                progress::show);
      } finally {
        progress.clear();
      }
      output.line("lab " + lab.name() + " is up" + (ready.isZero() ? "" : " and ready"));
      return 0;
    }
  }

  @Command(
      name = "apply",
      mixinStandardHelpOptions = true,
      description = "Add objects to a lab, or change those it has.",
      footer = {
        "",
        "Examples:",
        "  weir lab apply -f more.yaml",
        "  weir lab apply -f policy.yaml   # an AccessPolicy is in force within a second"
      })
  static final class Apply implements Callable<Integer> {
    @Mixin LabOption lab = new LabOption();
    @Mixin FileOption files = new FileOption();
    @Spec CommandSpec spec = CommandSpec.create();
    private final Output output;

    Apply(Output output) {
      this.output = output;
    }

    @Override
    public Integer call() {
      if (files.files.isEmpty()) {
        throw new ParameterException(spec.commandLine(), "nothing to apply: name YAML with -f");
      }
      lab.lab().apply(files.sources()).forEach(output::line);
      return 0;
    }
  }

  @Command(
      name = "delete",
      mixinStandardHelpOptions = true,
      description = "Take objects out of a lab: those that YAML names, or one.",
      footer = {
        "",
        "Examples:",
        "  weir lab delete -f more.yaml",
        "  weir lab delete pod/web -n shop"
      })
  static final class Delete implements Callable<Integer> {
    @Mixin LabOption lab = new LabOption();
    @Mixin FileOption files = new FileOption();
    @Mixin NamespaceOption namespace = new NamespaceOption();
    @Spec CommandSpec spec = CommandSpec.create();

    @Parameters(
        arity = "0..1",
        paramLabel = "KIND/NAME",
        converter = ObjectName.Converter.class,
        description = "One object.")
    @Nullable ObjectName object;

    private final Output output;

    Delete(Output output) {
      this.output = output;
    }

    @Override
    public Integer call() {
      if ((object == null) == files.files.isEmpty()) {
        throw new ParameterException(
            spec.commandLine(), "name either YAML with -f, or one KIND/NAME");
      }
      List<String> lines =
          object == null
              ? lab.lab().delete(files.sources())
              : lab.lab().delete(namespace.namespace, object.kind(), object.name());
      lines.forEach(output::line);
      return 0;
    }
  }

  @Command(
      name = "scale",
      mixinStandardHelpOptions = true,
      description = "Change how many pods a Deployment or StatefulSet has.",
      footer = {"", "Example:", "  weir lab scale deploy/catalog-v2 -n shop --replicas 3"})
  static final class Scale implements Callable<Integer> {
    @Mixin LabOption lab = new LabOption();
    @Mixin NamespaceOption namespace = new NamespaceOption();

    @Parameters(
        paramLabel = "KIND/NAME",
        converter = ObjectName.Converter.class,
        description = "Which one.")
    ObjectName object = new ObjectName("", "");

    @Option(names = "--replicas", paramLabel = "N", required = true, description = "How many.")
    int replicas;

    private final Output output;

    Scale(Output output) {
      this.output = output;
    }

    @Override
    public Integer call() {
      lab.lab().scale(namespace.namespace, object.kind(), object.name(), replicas);
      output.line("%s/%s scaled to %d".formatted(object.kind(), object.name(), replicas));
      return 0;
    }
  }

  @Command(
      name = "annotate",
      mixinStandardHelpOptions = true,
      description = "Set or take away annotations of an object that runs.",
      footer = {
        "",
        "Examples:",
        "  weir lab annotate pod/web -n shop weir.dev/mesh=enabled",
        "  weir lab annotate ns/shop weir.dev/fast-path=joined",
        "  weir lab annotate pod/web -n shop weir.dev/mesh-"
      })
  static final class Annotate extends Change {
    Annotate(Output output) {
      super(output, "annotated", LabClient::annotate);
    }
  }

  @Command(
      name = "label",
      mixinStandardHelpOptions = true,
      description = "Set or take away labels of an object that runs.",
      footer = {"", "Example:", "  weir lab label pod/web -n shop version=v2 canary-"})
  static final class Label extends Change {
    Label(Output output) {
      super(output, "labelled", LabClient::label);
    }
  }

  /** What annotating and labelling share. */
  abstract static class Change implements Callable<Integer> {
    interface Call {
      void on(
          LabClient lab,
          String namespace,
          String kind,
          String name,
          Map<String, Optional<String>> changes);
    }

    @Mixin LabOption lab = new LabOption();
    @Mixin NamespaceOption namespace = new NamespaceOption();
    @Spec CommandSpec spec = CommandSpec.create();

    @Parameters(
        index = "0",
        paramLabel = "KIND/NAME",
        converter = ObjectName.Converter.class,
        description = "Which object.")
    ObjectName object = new ObjectName("", "");

    @Parameters(
        index = "1..*",
        arity = "1..*",
        paramLabel = "KEY=VALUE|KEY-",
        description = "What to set, or to take away.")
    List<String> words = List.of();

    private final Output output;
    private final String done;
    private final Call call;

    Change(Output output, String done, Call call) {
      this.output = output;
      this.done = done;
      this.call = call;
    }

    @Override
    public Integer call() {
      Map<String, Optional<String>> changes = new LinkedHashMap<>();
      for (String word : words) {
        int equals = word.indexOf('=');
        if (equals > 0) {
          changes.put(word.substring(0, equals), Optional.of(word.substring(equals + 1)));
        } else if (equals < 0 && word.length() > 1 && word.endsWith("-")) {
          changes.put(word.substring(0, word.length() - 1), Optional.empty());
        } else {
          throw new ParameterException(
              spec.commandLine(), "'" + word + "' (expected: KEY=VALUE, or KEY- to take it away)");
        }
      }
      call.on(lab.lab(), namespace.namespace, object.kind(), object.name(), changes);
      output.line("%s/%s %s".formatted(object.kind(), object.name(), done));
      return 0;
    }
  }

  @Command(
      name = "exec",
      mixinStandardHelpOptions = true,
      customSynopsis = "weir lab exec [--name LAB] [-n NS] POD [-c CONTAINER] -- CMD…",
      description = {
        "Run a command in a pod. Standard input, output, error and the status are the command's.",
        "The launcher does this itself, without Java, so that it adds only milliseconds."
      },
      footer = {
        "",
        "Examples:",
        "  weir lab exec web -- hostname",
        "  weir lab exec -n shop front -- curl -s http://catalog:8080/items",
        "  tar c . | weir lab exec web -- tar x -C /tmp"
      })
  static final class Exec implements Callable<Integer> {
    @Mixin LabOption lab = new LabOption();
    @Mixin NamespaceOption namespace = new NamespaceOption();

    @Option(
        names = {"-c", "--container"},
        paramLabel = "CONTAINER",
        defaultValue = "",
        description = "Which container; the first, if not said.")
    String container = "";

    @Parameters(index = "0", paramLabel = "POD", description = "Which pod.")
    String pod = "";

    @Parameters(index = "1..*", arity = "1..*", paramLabel = "CMD", description = "The command.")
    List<String> command = List.of();

    private final Output output;

    Exec(Output output) {
      this.output = output;
    }

    /** Only reached past the launcher. */
    @Override
    public Integer call() throws java.io.IOException, InterruptedException {
      output.flush();
      List<String> entering = lab.lab().execCommand(namespace.namespace, pod, container, command);
      return new ProcessBuilder(entering).inheritIO().start().waitFor();
    }
  }

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
  static final class Status implements Callable<Integer> {
    @Mixin LabOption lab = new LabOption();
    @Mixin FormatOption format = new FormatOption();
    private final Output output;

    Status(Output output) {
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
            String.join(",", service.get("ports").items().stream().map(Status::port).toList()),
            wide
                ? String.join(
                    ",", service.get("endpoints").items().stream().map(Status::endpoint).toList())
                : endpoints);
      }
      if (!services.isEmpty()) {
        text.append('\n').append(services.text());
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
      return endpoint.get("ip").isNull()
          ? endpoint.get("address").text()
          : endpoint.get("ip").text();
    }

    private static String ips(Json ips, boolean all) {
      List<String> texts = ips.items().stream().map(Json::text).toList();
      return all || texts.isEmpty() ? String.join(",", texts) : texts.getFirst();
    }
  }

  @Command(
      name = "agent",
      mixinStandardHelpOptions = true,
      description = "Do something to a node's agent, to see what the mesh makes of it.",
      footer = {
        "",
        "kill is SIGKILL; upgrade starts a second agent that takes over from the first, and returns",
        "when it is in charge: no connection is refused or reset meanwhile. The first one finishes",
        "what it has, for an hour at most (--agent-arg=--drain=SECONDS at up), and shows as draining.",
        "stop lets open connections go on for 5 s (--agent-arg=--drain-alone=SECONDS).",
        "",
        "Examples:",
        "  weir lab agent node-1 kill",
        "  weir lab agent node-1 upgrade"
      })
  static final class Agent implements Callable<Integer> {
    /** What can be done. */
    enum AgentAction {
      stop,
      start,
      kill,
      restart,
      upgrade
    }

    @Mixin LabOption lab = new LabOption();

    @Parameters(index = "0", paramLabel = "NODE", description = "Whose agent.")
    String node = "";

    @Parameters(
        index = "1",
        paramLabel = "ACTION",
        description = "One of ${COMPLETION-CANDIDATES}.")
    AgentAction action = AgentAction.restart;

    private final Output output;

    Agent(Output output) {
      this.output = output;
    }

    @Override
    public Integer call() {
      lab.lab().agent(node, action.name());
      output.line("agent of " + node + ": " + action + " done");
      return 0;
    }
  }

  @Command(
      name = "control",
      mixinStandardHelpOptions = true,
      description = "Do something to the control plane, to see what the mesh makes of it.",
      footer = {"", "Example:", "  weir lab control kill"})
  static final class Control implements Callable<Integer> {
    /** What can be done. */
    enum ControlAction {
      stop,
      start,
      kill,
      restart
    }

    @Mixin LabOption lab = new LabOption();

    @Parameters(paramLabel = "ACTION", description = "One of ${COMPLETION-CANDIDATES}.")
    ControlAction action = ControlAction.restart;

    private final Output output;

    Control(Output output) {
      this.output = output;
    }

    @Override
    public Integer call() {
      lab.lab().control(action.name());
      output.line("control plane: " + action + " done");
      return 0;
    }
  }

  @Command(
      name = "down",
      mixinStandardHelpOptions = true,
      description = "Take a lab away, whatever state it is in. Fine where there is none.",
      footer = {"", "Examples:", "  weir lab down", "  weir lab down --all"})
  static final class Down implements Callable<Integer> {
    @Mixin LabOption lab = new LabOption();

    @Option(names = "--all", description = "Every lab, and what labs left behind.")
    boolean all;

    private final Output output;

    Down(Output output) {
      this.output = output;
    }

    @Override
    public Integer call() {
      if (all) {
        List<String> up = LabClient.names();
        LabClient.downAll();
        up.forEach(name -> output.line("lab " + name + " is down"));
        if (up.isEmpty()) {
          output.line("no lab was up");
        }
        return 0;
      }
      String name = lab.name;
      if (name == null) {
        List<String> names = LabClient.names();
        if (names.isEmpty()) {
          output.line("no lab is up");
          return 0;
        }
        if (names.size() > 1) {
          throw new CommandFailure(
              "several labs are up ("
                  + String.join(", ", names)
                  + "): say which with --name, or --all");
        }
        name = names.getFirst();
      }
      LabClient.down(name);
      output.line("lab " + name + " is down");
      return 0;
    }
  }
}
