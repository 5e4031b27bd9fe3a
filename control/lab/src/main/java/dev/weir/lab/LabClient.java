package dev.weir.lab;

import dev.weir.api.json.Json;
import dev.weir.api.json.JsonException;
import java.io.BufferedReader;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Consumer;
import java.util.stream.Stream;

/**
 * The door of the lab: what the CLI's {@code weir lab …} and tests call. Each call is one
 * connection to the daemon's socket, one JSON line there, JSON lines back ({@code {"progress":…}}
 * any number of times, then {@code {"result":…}} or {@code {"error":…}}). Every failure is a {@link
 * LabException} whose message is fit for the user. Any thread may call; a call blocks until the lab
 * answers.
 */
public final class LabClient {
  private static final Duration DAEMON_STARTS = Duration.ofSeconds(20);

  private final Paths paths;

  private LabClient(String name) {
    this.paths = new Paths(name);
  }

  /** The lab of this name, which must be up. */
  public static LabClient of(String name) {
    LabNames.check(name);
    LabClient client = new LabClient(name);
    if (!Files.exists(client.paths.folder())) {
      throw new LabException(
          "lab " + name + " is not up: `weir lab up --name " + name + "` starts it");
    }
    return client;
  }

  /** The one lab that is up; an error where there is none or where there are several. */
  public static LabClient only() {
    List<String> names = names();
    if (names.size() == 1) {
      return of(names.getFirst());
    }
    throw new LabException(
        names.isEmpty()
            ? "no lab is up: `weir lab up` starts one"
            : "several labs are up (" + String.join(", ", names) + "): say which with --name");
  }

  /** The labs that are up, or that left something behind. */
  public static List<String> names() {
    if (!Files.isDirectory(Paths.HOME)) {
      return List.of();
    }
    try (Stream<Path> folders = Files.list(Paths.HOME)) {
      return folders
          .filter(Files::isDirectory)
          .map(folder -> folder.getFileName().toString())
          .sorted()
          .toList();
    } catch (IOException e) {
      throw new LabException(Paths.HOME + ": cannot be listed: " + e.getMessage(), e);
    }
  }

  /**
   * Starts a lab and waits until it is ready. Where the lab could not be made nothing of it stays;
   * where it is up but not ready in time it stays for inspection, and the exception says what is
   * missing.
   *
   * @param caveats is told, line by line, what the objects ask for in vain
   */
  public static LabClient up(
      UpOptions options, Consumer<String> progress, Consumer<String> caveats) {
    LabNames.check(options.name());
    LabClient client = new LabClient(options.name());
    DaemonStart.start(options.name(), DAEMON_STARTS);
    try {
      lines(
              client.call(
                  Json.object()
                      .with("verb", "up")
                      .with("nodes", options.nodes())
                      .with("zones", zones(options.zones()))
                      .with("mesh", options.mesh())
                      .with("agentArgs", options.agentArgs())
                      .with("sources", sources(options.sources())),
                  progress))
          .forEach(caveats);
    } catch (LabException e) {
      Sweep.lab(options.name());
      throw e;
    }
    if (!options.ready().isZero()) {
      try {
        client.awaitReady(options.ready());
      } catch (LabException e) {
        throw new LabException(
            "lab " + options.name() + " is up, but not everything is ready " + e.getMessage(), e);
      }
    }
    return client;
  }

  /** Takes the lab away, whatever state it or its daemon is in; fine where there is none. */
  public static void down(String name) {
    LabNames.check(name);
    Sweep.lab(name);
  }

  /** Takes every lab away, also what labs left behind whose folder is gone. */
  public static void downAll() {
    Sweep.all();
  }

  public String name() {
    return paths.lab();
  }

  public Paths paths() {
    return paths;
  }

  /**
   * Adds or changes objects; returns one line for each, such as {@code deployment/web configured}.
   * Nothing changes if one is wrong.
   */
  public List<String> apply(List<Source> sources) {
    return lines(
        call(Json.object().with("verb", "apply").with("sources", sources(sources)), line -> {}));
  }

  /**
   * Waits until every pod that should be ready is, and every agent; throws with what is missing.
   */
  public void awaitReady(Duration atMost) {
    call(
        Json.object().with("verb", "await").with("readyMillis", (double) atMost.toMillis()),
        line -> {});
  }

  /** Deletes the objects that the sources name. Returns once they are gone. */
  public List<String> delete(List<Source> sources) {
    return lines(
        call(Json.object().with("verb", "delete").with("sources", sources(sources)), line -> {}));
  }

  /** Deletes one object. kind as kubectl takes it: {@code pod}, {@code deploy}, {@code svc} … */
  public List<String> delete(String namespace, String kind, String name) {
    return lines(call(named("delete", namespace, kind, name), line -> {}));
  }

  public void scale(String namespace, String kind, String name, int replicas) {
    call(named("scale", namespace, kind, name).with("replicas", replicas), line -> {});
  }

  /** Sets annotations; an empty value takes one away. */
  public void annotate(
      String namespace, String kind, String name, Map<String, Optional<String>> changes) {
    call(named("annotate", namespace, kind, name).with("changes", changes(changes)), line -> {});
  }

  /** Sets labels; an empty value takes one away. */
  public void label(
      String namespace, String kind, String name, Map<String, Optional<String>> changes) {
    call(named("label", namespace, kind, name).with("changes", changes(changes)), line -> {});
  }

  /** The status as {@code weir lab status -o json} prints it. */
  public Json status() {
    return call(Json.object().with("verb", "status"), line -> {});
  }

  /**
   * stop, start, kill, restart or upgrade. Returns once it is done: a started agent is ready, a
   * stopped one is gone.
   */
  public void agent(String node, String action) {
    call(Json.object().with("verb", "agent").with("node", node).with("action", action), line -> {});
  }

  /** stop, start, kill or restart. */
  public void control(String action) {
    call(Json.object().with("verb", "control").with("action", action), line -> {});
  }

  /**
   * The log of {@code agent/NODE}, {@code control}, {@code lab} or a pod. container may be empty
   * where the pod has only one.
   */
  public Path log(String namespace, String target, String container) {
    Path log;
    if (target.equals("control")) {
      log = paths.control().resolve("log");
    } else if (target.equals("lab")) {
      log = paths.log();
    } else if (target.startsWith("agent/")) {
      log = paths.node(target.substring("agent/".length())).resolve("agent.log");
    } else {
      log =
          Path.of(
              call(named("log", namespace, "pod", target).with("container", container), line -> {})
                  .text());
    }
    if (!Files.exists(log)) {
      throw new LabException(
          "no log of " + target + " in lab " + name() + " (expected: " + log + ")");
    }
    return log;
  }

  /**
   * The command that runs argv in a pod's container, as {@code weir lab exec} does: all namespaces,
   * cgroup, environment.
   */
  public List<String> execCommand(
      String namespace, String pod, String container, List<String> argv) {
    return PodEntry.of(paths, namespace, pod, container).command(argv);
  }

  private static Json.Builder named(String verb, String namespace, String kind, String name) {
    return Json.object()
        .with("verb", verb)
        .with("namespace", namespace)
        .with("kind", kind)
        .with("name", name);
  }

  private static Json sources(List<Source> sources) {
    return Json.of(
        sources.stream()
            .map(s -> Json.object().with("name", s.name()).with("text", s.text()).build())
            .toList());
  }

  private static Json zones(Map<String, String> zones) {
    Json.Builder json = Json.object();
    zones.forEach(json::with);
    return json.build();
  }

  private static Json changes(Map<String, Optional<String>> changes) {
    Json.Builder json = Json.object();
    changes.forEach(
        (key, value) -> json.with(key, value.map(Json::of).orElse(Json.Nothing.NOTHING)));
    return json.build();
  }

  private static List<String> lines(Json result) {
    return result.items().stream().map(Json::text).toList();
  }

  private Json call(Json.Builder request, Consumer<String> progress) {
    try (SocketChannel channel = SocketChannel.open(StandardProtocolFamily.UNIX)) {
      connect(channel);
      ByteBuffer line = StandardCharsets.UTF_8.encode(request.build().toJson() + "\n");
      while (line.hasRemaining()) {
        channel.write(line);
      }
      BufferedReader answers =
          new BufferedReader(Channels.newReader(channel, StandardCharsets.UTF_8));
      for (String answer = answers.readLine(); answer != null; answer = answers.readLine()) {
        Json json = Json.parse(answer);
        if (json.fieldsByName().containsKey("error")) {
          throw new LabException(json.get("error").text());
        }
        if (json.fieldsByName().containsKey("result")) {
          return json.get("result");
        }
        progress.accept(json.get("progress").text());
      }
      throw new LabException(
          "the daemon of lab " + name() + " ended without an answer: see " + paths.log());
    } catch (IOException | JsonException e) {
      throw new LabException("lab " + name() + ": " + paths.socket() + ": " + e.getMessage(), e);
    }
  }

  private void connect(SocketChannel channel) {
    try {
      channel.connect(UnixDomainSocketAddress.of(paths.socket()));
    } catch (IOException e) {
      throw new LabException(
          "the daemon of lab "
              + name()
              + " does not answer: `weir lab down --name "
              + name()
              + "` clears what it left ("
              + paths.socket()
              + ": "
              + e.getMessage()
              + ")",
          e);
    }
  }
}
