package dev.weir.lab;

import dev.weir.api.kube.Condition;
import dev.weir.api.kube.Container;
import dev.weir.api.kube.Metadata;
import dev.weir.api.kube.Pod;
import dev.weir.api.kube.PodSpec;
import dev.weir.api.kube.PodStatus;
import dev.weir.api.kube.Probe;
import java.io.File;
import java.io.IOException;
import java.net.InetAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * One pod from its placement to its end, as a kubelet leads it. All fields belong to the desk;
 * hands do what blocks and report back.
 *
 * <p>The order is a promise: sandbox; enrolment, where the pod opted in, for no process of it may
 * send a byte unprotected; init containers; containers. And at the end: terminating endpoints,
 * SIGTERM, grace, SIGKILL, withdrawal, namespaces.
 */
final class PodRun {
  /**
   * While a container is not yet well it is asked this often: a period is meant for steady state,
   * and people wait for {@code up}.
   */
  private static final Duration EAGER = Duration.ofMillis(200);

  private static final Duration RETRY = Duration.ofSeconds(2);

  enum Stage {
    /** Its namespaces are being made. */
    SANDBOX,
    /** They stand; the agent has not yet taken it in. */
    ENROLLING,
    RUNNING,
    /** All containers ended for good. */
    OVER,
    STOPPING,
    GONE
  }

  /** What a pod asks of the lab around it. */
  interface Ward {
    Desk desk();

    Paths paths();

    Objects objects();

    Tokens tokens();

    Wiring wiring();

    Prober prober();

    /** Whether its containers may start: it is out of the mesh, or the agent has it. */
    boolean mayStart(PodRun pod);

    /** Its status may be another now. */
    void changed(PodRun pod);

    /** Its processes have ended: nothing of it is to be captured any more. */
    void withdrawn(PodRun pod);

    /** Nothing of it is left. */
    void gone(PodRun pod);
  }

  final LabNode node;

  /** x of 10.244.N.x. */
  final int number;

  final String netns;

  /** {@code Deployment ns/name}, or empty where the user made the pod. */
  final String owner;

  /** Tells pods of the owner's present template from those of an earlier one. */
  final String revision;

  private final Ward ward;
  private final Path cgroup;
  private final List<ContainerRun> containers = new ArrayList<>();

  private Pod pod;
  private Stage stage = Stage.SANDBOX;
  private Sandbox.@Nullable Init init;

  /** Works that hands have not yet reported on; namespaces go only when there is none. */
  private int inHand;

  private boolean signalled;
  private String startTime = "";
  private String trouble = "";

  PodRun(
      Ward ward,
      Pod pod,
      LabNode node,
      int number,
      String owner,
      String revision,
      Path nodeCgroup) {
    this.ward = ward;
    this.node = node;
    this.number = number;
    this.owner = owner;
    this.revision = revision;
    this.pod = pod;
    this.netns =
        pod.spec().hostNetwork()
            ? ward.paths().nodeName(node.name())
            : ward.paths().podNetns(pod.namespace(), pod.name());
    this.cgroup = nodeCgroup.resolve("pods").resolve(pod.namespace() + "." + pod.name());
    pod.spec()
        .initContainers()
        .forEach(container -> containers.add(new ContainerRun(container, true)));
    pod.spec()
        .containers()
        .forEach(container -> containers.add(new ContainerRun(container, false)));
  }

  Pod pod() {
    return pod;
  }

  Stage stage() {
    return stage;
  }

  boolean stopping() {
    return stage == Stage.STOPPING || stage == Stage.GONE;
  }

  boolean hasSandbox() {
    return init != null && stage != Stage.GONE;
  }

  String trouble() {
    if (!trouble.isEmpty()) {
      return trouble;
    }
    for (ContainerRun container : containers) {
      if (!container.trouble.isEmpty() && !(container.over && container.exitStatus == 0)) {
        return "container " + container.spec.name() + " " + container.trouble;
      }
    }
    return "";
  }

  /** Labels, annotations: what may change while it runs. */
  void replaceMetadata(Metadata metadata) {
    pod = pod.withMetadata(metadata);
    refreshVolumes();
    ward.changed(this);
  }

  Path folder() {
    return ward.paths().pod(pod.namespace(), pod.name());
  }

  Path log(String container) {
    return folder().resolve(container + ".log");
  }

  List<String> containerNames() {
    return containers.stream().map(container -> container.spec.name()).toList();
  }

  /** The status that Kubernetes would show. */
  PodStatus status() {
    List<ContainerRun> mains = containers.stream().filter(container -> !container.init).toList();
    boolean alive = stage == Stage.RUNNING || stage == Stage.STOPPING;
    boolean ready = alive && mains.stream().allMatch(ContainerRun::ready);
    String phase;
    if (mains.stream().allMatch(container -> container.over) || failedInit()) {
      phase =
          !failedInit() && mains.stream().allMatch(container -> container.exitStatus == 0)
              ? "Succeeded"
              : "Failed";
    } else {
      phase = mains.stream().allMatch(container -> container.run > 0) ? "Running" : "Pending";
    }
    String why = trouble();
    return new PodStatus(
        phase,
        List.of(
            Addressing.of(Addressing.nodeV4(node.number())),
            Addressing.of(Addressing.nodeV6(node.number()))),
        ips(),
        List.of(
            Condition.of("PodScheduled", true),
            Condition.of(
                "Initialized",
                containers.stream().noneMatch(c -> c.init && !c.over && !c.running())),
            Condition.of("ContainersReady", ready),
            new Condition(Condition.READY, ready, "", ready ? "" : why)),
        mains.stream()
            .map(c -> new PodStatus.ContainerStatus(c.spec.name(), c.ready(), c.restarts))
            .toList(),
        startTime,
        "",
        why);
  }

  private boolean failedInit() {
    return containers.stream().anyMatch(c -> c.init && c.over && c.exitStatus != 0);
  }

  private List<InetAddress> ips() {
    return pod.spec().hostNetwork()
        ? List.of(
            Addressing.of(Addressing.nodeV4(node.number())),
            Addressing.of(Addressing.nodeV6(node.number())))
        : List.of(
            Addressing.of(Addressing.podV4(node.number(), number)),
            Addressing.of(Addressing.podV6(node.number(), number)));
  }

  /** Takes over the status as part of the pod; true where it is another now. */
  boolean settle() {
    PodStatus now = status();
    if (now.equals(pod.status())) {
      return false;
    }
    pod = pod.withStatus(now);
    return true;
  }

  void begin() {
    ward.desk().assertHere();
    startTime = Instant.now().truncatedTo(ChronoUnit.SECONDS).toString();
    settle();
    makeSandbox();
  }

  private void makeSandbox() {
    Map<String, Map<String, byte[]>> volumes;
    List<Sandbox.Mount> mounts;
    Path volumesFolder = folder().resolve("volumes");
    try {
      volumes =
          Volumes.contents(pod, Addressing.nodeV4(node.number()), ward.objects(), ward.tokens());
      mounts = Volumes.mounts(pod, volumesFolder);
    } catch (LabException e) {
      troubled(e, this::makeSandbox);
      return;
    }
    String hostname = pod.spec().hostname().isEmpty() ? pod.name() : pod.spec().hostname();
    Pod now = pod;
    inHand++;
    ward.desk()
        .delegate(
            () -> {
              try {
                Cgroups.create(cgroup.resolve("init"));
                Cgroups.create(cgroup.resolve("exec"));
                Files.createDirectories(folder());
                Files.writeString(folder().resolve("hosts"), Volumes.hosts(now));
                Files.writeString(
                    folder().resolve("resolv.conf"), Volumes.resolvConf(now.namespace()));
                Files.writeString(folder().resolve("hostname"), hostname + "\n");
              } catch (IOException e) {
                throw new LabException(folder() + ": cannot be written: " + e.getMessage(), e);
              }
              volumes.forEach((name, files) -> Volumes.write(volumesFolder.resolve(name), files));
              if (!now.spec().hostNetwork()) {
                ward.wiring().unplug(netns, node, number);
                ward.wiring().pod(netns, node, number);
              }
              return Sandbox.start(
                  folder(),
                  cgroup.resolve("init"),
                  netns,
                  hostname,
                  mounts,
                  Volumes.emptyDirs(now.spec()));
            },
            made -> {
              inHand--;
              init = made;
              trouble = "";
              if (stage == Stage.SANDBOX) {
                stage = Stage.ENROLLING;
                ward.changed(this);
                proceed();
              } else {
                stopProcesses();
              }
            },
            e -> {
              inHand--;
              if (stage == Stage.STOPPING) {
                stopProcesses();
              } else {
                Log.warn(pod.key() + ": " + e.getMessage());
                troubled(e, this::makeSandbox);
              }
            });
  }

  private void troubled(LabException e, Runnable again) {
    trouble = String.valueOf(e.getMessage());
    ward.changed(this);
    ward.desk()
        .after(
            RETRY,
            () -> {
              if (!stopping() && inHand == 0) {
                again.run();
              }
            });
  }

  /** Goes on where the pod waited for enrolment, if it may. */
  void proceed() {
    if (stage == Stage.ENROLLING && ward.mayStart(this)) {
      stage = Stage.RUNNING;
      startWhatMay();
      ward.changed(this);
    }
  }

  private void startWhatMay() {
    if (stage != Stage.RUNNING) {
      return;
    }
    for (ContainerRun container : containers) {
      if (container.init) {
        boolean done = container.over && container.exitStatus == 0;
        boolean stays = container.spec.sidecar() && container.running() && container.startupPassed;
        if (done || stays) {
          continue;
        }
        if (container.run == 0 && !container.starting) {
          start(container);
        }
        return;
      }
      if (container.run == 0 && !container.starting) {
        start(container);
      }
    }
  }

  private void start(ContainerRun container) {
    List<String> argv = new ArrayList<>();
    List<String> env = new ArrayList<>();
    String uid;
    String gid;
    try {
      Map<String, String> variables =
          new HashMap<>(
              ContainerEnv.variables(
                  pod, container.spec, Addressing.nodeV4(node.number()), ward.objects()));
      argv.addAll(ContainerEnv.commandLine(container.spec, variables));
      Long user =
          container.spec.runAsUser() != null ? container.spec.runAsUser() : pod.spec().runAsUser();
      Long group =
          container.spec.runAsGroup() != null
              ? container.spec.runAsGroup()
              : pod.spec().runAsGroup();
      uid = user == null || user == 0 ? "" : user.toString();
      // A kubelet's default for the group is 0, whoever the user is.
      gid = group == null ? uid.isEmpty() ? "" : "0" : group.toString();
      if (!uid.isEmpty()) {
        variables.put("HOME", "/");
      }
      variables.forEach((name, value) -> env.add(name + "=" + value));
    } catch (LabException e) {
      container.trouble = String.valueOf(e.getMessage());
      ward.changed(this);
      startLater(container, RETRY);
      return;
    }
    long initPid = sandbox().pid();
    String cwd = container.spec.workingDir();
    Path own = cgroup.resolve("containers").resolve(container.spec.name());
    boolean first =
        containers.stream().filter(c -> !c.init).findFirst().orElseThrow().equals(container);
    inHand++;
    container.starting = true;
    ward.desk()
        .delegate(
            () -> {
              Cgroups.create(own);
              try {
                PodEntry entry =
                    new PodEntry(folder().resolve("containers").resolve(container.spec.name()));
                entry.write(initPid, cgroup.resolve("exec"), env, cwd, uid, gid);
                if (first) {
                  new PodEntry(folder()).write(initPid, cgroup.resolve("exec"), env, cwd, uid, gid);
                }
                File log = log(container.spec.name()).toFile();
                List<String> words = new ArrayList<>(Cgroups.apart(own));
                words.addAll(PodEntry.entering(Long.toString(initPid), cwd, uid, gid, env));
                words.addAll(argv);
                return new ProcessBuilder(words)
                    .redirectInput(new File("/dev/null"))
                    .redirectOutput(ProcessBuilder.Redirect.appendTo(log))
                    .redirectError(ProcessBuilder.Redirect.appendTo(log))
                    .start();
              } catch (IOException e) {
                throw new LabException("cannot be started: " + e.getMessage(), e);
              }
            },
            process -> {
              inHand--;
              container.starting = false;
              container.began(process);
              int run = container.run;
              process
                  .onExit()
                  .thenAccept(
                      ended -> ward.desk().post(() -> ended(container, run, ended.exitValue())));
              if (stage == Stage.STOPPING) {
                stopProcesses();
                return;
              }
              probe(container, run);
              startWhatMay();
              ward.changed(this);
            },
            e -> {
              inHand--;
              container.starting = false;
              if (stage == Stage.STOPPING) {
                stopProcesses();
                return;
              }
              container.trouble = String.valueOf(e.getMessage());
              Log.warn(pod.key() + ": container " + container.spec.name() + ": " + e.getMessage());
              ward.changed(this);
              startLater(container, container.nextBackoff());
            });
  }

  private Sandbox.Init sandbox() {
    Sandbox.Init made = init;
    if (made == null) {
      throw new IllegalStateException(pod.key() + " has no sandbox in stage " + stage);
    }
    return made;
  }

  private void startLater(ContainerRun container, Duration delay) {
    ward.desk()
        .after(
            delay,
            () -> {
              if (stage == Stage.RUNNING
                  && !container.running()
                  && !container.starting
                  && !container.over) {
                start(container);
              }
            });
  }

  private void ended(ContainerRun container, int run, int status) {
    if (container.run != run) {
      return;
    }
    container.ended(status);
    // What a container's first process leaves running goes with it, as with a PID namespace of its
    // own.
    Cgroups.kill(cgroup.resolve("containers").resolve(container.spec.name()));
    if (stage == Stage.STOPPING) {
      stopProcesses();
      return;
    }
    if (restarts(container, status)) {
      Duration wait = container.nextBackoff();
      container.trouble += ", next start in " + wait.toMillis() + " ms";
      startLater(container, wait);
    } else {
      container.over = true;
      boolean all = containers.stream().filter(c -> !c.init).allMatch(c -> c.over) || failedInit();
      if (all) {
        stage = Stage.OVER;
        containers.forEach(c -> Cgroups.kill(cgroup.resolve("containers").resolve(c.spec.name())));
        ward.withdrawn(this);
      } else {
        startWhatMay();
      }
    }
    ward.changed(this);
  }

  private boolean restarts(ContainerRun container, int status) {
    if (container.init && !container.spec.sidecar()) {
      return status != 0 && pod.spec().restartPolicy() != PodSpec.RestartPolicy.NEVER;
    }
    if (container.spec.sidecar()) {
      return true;
    }
    return switch (pod.spec().restartPolicy()) {
      case ALWAYS -> true;
      case ON_FAILURE -> status != 0;
      case NEVER -> false;
    };
  }

  private void probe(ContainerRun container, int run) {
    Container spec = container.spec;
    if (spec.startupProbe() != null) {
      new ProbeRun(container, run, spec.startupProbe(), ProbeRun.Purpose.STARTUP).begin();
    } else {
      probeSteadily(container, run);
    }
  }

  private void probeSteadily(ContainerRun container, int run) {
    if (container.spec.readinessProbe() != null) {
      new ProbeRun(container, run, container.spec.readinessProbe(), ProbeRun.Purpose.READINESS)
          .begin();
    }
    if (container.spec.livenessProbe() != null) {
      new ProbeRun(container, run, container.spec.livenessProbe(), ProbeRun.Purpose.LIVENESS)
          .begin();
    }
  }

  /** One probe of one run of a container, asked again and again. */
  private final class ProbeRun {
    enum Purpose {
      STARTUP,
      READINESS,
      LIVENESS
    }

    private final ContainerRun container;
    private final int run;
    private final Probe probe;
    private final Purpose purpose;
    private int successes;
    private int failures;
    private long lastFailureNanos = System.nanoTime();
    private boolean passedOnce;

    ProbeRun(ContainerRun container, int run, Probe probe, Purpose purpose) {
      this.container = container;
      this.run = run;
      this.probe = probe;
      this.purpose = purpose;
    }

    void begin() {
      ward.desk().after(Duration.ofSeconds(probe.initialDelaySeconds()), this::ask);
    }

    private void ask() {
      if (container.run != run || !container.running() || stopping()) {
        return;
      }
      PodEntry entry = new PodEntry(folder().resolve("containers").resolve(container.spec.name()));
      InetAddress ip = ips().getFirst();
      int port = container.port(probe);
      Thread.ofVirtual()
          .start(() -> {
            Optional<String> answer =
                ward.prober().ask(probe, ward.paths().nodeName(node.name()), ip, port, entry);
            ward.desk().post(() -> answered(answer.orElse("")));
          });
    }

    private void answered(String wrong) {
      if (container.run != run || !container.running() || stopping()) {
        return;
      }
      Duration period = Duration.ofSeconds(Math.max(1, probe.periodSeconds()));
      if (wrong.isEmpty()) {
        failures = 0;
        if (++successes >= Math.max(1, probe.successThreshold())) {
          passedOnce = true;
          if (passed()) {
            return;
          }
        }
      } else {
        successes = 0;
        // Asked eagerly, a probe must not run out of failures sooner than its period allows.
        long now = System.nanoTime();
        if (passedOnce || now - lastFailureNanos >= period.toNanos()) {
          lastFailureNanos = now;
          failures++;
        }
        if (purpose == Purpose.READINESS && !container.readinessPassed) {
          container.trouble = "is not ready: " + wrong;
        }
        if (failures >= Math.max(1, probe.failureThreshold()) && failed(wrong)) {
          return;
        }
      }
      boolean eager = !passedOnce && purpose != Purpose.LIVENESS;
      ward.desk().after(eager && EAGER.compareTo(period) < 0 ? EAGER : period, this::ask);
    }

    /** True where there is nothing more to ask. */
    private boolean passed() {
      switch (purpose) {
        case STARTUP -> {
          container.startupPassed = true;
          probeSteadily(container, run);
          startWhatMay();
          ward.changed(PodRun.this);
          return true;
        }
        case READINESS -> {
          if (!container.readinessPassed) {
            container.readinessPassed = true;
            container.trouble = "";
            ward.changed(PodRun.this);
          }
        }
        case LIVENESS -> {
          // Well, as before.
        }
      }
      return false;
    }

    private boolean failed(String wrong) {
      if (purpose == Purpose.READINESS) {
        if (container.readinessPassed) {
          container.readinessPassed = false;
          container.trouble = "is not ready: " + wrong;
          ward.changed(PodRun.this);
        }
        return false;
      }
      Log.warn(
          pod.key()
              + ": container "
              + container.spec.name()
              + ": "
              + purpose
              + " probe failed, restarting it: "
              + wrong);
      Process process = container.process;
      if (process != null) {
        terminate(process);
        Path own = cgroup.resolve("containers").resolve(container.spec.name());
        ward.desk()
            .after(
                Duration.ofSeconds(pod.spec().terminationGracePeriodSeconds()),
                () -> {
                  if (container.run == run && container.running()) {
                    Cgroups.kill(own);
                  }
                });
      }
      return true;
    }
  }

  /** SIGTERM to the container's own first process: the outer one would only pass on its end. */
  private static void terminate(Process process) {
    try (Stream<ProcessHandle> children = process.toHandle().children()) {
      children.forEach(ProcessHandle::destroy);
    }
  }

  /** A changed ConfigMap or Secret reaches the files of volumes that show it. */
  void refreshVolumes() {
    if (stopping() || pod.spec().volumes().isEmpty()) {
      return;
    }
    Map<String, Map<String, byte[]>> volumes;
    try {
      volumes =
          Volumes.contents(pod, Addressing.nodeV4(node.number()), ward.objects(), ward.tokens());
    } catch (LabException e) {
      // Deleted under a running pod: its files stay, as a kubelet leaves them.
      Log.info(pod.key() + ": volumes left as they are: " + e.getMessage());
      return;
    }
    Path folder = folder().resolve("volumes");
    ward.desk()
        .delegate(
            () -> {
              volumes.forEach((name, files) -> Volumes.write(folder.resolve(name), files));
              return folder;
            },
            done -> {},
            e -> Log.warn(pod.key() + ": " + e.getMessage()));
  }

  /** Begins the end. Endpoints see it terminating before its processes see SIGTERM. */
  void stop() {
    ward.desk().assertHere();
    if (stopping()) {
      return;
    }
    boolean wasOver = stage == Stage.OVER;
    stage = Stage.STOPPING;
    long graceSeconds = pod.spec().terminationGracePeriodSeconds();
    pod =
        pod.withMetadata(
            pod.metadata()
                .withDeletionTimestamp(
                    Instant.now()
                        .plusSeconds(graceSeconds)
                        .truncatedTo(ChronoUnit.SECONDS)
                        .toString()));
    ward.changed(this);
    ward.desk()
        .after(
            Duration.ofSeconds(graceSeconds),
            () -> {
              if (stage == Stage.STOPPING) {
                containers.forEach(
                    c -> Cgroups.kill(cgroup.resolve("containers").resolve(c.spec.name())));
              }
            });
    if (wasOver) {
      signalled = true;
    }
    ward.desk().post(this::stopProcesses);
  }

  /** Signals once; goes on when the last process has ended. */
  private void stopProcesses() {
    if (inHand > 0 || stage != Stage.STOPPING) {
      return;
    }
    if (!signalled) {
      signalled = true;
      for (ContainerRun container : containers) {
        if (container.process != null) {
          terminate(container.process);
        }
      }
    }
    if (containers.stream().anyMatch(ContainerRun::running)) {
      return;
    }
    inHand++;
    ward.withdrawn(this);
    ward.desk()
        .delegate(
            () -> {
              Cgroups.remove(cgroup);
              if (!pod.spec().hostNetwork()) {
                ward.wiring().unplug(netns, node, number);
              }
              Sweep.delete(folder());
              return folder();
            },
            done -> {
              stage = Stage.GONE;
              ward.gone(this);
            },
            e -> {
              Log.warn(pod.key() + ": " + e.getMessage());
              stage = Stage.GONE;
              ward.gone(this);
            });
  }
}
