package dev.weir.e2e;

import dev.weir.api.json.Json;
import dev.weir.lab.LabClient;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentMap;
import java.util.concurrent.TimeUnit;

/** A lab under test. */
final class Lab implements AutoCloseable {
  private final String name;
  private final ConcurrentMap<String, Attendant> attendants = new ConcurrentHashMap<>();

  private Lab(String name) {
    this.name = name;
  }

  /** Two checkouts may be under test on one machine, so each has its own labs. */
  static Lab up(String title, String yaml, String... options) {
    String name =
        title + "-" + Integer.toHexString(WeirCommand.home().toString().hashCode() & 0xfff);
    WeirCommand.run("lab", "down", "--name", name).ok();
    List<String> args = new ArrayList<>(List.of("lab", "up", "--name", name, "-f", "-"));
    args.addAll(List.of(options));
    WeirCommand.run(yaml, args).ok();
    return new Lab(name);
  }

  String name() {
    return name;
  }

  WeirCommand.Outcome lab(String verb, String... args) {
    List<String> all = new ArrayList<>(List.of("lab", verb, "--name", name));
    all.addAll(List.of(args));
    return WeirCommand.run(all.toArray(String[]::new));
  }

  void apply(String yaml) {
    WeirCommand.run(yaml, List.of("lab", "apply", "--name", name, "-f", "-")).ok();
  }

  void annotate(String pod, String... changes) {
    List<String> args = new ArrayList<>(List.of("-n", "e2e", "pod/" + pod));
    args.addAll(List.of(changes));
    lab("annotate", args.toArray(String[]::new)).ok();
  }

  WeirCommand.Outcome exec(String pod, String stdin, String... command) {
    return WeirCommand.run(stdin, execArgs(pod, command));
  }

  private List<String> execArgs(String pod, String... command) {
    List<String> args =
        new ArrayList<>(List.of("lab", "exec", "--name", name, "-n", "e2e", pod, "--"));
    args.addAll(List.of(command));
    return args;
  }

  Json status() {
    return LabClient.of(name).status();
  }

  Json pod(String pod) {
    return status().get("pods").items().stream()
        .filter(each -> each.get("name").text().equals(pod))
        .findFirst()
        .orElseThrow(() -> new AssertionError("no pod " + pod));
  }

  boolean isEnrolled(String pod) {
    return pod(pod).get("enrolled").isTrue();
  }

  /** The pod's address of a family: {@code v4}, {@code mapped} or {@code v6}. */
  String ip(String pod, String family) {
    return address(pod(pod).get("ips"), family);
  }

  String clusterIp(String service, String family) {
    return status().get("services").items().stream()
        .filter(each -> each.get("name").text().equals(service))
        .map(each -> address(each.get("clusterIPs"), family))
        .findFirst()
        .orElseThrow(() -> new AssertionError("no service " + service));
  }

  static String address(Json addresses, String family) {
    return addresses.items().stream()
        .map(Json::text)
        .filter(text -> text.contains(":") == family.equals("v6"))
        .findFirst()
        .orElseThrow(
            () -> new AssertionError("no " + family + " address in " + addresses.toJson()));
  }

  Json admin(String node, String path) {
    return Json.parse(
        AdminDoor.get(Path.of("/run/weir-lab", name, "nodes", node, "admin.sock"), path));
  }

  /**
   * Connections opened so far between two pods on a path ({@code direct}, {@code joined}, {@code
   * agent}), as the source's node counts them.
   */
  long opened(String node, String source, String destination, String path) {
    return admin(node, "/edges").items().stream()
        .filter(edge -> edge.get("source").get("pod").text().equals(source))
        .filter(edge -> edge.get("destination").get("pod").text().equals(destination))
        .filter(edge -> edge.get("path").text().equals(path))
        .mapToLong(edge -> edge.get("opened").integer())
        .sum();
  }

  /** Refusals of a reason so far on a node. */
  long refusals(String node, String reason) {
    return admin(node, "/status").get("refusals").items().stream()
        .filter(each -> each.get("reason").text().equals(reason))
        .mapToLong(each -> each.get("count").integer())
        .sum();
  }

  /** {@code weir certs}; status 1 where one is not in force. */
  WeirCommand.Outcome certs(String... more) {
    List<String> args = new ArrayList<>(List.of("certs", "--name", name));
    args.addAll(List.of(more));
    return WeirCommand.run(args.toArray(String[]::new));
  }

  /** What {@code weir certs} tells of an identity on a node; empty where it has none. */
  Json certificate(String node, String identity) {
    return Json.parse(certs("-o", "json").out()).get("nodes").items().stream()
        .filter(each -> each.get("node").text().equals(node))
        .flatMap(each -> each.get("certificates").items().stream())
        .filter(each -> each.get("identity").text().equals(identity))
        .findFirst()
        .orElse(Json.object().build());
  }

  /** TLS handshakes of tunnels so far that went well on a node, on either side. */
  long handshakes(String node) {
    return metrics(node)
        .lines()
        .filter(line -> line.startsWith("weir_tunnel_handshakes_total{"))
        .filter(line -> line.contains("result=\"done\""))
        .mapToLong(line -> Long.parseLong(line.substring(line.lastIndexOf(' ') + 1)))
        .sum();
  }

  /** What a node's agent would answer to a scrape. */
  String metrics(String node) {
    return AdminDoor.get(Path.of("/run/weir-lab", name, "nodes", node, "admin.sock"), "/metrics");
  }

  /** Runs a command in a node's network namespace; its standard output. */
  String inNode(String node, String... command) {
    List<String> args =
        new ArrayList<>(List.of("ip", "netns", "exec", "weir-" + name + "-" + node));
    args.addAll(List.of(command));
    return WeirCommand.process(args).ok().out();
  }

  /** Listens to every frame in a node's network namespace, for these words in the clear. */
  Sniffer sniff(String node, String... secrets) {
    List<String> command =
        new ArrayList<>(
            List.of(
                "ip",
                "netns",
                "exec",
                "weir-" + name + "-" + node,
                "python3",
                peer().toString(),
                "sniff"));
    command.addAll(List.of(secrets));
    return new Sniffer(WeirCommand.launch(command));
  }

  static Path peer() {
    return WeirCommand.home().resolve("control/cli/src/test/resources/dev/weir/e2e/peer.py");
  }

  static String yaml(String resource) {
    try (var in = Lab.class.getResourceAsStream(resource)) {
      if (in == null) {
        throw new IllegalStateException("no resource " + resource);
      }
      return new String(in.readAllBytes(), StandardCharsets.UTF_8)
          .replace("PEER", peer().toString());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Runs cases of peer.py in a pod; the answers by the cases' names. */
  Answers cases(String pod, List<Json> cases) {
    return attendants
        .compute(pod, (key, one) -> one != null && one.lives() ? one : new Attendant(entering(pod)))
        .ask(cases);
  }

  private Process entering(String pod) {
    return WeirCommand.start(execArgs(pod, "python3", peer().toString(), "attend"));
  }

  Json one(String pod, Json theCase) {
    return cases(pod, List.of(theCase)).get(theCase.get("name").text());
  }

  Held hold(String pod, String host, int port, String family) {
    return new Held(
        WeirCommand.start(
            execArgs(
                pod, "python3", peer().toString(), "hold", host, Integer.toString(port), family)));
  }

  /** Load by wrk from a pod, from now until it is told to end, or for three minutes. */
  Load load(String pod, String... how) {
    List<String> command =
        new ArrayList<>(
            List.of(
                "bash",
                "-c",
                // Its reader's end is the sign; wrk sums up at SIGINT.
                "wrk -t1 -d 180s \"$@\" & read -r; kill -INT $!; wait $!",
                "wrk"));
    command.addAll(List.of(how));
    return new Load(WeirCommand.start(execArgs(pod, command.toArray(String[]::new))));
  }

  static final class Load implements AutoCloseable {
    private final Process process;

    private Load(Process process) {
      this.process = process;
    }

    /** Ends it: what wrk says of it. */
    String end() {
      try {
        process.getOutputStream().close();
        String said =
            new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8)
                + new String(process.getErrorStream().readAllBytes(), StandardCharsets.UTF_8);
        if (!process.waitFor(30, TimeUnit.SECONDS)) {
          throw new AssertionError("wrk does not end: " + said);
        }
        return said;
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        throw new AssertionError("interrupted", e);
      }
    }

    @Override
    public void close() {
      process.descendants().forEach(ProcessHandle::destroy);
      process.destroy();
    }
  }

  /** The last lines of the logs that explain a failure. */
  String logs() {
    StringBuilder out = new StringBuilder();
    for (String node : List.of("node-1", "node-2")) {
      Path log = Path.of("/run/weir-lab", name, "nodes", node, "agent.log");
      try {
        List<String> lines = Files.exists(log) ? Files.readAllLines(log) : List.of();
        lines
            .subList(Math.max(0, lines.size() - 25), lines.size())
            .forEach(line -> out.append(node).append(": ").append(line).append('\n'));
      } catch (IOException e) {
        out.append(node).append(": ").append(e).append('\n');
      }
    }
    return out.toString();
  }

  @Override
  public void close() {
    attendants.values().forEach(Attendant::close);
    lab("down").ok();
  }

  /** One connection that stands while things happen around it. */
  static final class Held implements AutoCloseable {
    private final Process process;
    private final BufferedReader answers;
    private final OutputStream asks;

    private Held(Process process) {
      this.process = process;
      this.answers = process.inputReader(StandardCharsets.UTF_8);
      this.asks = process.getOutputStream();
      String first = line();
      if (!first.startsWith("held ")) {
        throw new AssertionError("the held connection did not stand: " + first + errors());
      }
    }

    /** Sends a word and returns it as it came back, or how the connection ended. */
    String say(String word) {
      try {
        asks.write((word + "\n").getBytes(StandardCharsets.UTF_8));
        asks.flush();
      } catch (IOException e) {
        return "ended: " + e.getMessage();
      }
      return line().replaceFirst("^back ", "");
    }

    private String line() {
      try {
        String line = answers.readLine();
        return line == null ? "ended" + errors() : line;
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }

    private String errors() {
      try {
        // Its output ends a moment before it does.
        return process.waitFor(2, TimeUnit.SECONDS)
            ? ": " + new String(process.getErrorStream().readAllBytes(), StandardCharsets.UTF_8)
            : "";
      } catch (IOException e) {
        return ": " + e;
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        return ": " + e;
      }
    }

    @Override
    public void close() {
      process.descendants().forEach(ProcessHandle::destroy);
      process.destroy();
    }
  }

  /** What goes over a wire. */
  static final class Sniffer implements AutoCloseable {
    private final Process process;
    private final BufferedReader answers;

    private Sniffer(Process process) {
      this.process = process;
      this.answers = process.inputReader(StandardCharsets.UTF_8);
      if (!"listening".equals(line())) {
        throw new AssertionError("the wire cannot be listened to");
      }
    }

    /** What was seen since it began. */
    Json stop() {
      try {
        process.getOutputStream().close();
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
      return Json.parse(line());
    }

    private String line() {
      try {
        String line = answers.readLine();
        if (line == null) {
          throw new AssertionError(
              new String(process.getErrorStream().readAllBytes(), StandardCharsets.UTF_8));
        }
        return line;
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }

    @Override
    public void close() {
      process.destroy();
    }
  }
}
