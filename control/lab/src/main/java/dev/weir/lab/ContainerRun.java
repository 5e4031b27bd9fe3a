package dev.weir.lab;

import dev.weir.api.kube.Container;
import dev.weir.api.kube.Probe;
import java.time.Duration;
import org.jspecify.annotations.Nullable;

/** One container of a running pod: the process that is it, and how well it is. Desk only. */
final class ContainerRun {
  /** A kubelet waits 10 s at first; here people wait. */
  private static final Duration FIRST_BACKOFF = Duration.ofMillis(500);

  private static final Duration LONGEST_BACKOFF = Duration.ofSeconds(60);

  /** One that ran for so long is not crash-looping. */
  private static final Duration HEALED = Duration.ofSeconds(60);

  final Container spec;

  /** Init containers run one after the other, before the others. */
  final boolean init;

  /** The {@code nsenter} outside; its only child is the process inside. Null while none runs. */
  @Nullable Process process;

  /** Which run this is: news of an earlier run is no news. */
  int run;

  /** A hand is at it. */
  boolean starting;

  int restarts;
  long startedNanos;
  boolean startupPassed;
  boolean readinessPassed;

  /** Ended and not to be started again. */
  boolean over;

  int exitStatus;
  Duration backoff = FIRST_BACKOFF;

  /** Why it does not run, or is not well; empty where there is nothing to say. */
  String trouble = "";

  ContainerRun(Container spec, boolean init) {
    this.spec = spec;
    this.init = init;
  }

  boolean running() {
    return process != null;
  }

  boolean ready() {
    return running() && startupPassed && readinessPassed;
  }

  void began(Process started) {
    process = started;
    run++;
    startedNanos = System.nanoTime();
    startupPassed = spec.startupProbe() == null;
    readinessPassed = spec.readinessProbe() == null;
    trouble = "";
  }

  void ended(int status) {
    process = null;
    exitStatus = status;
    startupPassed = false;
    readinessPassed = false;
    trouble = "ended with status " + status;
  }

  /** How long to wait before the next start; longer each time. */
  Duration nextBackoff() {
    if (System.nanoTime() - startedNanos > HEALED.toNanos()) {
      backoff = FIRST_BACKOFF;
    }
    Duration wait = backoff;
    backoff =
        backoff.multipliedBy(2).compareTo(LONGEST_BACKOFF) > 0
            ? LONGEST_BACKOFF
            : backoff.multipliedBy(2);
    restarts++;
    return wait;
  }

  /** The number that a probe dials; 0 where its port has a name that nothing bears. */
  int port(Probe probe) {
    return switch (probe.handler()) {
      case Probe.HttpGet http ->
          http.port().name().isEmpty() ? http.port().number() : spec.port(http.port().name());
      case Probe.TcpSocket tcp ->
          tcp.port().name().isEmpty() ? tcp.port().number() : spec.port(tcp.port().name());
      case Probe.Grpc grpc -> grpc.port();
      case Probe.Exec exec -> 0;
    };
  }
}
