package dev.weir.lab;

import dev.weir.api.json.Json;
import dev.weir.api.kube.AccessPolicy;
import dev.weir.api.kube.AnnotationException;
import dev.weir.api.kube.Annotations;
import dev.weir.api.kube.Condition;
import dev.weir.api.kube.ConfigMap;
import dev.weir.api.kube.Deployment;
import dev.weir.api.kube.EndpointSlice;
import dev.weir.api.kube.Enrolment;
import dev.weir.api.kube.KubeObject;
import dev.weir.api.kube.Manifest;
import dev.weir.api.kube.Metadata;
import dev.weir.api.kube.Namespace;
import dev.weir.api.kube.Node;
import dev.weir.api.kube.Pod;
import dev.weir.api.kube.PodSpec;
import dev.weir.api.kube.PodStatus;
import dev.weir.api.kube.ReplicaSet;
import dev.weir.api.kube.Secret;
import dev.weir.api.kube.Service;
import dev.weir.api.kube.ServiceAccount;
import dev.weir.api.kube.StatefulSet;
import dev.weir.ffi.Kernel;
import dev.weir.ffi.KernelException;
import java.io.IOException;
import java.net.InetAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.BooleanSupplier;
import java.util.function.Supplier;
import java.util.random.RandomGenerator;
import org.jspecify.annotations.Nullable;

/**
 * One lab: the cluster that its YAML describes. Commands come on threads of their own, ask the desk
 * and wait for what they asked for; everything else happens on the desk, where each piece of news
 * leads to {@link #reconcile}, which compares what should be with what is and starts the
 * difference.
 */
final class Lab implements PodRun.Ward, Enroller.Register, AutoCloseable {
  private static final Duration AGENT_ENDS = Duration.ofSeconds(40);
  private static final Duration AGENT_STARTS = Duration.ofSeconds(30);
  private static final Duration TOKEN_LIFE = Duration.ofHours(12);

  /** A change of roots in a lab is watched by somebody, and a request costs a few milliseconds. */
  private static final Duration ROOT_CHECK = Duration.ofSeconds(30);

  private static final Duration DELETED = Duration.ofSeconds(90);

  private final Paths paths;
  private final Desk desk = new Desk();
  private final Crossing crossing = new Crossing();
  private final Prober prober = new Prober(crossing);
  private final ClusterDns dns = new ClusterDns(crossing);
  private final Wiring wiring;
  private final Path cgroups = Cgroups.root();
  private final StateFolder state;

  private final Objects objects = new Objects();
  private final Tokens tokens = new Tokens();
  private final Placement placement = new Placement();
  private final Workloads workloads = new Workloads(RandomGenerator.getDefault());
  private final ServiceAddresses serviceAddresses = new ServiceAddresses();
  private final Map<String, LabNode> nodes = new LinkedHashMap<>();
  private final Map<String, NodeKit> kits = new HashMap<>();
  private final Map<String, PodRun> pods = new LinkedHashMap<>();

  /** Pods that were handed to an agent and not taken back, by UID. */
  private final Map<String, PodRun> enrolled = new LinkedHashMap<>();

  /** The agent's word on them: empty where it took them in. */
  private final Map<String, String> verdicts = new HashMap<>();

  /** Pods that no node fits, with the reason. */
  private final Map<String, String> unplaced = new TreeMap<>();

  private final List<Waiter> waiters = new ArrayList<>();
  private List<ServiceRules.Backed> backed = List.of();
  private String rules = "";
  private boolean reconciling;
  private boolean mesh;
  private List<String> agentArgs = List.of();
  private Map<String, String> zones = Map.of();
  private @Nullable MeshProcess control;

  /** A command that waits for something to become true. */
  private record Waiter(BooleanSupplier done, CompletableFuture<Boolean> future) {}

  Lab(Paths paths) {
    this.paths = paths;
    this.wiring = new Wiring(paths);
    this.state = new StateFolder(paths.state());
  }

  // Commands: on the thread of whoever asked.

  /** Makes the lab; what is in it starts now. */
  void up(
      int nodeCount,
      Map<String, String> zoneByNode,
      boolean withMesh,
      List<String> moreAgentArgs,
      List<Source> sources) {
    List<Manifest> manifests = Checks.read(sources);
    if (nodeCount < 1 || nodeCount > Addressing.MAX_NODES) {
      throw new LabException(
          "--nodes " + nodeCount + " (expected: 1 to " + Addressing.MAX_NODES + ")");
    }
    Set<String> names = new LinkedHashSet<>();
    for (int i = 1; i <= nodeCount; i++) {
      names.add("node-" + i);
    }
    names.addAll(namedNodes(manifests));
    for (String node : zoneByNode.keySet()) {
      if (!names.contains(node)) {
        throw new LabException(
            "--zone " + node + "=…: no such node (there are: " + String.join(", ", names) + ")");
      }
    }
    desk.ask(() -> {
      mesh = withMesh;
      agentArgs = List.copyOf(moreAgentArgs);
      zones = Map.copyOf(zoneByNode);
      plan(manifests);
      return mesh;
    });
    if (withMesh) {
      mountBpffs();
    }
    Cgroups.create(cgroups.resolve(paths.controlName()));
    wiring.fabric();
    if (withMesh) {
      desk.ask(this::startControl);
    }
    addNodes(names);
    desk.ask(() -> commit(manifests));
  }

  private static void mountBpffs() {
    try {
      Kernel.instance().bpf().mountBpffs(Paths.BPFFS);
    } catch (KernelException e) {
      throw new LabException(
          "bpffs cannot be mounted at "
              + Paths.BPFFS
              + ": "
              + e.getMessage()
              + " (--no-mesh does without)",
          e);
    }
  }

  private static Set<String> namedNodes(List<Manifest> manifests) {
    Set<String> names = new LinkedHashSet<>();
    for (Manifest manifest : manifests) {
      PodSpec spec = Checks.podSpec(manifest.object());
      if (spec != null && !spec.nodeName().isEmpty()) {
        names.add(spec.nodeName());
      }
    }
    return names;
  }

  /**
   * Wires those that are not there yet. Commands that change the lab come one at a time, see {@link
   * Requests}.
   */
  private void addNodes(Collection<String> names) {
    Map<String, LabNode> present = new LinkedHashMap<>(desk.ask(() -> Map.copyOf(nodes)));
    for (String name : names) {
      if (present.containsKey(name)) {
        continue;
      }
      int number = present.size() + 1;
      if (number > Addressing.MAX_NODES) {
        throw new LabException(
            "node " + name + ": no more than " + Addressing.MAX_NODES + " nodes");
      }
      LabNode node = new LabNode(name, number, zones.getOrDefault(name, ""));
      Cgroups.create(cgroups.resolve(paths.nodeName(name)));
      wiring.node(name, number, present.values());
      dns.serve(paths.nodeName(name));
      present.put(name, node);
      desk.ask(() -> {
        nodes.put(name, node);
        open(node);
        return name;
      });
    }
  }

  List<String> apply(List<Source> sources) {
    List<Manifest> manifests = Checks.read(sources);
    desk.ask(() -> plan(manifests));
    addNodes(namedNodes(manifests));
    return desk.ask(() -> commit(manifests));
  }

  List<String> delete(List<Source> sources) {
    List<Manifest> manifests = Checks.read(sources);
    return deleteKeys(
        manifests.stream().map(manifest -> manifest.object().key()).toList().reversed());
  }

  List<String> delete(String kind, String namespace, String name) {
    return deleteKeys(List.of(Objects.key(Objects.kind(kind), namespace, name)));
  }

  private List<String> deleteKeys(List<String> keys) {
    List<String> lines =
        desk.ask(() -> {
          List<String> done = new ArrayList<>();
          for (String key : keys) {
            if (!exists(key)) {
              throw new LabException(readable(key) + " does not exist");
            }
          }
          for (String key : keys) {
            remove(key);
            done.add(readable(key) + " deleted");
          }
          return done;
        });
    Set<String> gone = Set.copyOf(keys);
    waitFor(
        () -> pods.values().stream().noneMatch(pod -> pod.stopping() && within(gone, pod)),
        DELETED,
        () -> "pods are still ending");
    return lines;
  }

  /** Whether a pod goes with one of these: itself, what owns it, or its namespace. */
  private static boolean within(Set<String> keys, PodRun pod) {
    return keys.contains(pod.pod().key())
        || keys.contains(pod.owner)
        || keys.contains("Namespace " + pod.pod().namespace());
  }

  void scale(String kind, String namespace, String name, int replicas) {
    if (replicas < 0 || replicas > 1000) {
      throw new LabException("replicas: " + replicas + " (expected: 0 to 1000)");
    }
    desk.ask(() -> {
      KubeObject object = existing(kind, namespace, name);
      KubeObject scaled =
          switch (object) {
            case Deployment deployment -> deployment.withReplicas(replicas);
            case StatefulSet set -> set.withReplicas(replicas);
            case ReplicaSet set ->
                new ReplicaSet(set.metadata(), replicas, set.selector(), set.template());
            default -> throw new LabException(readable(object.key()) + " has no replicas");
          };
      objects.put(scaled);
      touch();
      return name;
    });
  }

  void annotate(String kind, String namespace, String name, Map<String, Optional<String>> changes) {
    mark(kind, namespace, name, changes, true);
  }

  void label(String kind, String namespace, String name, Map<String, Optional<String>> changes) {
    mark(kind, namespace, name, changes, false);
  }

  private void mark(
      String kind,
      String namespace,
      String name,
      Map<String, Optional<String>> changes,
      boolean annotations) {
    desk.ask(() -> {
      KubeObject object = existing(kind, namespace, name);
      Map<String, String> marks =
          new LinkedHashMap<>(
              annotations ? object.metadata().annotations() : object.metadata().labels());
      changes.forEach((key, value) -> {
        value.ifPresentOrElse(text -> checkMark(object, key, text, annotations), () -> {});
        value.ifPresentOrElse(text -> marks.put(key, text), () -> marks.remove(key));
      });
      Metadata metadata =
          annotations
              ? object.metadata().withAnnotations(marks)
              : object.metadata().withLabels(marks);
      if (object instanceof Pod pod) {
        run(pod.namespace(), pod.name()).replaceMetadata(metadata);
      } else {
        objects.put(Births.withMetadata(object, metadata));
      }
      touch();
      return name;
    });
  }

  private static void checkMark(KubeObject object, String key, String value, boolean annotation) {
    String wrong =
        annotation
            ? Annotations.problem(object.kind(), key, value)
            : Annotations.labelProblem(object.kind(), key, value);
    if (wrong != null) {
      throw new LabException(wrong);
    }
    if (key.equals(Annotations.STATUS)) {
      throw new LabException(Annotations.STATUS + " is written by Weir alone");
    }
  }

  String log(String namespace, String name, String container) {
    return desk.ask(() -> {
      PodRun pod = run(namespace, name);
      List<String> names = pod.containerNames();
      if (!container.isEmpty() && !names.contains(container)) {
        throw new LabException(
            "pod "
                + namespace
                + "/"
                + name
                + " has no container '"
                + container
                + "' (it has: "
                + String.join(", ", names)
                + ")");
      }
      String which =
          container.isEmpty() ? pod.pod().spec().containers().getFirst().name() : container;
      return pod.log(which).toString();
    });
  }

  void awaitReady(Duration atMost) {
    waitFor(() -> missing().isEmpty(), atMost, () -> String.join("\n", missing()));
  }

  /** Waits on the caller's thread; the reason is asked for on the desk. */
  private void waitFor(BooleanSupplier done, Duration atMost, Supplier<String> reason) {
    CompletableFuture<Boolean> future = new CompletableFuture<>();
    Waiter waiter = new Waiter(done, future);
    desk.post(() -> {
      waiters.add(waiter);
      answerWaiters();
    });
    try {
      future.get(atMost.toMillis(), TimeUnit.MILLISECONDS);
    } catch (TimeoutException e) {
      desk.post(() -> waiters.remove(waiter));
      throw new LabException("not after " + atMost.toSeconds() + " s: " + desk.ask(reason), e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new LabException("interrupted", e);
    } catch (ExecutionException e) {
      throw new LabException("internal error: " + e.getCause(), e);
    }
  }

  void agent(String node, String action) {
    NodeKit kit =
        desk.ask(() -> {
          NodeKit known = kits.get(node);
          if (known == null) {
            throw new LabException(
                "no node '" + node + "' (there are: " + String.join(", ", nodes.keySet()) + ")");
          }
          if (!mesh) {
            throw new LabException(
                "lab " + paths.lab() + " is up without a mesh, so there are no agents");
          }
          return known;
        });
    switch (action) {
      case "start" -> startAgent(node, kit);
      case "stop" -> end(kit::currentAgent, "agent of " + node, false);
      case "kill" -> end(kit::currentAgent, "agent of " + node, true);
      case "restart" -> {
        if (desk.ask(() -> kit.currentAgent().state() != MeshProcess.State.STOPPED)) {
          end(kit::currentAgent, "agent of " + node, false);
        }
        startAgent(node, kit);
      }
      case "upgrade" -> upgrade(node, kit);
      default ->
          throw new LabException(
              "agent " + action + " (expected: start, stop, kill, restart or upgrade)");
    }
  }

  private void startAgent(String node, NodeKit kit) {
    desk.ask(() -> {
      if (kit.currentAgent().state() != MeshProcess.State.STOPPED) {
        throw new LabException(
            "the agent of " + node + " runs already, pid " + kit.currentAgent().pid());
      }
      kit.currentAgent().start();
      return node;
    });
    waitFor(
        () -> kit.currentAgent().state() != MeshProcess.State.STARTING,
        AGENT_STARTS,
        () -> "the agent of " + node + " is not ready; see `weir lab logs agent/" + node + "`");
    if (desk.ask(() -> kit.currentAgent().state() == MeshProcess.State.STOPPED)) {
      throw new LabException(
          "the agent of " + node + " ended at once; see `weir lab logs agent/" + node + "`");
    }
  }

  private void end(Supplier<MeshProcess> process, String title, boolean kill) {
    desk.ask(() -> {
      if (process.get().state() == MeshProcess.State.STOPPED) {
        throw new LabException("the " + title + " does not run");
      }
      process.get().signal(kill);
      return title;
    });
    waitFor(
        () -> process.get().state() == MeshProcess.State.STOPPED,
        AGENT_ENDS,
        () -> "the " + title + " has not ended");
  }

  /**
   * The new one runs beside the old one until it is in charge; then the old one may go. It finishes
   * what it has for as long as its {@code --drain} says, and nobody waits for that.
   */
  private void upgrade(String node, NodeKit kit) {
    NodeKit.Former old =
        desk.ask(() -> {
          if (kit.currentAgent().state() != MeshProcess.State.READY) {
            throw new LabException(
                "the agent of "
                    + node
                    + " is not ready, so there is nothing to take over from; use start");
          }
          NodeKit.Former standing = new NodeKit.Former(kit.currentAgent(), kit.adminSocket);
          kit.formers.add(standing);
          kit.agent = newAgent(nodeNamed(node), kit, true);
          kit.currentAgent().start();
          return standing;
        });
    try {
      waitFor(
          () -> kit.currentAgent().state() != MeshProcess.State.STARTING,
          AGENT_STARTS,
          () -> "it is not ready");
      desk.ask(() -> {
        if (kit.currentAgent().state() != MeshProcess.State.READY) {
          throw new LabException("it ended at once");
        }
        putInCharge(nodeNamed(node), kit);
        old.process().signal(false);
        return node;
      });
    } catch (LabException e) {
      desk.ask(() -> {
        kit.currentAgent().signal(true);
        kit.formers.remove(old);
        kit.agent = old.process();
        kit.adminSocket = old.adminSocket();
        return node;
      });
      throw new LabException(
          "the new agent of "
              + node
              + " did not take over: "
              + e.getMessage()
              + "; the old one stays; see `weir lab logs agent/"
              + node
              + "`",
          e);
    }
  }

  void control(String action) {
    MeshProcess process =
        desk.ask(() -> {
          if (control == null) {
            throw new LabException(
                "lab " + paths.lab() + " is up without a mesh, so there is no control plane");
          }
          return control;
        });
    switch (action) {
      case "start" -> start(process);
      case "stop" -> end(() -> process, "control plane", false);
      case "kill" -> end(() -> process, "control plane", true);
      case "restart" -> {
        if (desk.ask(() -> process.state() != MeshProcess.State.STOPPED)) {
          end(() -> process, "control plane", false);
        }
        start(process);
      }
      default ->
          throw new LabException("control " + action + " (expected: start, stop, kill or restart)");
    }
  }

  private void start(MeshProcess process) {
    desk.ask(() -> {
      if (process.state() != MeshProcess.State.STOPPED) {
        throw new LabException("the control plane runs already, pid " + process.pid());
      }
      process.start();
      return process;
    });
    waitFor(
        () -> process.state() != MeshProcess.State.STARTING,
        AGENT_STARTS,
        () -> "the control plane is not ready; see `weir lab logs control`");
    if (desk.ask(() -> process.state() == MeshProcess.State.STOPPED)) {
      throw new LabException("the control plane ended at once; see `weir lab logs control`");
    }
  }

  Json status() {
    return desk.ask(this::currentStatus);
  }

  // From here on: the desk.

  private LabNode nodeNamed(String name) {
    LabNode node = nodes.get(name);
    if (node == null) {
      throw new LabException("no node '" + name + "'");
    }
    return node;
  }

  private boolean startControl() {
    write(tokenKeys(), tokens.keys().toJson());
    control =
        new MeshProcess(
            desk,
            "control plane",
            cgroups.resolve(paths.controlName()),
            paths.controlName(),
            List.of(
                "control",
                "--source-dir",
                paths.state().toString(),
                "--listen",
                Addressing.CONTROL_V4 + ":" + Addressing.CONTROL_PORT,
                "--listen-tls",
                Addressing.CONTROL_V4 + ":" + Addressing.CONTROL_TLS_PORT,
                "--ca-dir",
                certificates().toString(),
                "--token-keys",
                tokenKeys().toString(),
                "--admin-socket",
                paths.control().resolve("admin.sock").toString()),
            paths.control().resolve("log"),
            () ->
                listens(
                        paths.controlName(),
                        Addressing.of(Addressing.CONTROL_V4),
                        Addressing.CONTROL_PORT)
                    // Its CA comes last.
                    && listens(
                        paths.controlName(),
                        Addressing.of(Addressing.CONTROL_V4),
                        Addressing.CONTROL_TLS_PORT),
            () -> processChanged(control, paths.control().resolve("pid")));
    publish();
    control.start();
    return true;
  }

  private Path certificates() {
    return paths.control().resolve("ca");
  }

  private Path tokenKeys() {
    return paths.control().resolve("token-keys.json");
  }

  private Path token(LabNode node) {
    return paths.node(node.name()).resolve("token");
  }

  /** As a kubelet: anew when a fifth of its life is left. */
  private void keepToken(LabNode node) {
    write(token(node), tokens.agentToken(node.name(), TOKEN_LIFE.toSeconds()));
    desk.after(TOKEN_LIFE.multipliedBy(4).dividedBy(5), () -> keepToken(node));
  }

  /** For its owner's eyes, and whole or not at all. */
  private static void write(Path file, String text) {
    Path fresh = file.resolveSibling("." + file.getFileName());
    try {
      Files.createDirectories(file.resolveSibling("."));
      Files.deleteIfExists(fresh);
      Files.createFile(
          fresh,
          PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------")));
      Files.writeString(fresh, text);
      Files.move(fresh, file, StandardCopyOption.ATOMIC_MOVE);
    } catch (IOException e) {
      throw new LabException(file + ": cannot be written: " + e.getMessage(), e);
    }
  }

  private boolean listens(String netns, InetAddress address, int port) {
    return prober.connects(netns, address, port);
  }

  private void open(LabNode node) {
    NodeKit kit = new NodeKit();
    kits.put(node.name(), kit);
    if (!mesh) {
      return;
    }
    Path folder = paths.node(node.name());
    try {
      Files.createDirectories(folder);
    } catch (IOException e) {
      throw new LabException(folder + ": cannot be made: " + e.getMessage(), e);
    }
    kit.enroller =
        new Enroller(desk, node.name(), folder.resolve("zds.sock"), () -> workloadsOn(node), this);
    keepToken(node);
    kit.agent = newAgent(node, kit, false);
    putInCharge(node, kit);
    kit.agent.start();
  }

  private MeshProcess newAgent(LabNode node, NodeKit kit, boolean takesOver) {
    Path folder = paths.node(node.name());
    Path nodeCgroup = cgroups.resolve(paths.nodeName(node.name()));
    // Two agents cannot listen on one path; admin.sock is a link to the one that is in charge.
    String adminSocket = "admin-" + ++kit.agents + ".sock";
    Path socket = folder.resolve(adminSocket);
    List<String> arguments =
        new ArrayList<>(
            List.of(
                "agent",
                "--node",
                node.name(),
                "--zds",
                folder.resolve("zds.sock").toString(),
                "--xds",
                Addressing.CONTROL_V4 + ":" + Addressing.CONTROL_PORT,
                "--ca",
                Addressing.CONTROL_V4 + ":" + Addressing.CONTROL_TLS_PORT,
                "--ca-root",
                certificates().resolve("roots.pem").toString(),
                "--token",
                token(node).toString(),
                "--root-check",
                Long.toString(ROOT_CHECK.toSeconds()),
                "--cgroup",
                nodeCgroup.toString(),
                "--bpffs",
                paths.bpffs(node.name()).toString(),
                "--node-ip",
                Addressing.nodeV4(node.number()) + "," + Addressing.nodeV6(node.number()),
                "--admin-socket",
                socket.toString(),
                "--dns-upstream",
                Addressing.DNS.getHostAddress() + ":53"));
    arguments.addAll(agentArgs);
    kit.adminSocket = adminSocket;
    String netns = paths.nodeName(node.name());
    return new MeshProcess(
        desk,
        "agent of " + node.name(),
        nodeCgroup.resolve("agent"),
        netns,
        arguments,
        folder.resolve("agent.log"),
        // While two run, either may answer on the readiness port; the socket is the new one's own.
        () -> takesOver ? isInCharge(socket) : prober.answers(netns, 15021, "/healthz/ready"),
        () -> {
          kit.formers.removeIf(former -> former.process().state() == MeshProcess.State.STOPPED);
          processChanged(kit.agent, folder.resolve("agent.pid"));
          learnVersion(folder.resolve(kit.adminSocket), kit);
        });
  }

  private static boolean isInCharge(Path socket) {
    if (!Files.exists(socket)) {
      return false;
    }
    Json status = AdminDoor.get(socket, "/status");
    return status.get("ready").isTrue() && status.get("inCharge").isTrue();
  }

  private void putInCharge(LabNode node, NodeKit kit) {
    Path link = paths.node(node.name()).resolve("admin.sock");
    Path fresh = link.resolveSibling(".admin.sock");
    try {
      Files.deleteIfExists(fresh);
      Files.createSymbolicLink(fresh, Path.of(kit.adminSocket));
      Files.move(fresh, link, StandardCopyOption.ATOMIC_MOVE);
    } catch (IOException e) {
      throw new LabException(link + ": cannot be made: " + e.getMessage(), e);
    }
  }

  private void processChanged(@Nullable MeshProcess process, Path pidFile) {
    try {
      if (process != null && process.pid() > 0) {
        Files.writeString(pidFile, process.pid() + "\n");
      } else {
        Files.deleteIfExists(pidFile);
      }
    } catch (IOException e) {
      Log.warn(pidFile + ": " + e.getMessage());
    }
    touch();
  }

  private void learnVersion(Path socket, NodeKit kit) {
    if (kit.currentAgent().state() != MeshProcess.State.READY) {
      return;
    }
    Thread.ofVirtual()
        .start(() -> {
          String version = AdminDoor.get(socket, "/status").get("version").text();
          desk.post(() -> kit.version = version);
        });
  }

  private List<Enroller.Workload> workloadsOn(LabNode node) {
    return enrolled.values().stream()
        .filter(pod -> pod.node.equals(node))
        .map(Lab::workload)
        .toList();
  }

  private static Enroller.Workload workload(PodRun run) {
    Pod pod = run.pod();
    return new Enroller.Workload(
        pod.metadata().uid(),
        pod.namespace(),
        pod.name(),
        pod.spec().serviceAccountName(),
        run.netns);
  }

  private PodRun run(String namespace, String name) {
    PodRun pod = pods.get(namespace + "/" + name);
    if (pod == null) {
      throw new LabException("no pod " + namespace + "/" + name);
    }
    return pod;
  }

  private boolean exists(String key) {
    return objects.get(key) != null
        || pods.values().stream().anyMatch(pod -> pod.pod().key().equals(key) && !pod.stopping());
  }

  private KubeObject existing(String kind, String namespace, String name) {
    String word = Objects.kind(kind);
    if (word.equals("Pod")) {
      return run(namespace, name).pod();
    }
    KubeObject object = objects.get(Objects.key(word, namespace, name));
    if (object == null) {
      throw new LabException(readable(Objects.key(word, namespace, name)) + " does not exist");
    }
    return object;
  }

  /**
   * {@code deployment/web} for the key {@code Deployment default/web}; other namespaces are named.
   */
  private static String readable(String key) {
    int blank = key.indexOf(' ');
    String name = key.substring(blank + 1);
    String kind = key.substring(0, blank).toLowerCase(Locale.ROOT);
    int slash = name.indexOf('/');
    return slash < 0
        ? kind + "/" + name
        : kind + "/" + name.substring(slash + 1) + " (" + name.substring(0, slash) + ")";
  }

  /** Throws where something could not be done, before anything is. */
  private boolean plan(List<Manifest> manifests) {
    for (Manifest manifest : manifests) {
      try {
        switch (manifest.object()) {
          case Pod pod -> {
            PodRun run = pods.get(pod.namespace() + "/" + pod.name());
            if (run != null && run.stopping()) {
              throw new LabException(
                  "pod " + pod.namespace() + "/" + pod.name() + " is still ending; try again");
            }
            if (run != null && !sameSpec(pod.spec(), run.pod().spec())) {
              throw new LabException(
                  "pod "
                      + pod.namespace()
                      + "/"
                      + pod.name()
                      + ": the spec of a pod cannot change while it lives; delete it first");
            }
          }
          case Service service -> serviceAddresses.check(service);
          default -> {
            // Nothing that could be in the way.
          }
        }
      } catch (LabException e) {
        throw new LabException(manifest.where() + ": " + e.getMessage(), e);
      }
    }
    return true;
  }

  private static boolean sameSpec(PodSpec wanted, PodSpec present) {
    return wanted.nodeName().isEmpty()
        ? wanted.equals(present.withNodeName(""))
        : wanted.equals(present);
  }

  private List<String> commit(List<Manifest> manifests) {
    List<String> lines = new ArrayList<>();
    found("default");
    // A namespace that is only mentioned is meant to be there: one less document in every example.
    manifests.forEach(manifest -> found(manifest.object().namespace()));
    for (Manifest manifest : manifests) {
      KubeObject object = manifest.object();
      String verb;
      if (object instanceof Pod pod) {
        verb = commit(pod);
      } else {
        KubeObject before = objects.get(object.key());
        KubeObject now = Births.born(object, before);
        if (now instanceof Service service) {
          now =
              serviceAddresses.settle(service, before instanceof Service earlier ? earlier : null);
        }
        verb = before == null ? "created" : before.equals(now) ? "unchanged" : "configured";
        objects.put(now);
        if (now instanceof ConfigMap || now instanceof Secret) {
          pods.values().forEach(PodRun::refreshVolumes);
        }
      }
      lines.add(readable(object.key()) + " " + verb);
    }
    touch();
    return lines;
  }

  private void found(String namespace) {
    if (!namespace.isEmpty() && objects.namespace(namespace) == null) {
      objects.put(Births.born(new Namespace(Metadata.named("", namespace)), null));
    }
  }

  private String commit(Pod pod) {
    PodRun run = pods.get(pod.namespace() + "/" + pod.name());
    if (run == null) {
      create(pod, "", "");
      return "created";
    }
    Metadata present = run.pod().metadata();
    Map<String, String> annotations = new LinkedHashMap<>(pod.metadata().annotations());
    String status = present.annotations().get(Annotations.STATUS);
    if (status != null) {
      annotations.put(Annotations.STATUS, status);
    }
    Metadata now = present.withLabels(pod.metadata().labels()).withAnnotations(annotations);
    if (now.equals(present)) {
      return "unchanged";
    }
    run.replaceMetadata(now);
    return "configured";
  }

  private void create(Pod pod, String owner, String revision) {
    LabNode node = placement.place(pod.spec(), nodes.values());
    if (node == null) {
      Log.warn(pod.key() + ": no node fits its nodeName and nodeSelector");
      unplaced.put(
          owner.isEmpty() ? pod.key() : owner,
          "no node fits its nodeName and nodeSelector " + pod.spec().nodeSelector());
      return;
    }
    int number = freeNumber(node);
    Pod born =
        new Pod(Births.born(pod.metadata()), pod.spec().withNodeName(node.name()), PodStatus.NONE);
    PodRun run =
        new PodRun(
            this,
            born,
            node,
            number,
            owner,
            revision,
            cgroups.resolve(paths.nodeName(node.name())));
    pods.put(pod.namespace() + "/" + pod.name(), run);
    run.begin();
  }

  /** The lowest that is free: addresses are used again soon, as on a small and busy cluster. */
  private int freeNumber(LabNode node) {
    Set<Integer> taken = new HashSet<>();
    pods.values().stream()
        .filter(pod -> pod.node.equals(node))
        .forEach(pod -> taken.add(pod.number));
    for (int number = Addressing.FIRST_POD; number <= Addressing.LAST_POD; number++) {
      if (!taken.contains(number)) {
        return number;
      }
    }
    throw new LabException(
        "node " + node.name() + " has no free pod address (10.244." + node.number() + ".0/24)");
  }

  private void remove(String key) {
    unplaced.remove(key);
    KubeObject object = objects.remove(key);
    if (object instanceof Service service) {
      serviceAddresses.release(service);
    }
    boolean whole = object instanceof Namespace;
    String namespace = object == null ? "" : object.name();
    for (PodRun pod : List.copyOf(pods.values())) {
      if (within(Set.of(key), pod)) {
        pod.stop();
      }
    }
    if (whole) {
      objects.all().stream()
          .filter(o -> o.namespace().equals(namespace))
          .map(KubeObject::key)
          .toList()
          .forEach(this::remove);
    }
    touch();
  }

  /** Soon: several pieces of news that come at once are one look. */
  private void touch() {
    desk.assertHere();
    if (!reconciling) {
      reconciling = true;
      desk.post(this::reconcile);
    }
  }

  private void reconcile() {
    reconciling = false;
    pods.values().forEach(PodRun::settle);
    for (KubeObject object : objects.all()) {
      List<PodRun> owned =
          pods.values().stream().filter(pod -> pod.owner.equals(object.key())).toList();
      Workloads.Step step = workloads.step(object, owned, nodes.values());
      for (Workloads.Wanted wanted : step.make()) {
        if (!unplaced.containsKey(wanted.owner())) {
          create(wanted.pod(), wanted.owner(), wanted.revision());
        }
      }
      step.stop().forEach(PodRun::stop);
    }
    enrol();
    publish();
    pods.values().forEach(PodRun::proceed);
    answerWaiters();
  }

  private boolean optedIn(PodRun pod) {
    if (!mesh) {
      return false;
    }
    try {
      return Enrolment.of(pod.pod(), objects.namespace(pod.pod().namespace())).enrolled();
    } catch (AnnotationException e) {
      Log.warn(pod.pod().key() + ": " + e.getMessage());
      return false;
    }
  }

  private void enrol() {
    for (PodRun pod : pods.values()) {
      String uid = pod.pod().metadata().uid();
      boolean wanted =
          pod.hasSandbox()
              && (pod.stage() == PodRun.Stage.ENROLLING || pod.stage() == PodRun.Stage.RUNNING)
              && optedIn(pod);
      Enroller enroller = kit(pod.node).enroller;
      if (enroller == null) {
        continue;
      }
      if (wanted && !enrolled.containsKey(uid)) {
        enrolled.put(uid, pod);
        enroller.add(workload(pod));
      } else if (!wanted && !pod.stopping() && enrolled.containsKey(uid)) {
        withdraw(uid, enroller);
      }
      showEnrolment(pod);
    }
  }

  private void withdraw(String uid, Enroller enroller) {
    enrolled.remove(uid);
    verdicts.remove(uid);
    enroller.delete(uid);
  }

  private void showEnrolment(PodRun pod) {
    String uid = pod.pod().metadata().uid();
    String word = null;
    if (enrolled.containsKey(uid) || (optedIn(pod) && !pod.stopping())) {
      String verdict = verdicts.get(uid);
      if (verdict == null) {
        Enroller enroller = kit(pod.node).enroller;
        boolean agent = enroller != null && enroller.connected();
        word =
            "pending: "
                + (agent
                    ? "the agent has not answered yet"
                    : "no agent runs on " + pod.node.name());
      } else {
        word = verdict.isEmpty() ? Annotations.ENROLLED : "refused: " + verdict;
      }
    }
    Map<String, String> annotations = new LinkedHashMap<>(pod.pod().metadata().annotations());
    String before =
        word == null
            ? annotations.remove(Annotations.STATUS)
            : annotations.put(Annotations.STATUS, word);
    if (!java.util.Objects.equals(before, word)) {
      pod.replaceMetadata(pod.pod().metadata().withAnnotations(annotations));
    }
  }

  private NodeKit kit(LabNode node) {
    NodeKit kit = kits.get(node.name());
    if (kit == null) {
      throw new IllegalStateException("node " + node.name() + " has no kit");
    }
    return kit;
  }

  private void publish() {
    List<Pod> current = pods.values().stream().map(PodRun::pod).toList();
    List<EndpointSlice> slices = new ArrayList<>(objects.all(EndpointSlice.class));
    for (Service service : objects.all(Service.class)) {
      slices.addAll(Endpoints.slices(service, current, node -> zones.getOrDefault(node, "")));
    }
    backed =
        objects.all(Service.class).stream()
            .map(service ->
                new ServiceRules.Backed(
                    service,
                    slices.stream()
                        .filter(slice ->
                            slice.namespace().equals(service.namespace())
                                && slice.serviceName().equals(service.name()))
                        .toList()))
            .toList();
    Map<String, KubeObject> namespaces = new TreeMap<>();
    Map<String, KubeObject> accounts = new TreeMap<>();
    for (Namespace namespace : objects.all(Namespace.class)) {
      String name = namespace.name();
      namespaces.put(name, namespace);
      accounts.put(name + "/default", new ServiceAccount(Metadata.named(name, "default")));
    }
    for (Pod pod : current) {
      String account = pod.spec().serviceAccountName();
      accounts.putIfAbsent(
          pod.namespace() + "/" + account,
          new ServiceAccount(Metadata.named(pod.namespace(), account)));
    }
    objects
        .all(ServiceAccount.class)
        .forEach(account -> accounts.put(account.namespace() + "/" + account.name(), account));
    dns.know(backed, Set.copyOf(namespaces.keySet()));
    rules = ServiceRules.script(backed);
    applyRules();
    List<KubeObject> shown = new ArrayList<>();
    nodes.values().forEach(node -> shown.add(nodeObject(node)));
    shown.addAll(namespaces.values());
    shown.addAll(accounts.values());
    shown.addAll(objects.all(Service.class));
    shown.addAll(objects.all(AccessPolicy.class));
    shown.addAll(slices);
    shown.addAll(current);
    state.show(shown);
  }

  private static Node nodeObject(LabNode node) {
    return new Node(
        Metadata.named("", node.name()).withLabels(Placement.labels(node)),
        List.of(
            Addressing.of(Addressing.nodeV4(node.number())),
            Addressing.of(Addressing.nodeV6(node.number()))),
        List.of(Addressing.podsV4(node.number()), Addressing.podsV6(node.number())),
        List.of(Condition.of(Condition.READY, true)));
  }

  /** One nft a node at a time; the latest rules win. */
  private void applyRules() {
    for (LabNode node : nodes.values()) {
      NodeKit kit = kit(node);
      if (kit.rulesInHand || kit.rulesApplied.equals(rules)) {
        continue;
      }
      kit.rulesInHand = true;
      String script = rules;
      desk.delegate(
          () ->
              Command.run(
                  List.of(
                      "nsenter",
                      "--net=/run/netns/" + paths.nodeName(node.name()),
                      "nft",
                      "-f",
                      "-"),
                  script),
          done -> {
            kit.rulesInHand = false;
            kit.rulesApplied = script;
            applyRules();
            answerWaiters();
          },
          e -> {
            kit.rulesInHand = false;
            kit.rulesApplied = script;
            Log.warn(
                "node "
                    + node.name()
                    + ": ClusterIPs are not as they should be: "
                    + e.getMessage());
          });
    }
  }

  private void answerWaiters() {
    for (Waiter waiter : List.copyOf(waiters)) {
      if (waiter.done().getAsBoolean()) {
        waiters.remove(waiter);
        waiter.future().complete(true);
      }
    }
  }

  /** What is not ready, a line each. */
  private List<String> missing() {
    List<String> missing = new ArrayList<>();
    if (control != null && control.state() != MeshProcess.State.READY) {
      missing.add(
          "the control plane is "
              + StatusPage.word(control.state())
              + "; see `weir lab logs control`");
    }
    for (LabNode node : nodes.values()) {
      NodeKit kit = kit(node);
      if (kit.agent != null && kit.agent.state() != MeshProcess.State.READY) {
        missing.add(
            "the agent of "
                + node.name()
                + " is "
                + StatusPage.word(kit.agent.state())
                + "; see `weir lab logs agent/"
                + node.name()
                + "`");
      }
      if (!kit.rulesApplied.equals(rules)) {
        missing.add("ClusterIPs of " + node.name() + " are being written");
      }
    }
    unplaced.forEach((key, why) -> missing.add(readable(key) + ": " + why));
    for (PodRun run : pods.values()) {
      Pod pod = run.pod();
      boolean ends = pod.spec().restartPolicy() != PodSpec.RestartPolicy.ALWAYS;
      String phase = run.status().phase();
      boolean well =
          ends ? phase.equals("Running") || phase.equals("Succeeded") : run.status().ready();
      if (run.stopping()) {
        missing.add(readable(pod.key()) + " is ending");
      } else if (!well) {
        String why = run.trouble();
        String enrolment =
            pod.metadata().annotations().getOrDefault(Annotations.STATUS, Annotations.ENROLLED);
        missing.add(
            readable(pod.key())
                + " is "
                + phase
                + (why.isEmpty() ? "" : ": " + why)
                + (enrolment.equals(Annotations.ENROLLED) ? "" : "; mesh: " + enrolment));
      }
    }
    for (KubeObject object : objects.all()) {
      long owned =
          pods.values().stream()
              .filter(pod -> pod.owner.equals(object.key()) && !pod.stopping())
              .count();
      int want =
          switch (object) {
            case Deployment deployment -> deployment.replicas();
            case StatefulSet set -> set.replicas();
            case ReplicaSet set -> set.replicas();
            default -> 0;
          };
      if (owned < want) {
        missing.add(readable(object.key()) + ": " + owned + " of " + want + " pods");
      }
    }
    return missing;
  }

  private Json currentStatus() {
    Json.Builder page = Json.object().with("name", paths.lab());
    page.with(
        "nodes",
        Json.of(
            nodes.values().stream()
                .map(node ->
                    StatusPage.node(
                        node, paths.nodeName(node.name()), kit(node), paths.node(node.name())))
                .toList()));
    page.with("control", StatusPage.process(control).build());
    page.with(
        "pods",
        Json.of(
            pods.values().stream()
                .map(
                    run -> StatusPage.pod(run, "".equals(verdicts.get(run.pod().metadata().uid()))))
                .toList()));
    page.with("services", Json.of(backed.stream().map(StatusPage::service).toList()));
    return page.with("missing", missing()).build();
  }

  // PodRun.Ward

  @Override
  public Desk desk() {
    return desk;
  }

  @Override
  public Paths paths() {
    return paths;
  }

  @Override
  public Objects objects() {
    return objects;
  }

  @Override
  public Tokens tokens() {
    return tokens;
  }

  @Override
  public Wiring wiring() {
    return wiring;
  }

  @Override
  public Prober prober() {
    return prober;
  }

  @Override
  public boolean mayStart(PodRun pod) {
    return !optedIn(pod) || "".equals(verdicts.get(pod.pod().metadata().uid()));
  }

  @Override
  public void changed(PodRun pod) {
    touch();
  }

  @Override
  public void withdrawn(PodRun pod) {
    Enroller enroller = kit(pod.node).enroller;
    String uid = pod.pod().metadata().uid();
    if (enroller != null && enrolled.containsKey(uid)) {
      withdraw(uid, enroller);
    }
  }

  @Override
  public void gone(PodRun pod) {
    pods.remove(pod.pod().namespace() + "/" + pod.pod().name(), pod);
    touch();
  }

  // Enroller.Register

  @Override
  public void answered(String uid, String error) {
    if (enrolled.containsKey(uid)) {
      verdicts.put(uid, error);
      touch();
    }
  }

  @Override
  public void synced(String node) {
    touch();
  }

  @Override
  public void disconnected(String node, boolean last) {
    touch();
  }

  @Override
  public void close() {
    dns.close();
    crossing.close();
    desk.close();
  }
}
