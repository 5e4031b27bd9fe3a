package dev.weir.lab;

import dev.weir.api.json.Json;
import dev.weir.api.kube.Annotations;
import dev.weir.api.kube.ConfigMap;
import dev.weir.api.kube.Deployment;
import dev.weir.api.kube.KubeObject;
import dev.weir.api.kube.Manifest;
import dev.weir.api.kube.Metadata;
import dev.weir.api.kube.Namespace;
import dev.weir.api.kube.Pod;
import dev.weir.api.kube.PodSpec;
import dev.weir.api.kube.PodStatus;
import dev.weir.api.kube.ReplicaSet;
import dev.weir.api.kube.Secret;
import dev.weir.api.kube.Service;
import dev.weir.api.kube.StatefulSet;
import dev.weir.ffi.Kernel;
import dev.weir.ffi.KernelException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.random.RandomGenerator;
import java.util.stream.Stream;

/**
 * One lab: the cluster that its YAML describes. Commands come on threads of their own, ask the desk
 * and wait for what they asked for; everything else happens on the desk, where each piece of news
 * leads to {@link #reconcile}, which compares what should be with what is and starts the
 * difference.
 */
final class Lab implements PodRun.Ward, AutoCloseable {
  private static final Duration DELETED = Duration.ofSeconds(90);

  private final Paths paths;
  private final Desk desk = new Desk();
  private final Crossing crossing = new Crossing();
  private final Prober prober = new Prober(crossing);
  private final ClusterDns dns = new ClusterDns(crossing);
  private final Wiring wiring;
  private final Path cgroups = Cgroups.root();

  private final Objects objects = new Objects();
  private final Tokens tokens = new Tokens();
  private final Placement placement = new Placement();
  private final Workloads workloads = new Workloads(RandomGenerator.getDefault());
  private final ServiceAddresses serviceAddresses = new ServiceAddresses();
  private final LabNodes nodes = new LabNodes();
  private final Waiters waiters = new Waiters(desk);
  private final Enrolments enrolments =
      new Enrolments(() -> this.mesh, objects, nodes, this::touch);
  private final Control control;
  private final Agents agents;
  private final Bulletin bulletin;
  private final Readiness readiness;
  private final Map<String, PodRun> pods = new LinkedHashMap<>();

  /** Pods that no node fits, with the reason. */
  private final Map<String, String> unplaced = new TreeMap<>();

  private boolean reconciling;
  private boolean mesh;
  private Map<String, String> zones = Map.of();

  Lab(Paths paths) {
    this.paths = paths;
    this.wiring = new Wiring(paths);
    Orders orders = new Orders(desk, waiters);
    this.control = new Control(desk, paths, cgroups, prober, tokens, orders, this::touch);
    this.agents =
        new Agents(
            desk,
            paths,
            cgroups,
            prober,
            tokens,
            control.certificates(),
            nodes,
            enrolments,
            waiters,
            orders,
            this::touch);
    this.bulletin = new Bulletin(desk, paths, objects, nodes, dns, waiters);
    this.readiness = new Readiness(control, nodes, bulletin, objects);
  }

  // Commands: on the thread of whoever asked.

  /**
   * Makes the lab; what is in it starts now.
   *
   * @return what its objects ask for in vain
   */
  List<String> up(
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
      agents.moreArguments(moreAgentArgs);
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
      desk.ask(() -> {
        bulletin.publish(pods.values());
        control.begin();
        return mesh;
      });
    }
    addNodes(names);
    desk.ask(() -> commit(manifests));
    return manifests.stream().flatMap(each -> caveats(each.object())).toList();
  }

  private static Stream<String> caveats(KubeObject object) {
    return Caveats.of(object).stream()
        .map(caveat -> Objects.readable(object.key()) + ": " + caveat);
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
    Map<String, LabNode> present = new LinkedHashMap<>(desk.ask(nodes::byName));
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
        nodes.add(node);
        if (mesh) {
          agents.begin(node);
        }
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
              throw new LabException(Objects.readable(key) + " does not exist");
            }
          }
          for (String key : keys) {
            remove(key);
            done.add(Objects.readable(key) + " deleted");
          }
          return done;
        });
    Set<String> gone = Set.copyOf(keys);
    waiters.await(
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
            default -> throw new LabException(Objects.readable(object.key()) + " has no replicas");
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
    waiters.await(() -> missing().isEmpty(), atMost, () -> String.join("\n", missing()));
  }

  void agent(String node, String action) {
    LabNode known =
        desk.ask(() -> {
          LabNode named = nodes.named(node);
          if (!mesh) {
            throw new LabException(
                "lab " + paths.lab() + " is up without a mesh, so there are no agents");
          }
          return named;
        });
    agents.order(known, action);
  }

  void control(String action) {
    control.order(action);
  }

  Json status() {
    return desk.ask(this::currentStatus);
  }

  // From here on: the desk.

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
      throw new LabException(
          Objects.readable(Objects.key(word, namespace, name)) + " does not exist");
    }
    return object;
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
      lines.add(Objects.readable(object.key()) + " " + verb);
      caveats(object).forEach(lines::add);
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
    LabNode node = placement.place(pod.spec(), nodes.all());
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
      Workloads.Step step = workloads.step(object, owned, nodes.all());
      for (Workloads.Wanted wanted : step.make()) {
        if (!unplaced.containsKey(wanted.owner())) {
          create(wanted.pod(), wanted.owner(), wanted.revision());
        }
      }
      step.stop().forEach(PodRun::stop);
    }
    enrolments.settle(pods.values());
    bulletin.publish(pods.values());
    pods.values().forEach(PodRun::proceed);
    waiters.answer();
  }

  private Json currentStatus() {
    Json.Builder page = Json.object().with("name", paths.lab());
    page.with(
        "nodes",
        Json.of(
            nodes.all().stream()
                .map(node ->
                    StatusPage.node(
                        node,
                        paths.nodeName(node.name()),
                        nodes.kit(node),
                        paths.node(node.name())))
                .toList()));
    page.with("control", StatusPage.process(control.process()).build());
    page.with(
        "pods",
        Json.of(
            pods.values().stream().map(run -> StatusPage.pod(run, enrolments.has(run))).toList()));
    page.with("services", Json.of(bulletin.services().stream().map(StatusPage::service).toList()));
    return page.with("missing", missing()).build();
  }

  private List<String> missing() {
    return readiness.missing(pods.values(), unplaced);
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
    return !enrolments.optedIn(pod) || enrolments.has(pod);
  }

  @Override
  public void changed(PodRun pod) {
    touch();
  }

  @Override
  public void withdrawn(PodRun pod) {
    enrolments.withdraw(pod);
  }

  @Override
  public void gone(PodRun pod) {
    pods.remove(pod.pod().namespace() + "/" + pod.pod().name(), pod);
    touch();
  }

  @Override
  public void close() {
    dns.close();
    crossing.close();
    desk.close();
  }
}
