package dev.weir.agent.capture;

import dev.weir.agent.log.Log;
import dev.weir.api.model.FastPath;
import dev.weir.api.model.OnAgentLoss;
import dev.weir.api.model.PodSettings;
import dev.weir.api.model.Workload;
import dev.weir.bpf.Layouts;
import dev.weir.bpf.Programs;
import dev.weir.ffi.Bpf.BpfMap;
import dev.weir.ffi.Fd;
import dev.weir.ffi.Kernel;
import dev.weir.ffi.KernelException;
import dev.weir.ffi.Netlink;
import java.io.UncheckedIOException;
import java.net.Inet4Address;
import java.net.Inet6Address;
import java.net.InetAddress;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.ConcurrentHashMap;
import org.jspecify.annotations.Nullable;

/**
 * The life of pods on this node. All on the capture thread. A uid is in exactly one of
 *
 * <ul>
 *   <li>waiting: handed over; settings have not come yet, or the last try failed and the next one
 *       is due
 *   <li>enrolled: its entry stands in {@code weir_pods}
 *   <li>leaving: its entry is gone, its namespace is held while the agent still has connections in
 *       it
 * </ul>
 *
 * and a namespace that only {@code weir_pods} knows is adopted: a former agent's, until the
 * enroller names it again or ends its snapshot without it. On the way in the entry in {@code
 * weir_pods} is the last step, on the way out the first: around it stands everything that a
 * captured connection needs.
 */
final class Pods implements Enroller {
  static final Duration TICK = Duration.ofMillis(250);

  // A list of sockets takes a millisecond, which nobody who waits to be enrolled is to wait for.
  private static final int INHERITED_A_TICK = 8;

  // The enroller waits 5 s for an answer. On a node where everything starts at once, enrolling took
  // 2 s of them: with 3 s of waiting before it the answer came too late (seen).
  private static final long SETTINGS_WITHIN_NANOS = Duration.ofSeconds(2).toNanos();
  private static final long RETRY_NANOS = Duration.ofSeconds(5).toNanos();
  private static final long ORPHANS_STAY_NANOS = Duration.ofSeconds(10).toNanos();

  private static final class Enrolled {
    Pod pod;
    final PodName name;
    boolean named = true;

    Enrolled(PodName name, Pod pod) {
      this.name = name;
      this.pod = pod;
    }
  }

  private static final class Waiting {
    final PodName name;
    final Fd netns;
    final long cookie;
    final CompletableFuture<Pod> answer;
    boolean named = true;
    long dueNanos;

    Waiting(PodName name, Fd netns, long cookie, CompletableFuture<Pod> answer, long dueNanos) {
      this.name = name;
      this.netns = netns;
      this.cookie = cookie;
      this.answer = answer;
      this.dueNanos = dueNanos;
    }
  }

  private static final class Leaving {
    final Pod pod;
    long orphanedSinceNanos;

    Leaving(Pod pod) {
      this.pod = pod;
    }
  }

  private final CaptureThread thread;
  private final Kernel kernel;
  private final BpfMap pods;
  private final BpfMap addresses;
  private final BpfMap drops;
  private final PodBook book;
  private final PodRules rules;
  private final PodLinks links;
  private final InPodRouting routing;
  private final KernelVerdicts verdicts;
  private final FlowCutter cutter;
  private final Heartbeat heartbeat;
  private final List<PodListener> listeners = new ArrayList<>();
  private final List<InetAddress> nodeAddresses;
  private final long homeCookie;
  private final Log log;

  private final Map<String, Enrolled> enrolled = new HashMap<>();
  private final Map<String, Waiting> waiting = new HashMap<>();
  private final Map<Long, Leaving> leaving = new HashMap<>();
  private final Map<Long, Layouts.PodEntry> adopted = new HashMap<>();
  private final Set<InetAddress> knownNodeAddresses = new HashSet<>();

  /** Namespaces of pods that ask for joined sockets, or have: what was joined once stays it. */
  private final Set<Long> askedToJoin = ConcurrentHashMap.newKeySet();

  /** Pods of a former agent in which it may have left something. */
  private final ArrayDeque<Pod> inherited = new ArrayDeque<>();

  private PodDirectory directory = PodDirectory.EMPTY;
  // A control plane that let one pod wait in vain is not waited for again until it says something.
  private boolean directoryIsSilent;
  private boolean joiningTrusted;
  private volatile int pending;

  Pods(
      CaptureThread thread,
      Kernel kernel,
      KernelState state,
      PodBook book,
      PodLinks links,
      KernelVerdicts verdicts,
      FlowCutter cutter,
      Heartbeat heartbeat,
      List<InetAddress> nodeAddresses,
      Log log) {
    this.thread = thread;
    this.kernel = kernel;
    this.pods = state.map(Programs.PODS);
    this.addresses = state.map(Programs.ADDRESSES);
    this.drops = state.map(Programs.DROPS);
    this.book = book;
    this.rules = new PodRules(state.map(Programs.PORTS), state.map(Programs.CIDRS));
    this.links = links;
    this.routing = new InPodRouting(kernel);
    this.verdicts = verdicts;
    this.cutter = cutter;
    this.heartbeat = heartbeat;
    this.nodeAddresses = nodeAddresses;
    this.log = log;
    try (Fd home = kernel.namespaces().current()) {
      this.homeCookie = kernel.namespaces().cookie(home);
    }
  }

  // ---- before start

  void addListener(PodListener listener) {
    listeners.add(listener);
  }

  /**
   * Takes over what a former agent left: it stays in force until the enroller's snapshot has ended.
   */
  void adopt() {
    pods.forEach((key, value) -> {
      Layouts.PodEntry entry = Layouts.PodEntry.of(value);
      adopted.put(Layouts.read(key).getLong(), entry);
      book.seen(entry.pod(), entry.identity());
    });
    if (!adopted.isEmpty()) {
      log.info("pods of a former agent go on", "pods", adopted.size());
    }
  }

  /** Whether flags for joining may be given out. On the capture thread. */
  void trustJoining(boolean trusted) {
    if (joiningTrusted == trusted) {
      return;
    }
    joiningTrusted = trusted;
    if (heartbeat.inCharge()) {
      enrolled.values().forEach(one -> writeEntry(one.pod));
    }
  }

  /**
   * From now on this agent writes. What another one has written meanwhile of pods that both know is
   * written again. On the capture thread.
   */
  void takeCharge() {
    knownNodeAddresses.clear();
    writeNodeAddresses();
    for (Enrolled one : enrolled.values()) {
      rules.settle(one.pod.cookie(), one.pod.settings());
      writeAddresses(one.pod);
      writeEntry(one.pod);
    }
  }

  // ---- from any thread

  /** Namespaces, by their cookies, in which sockets of this agent may be joined. */
  Set<Long> askedToJoin() {
    return askedToJoin;
  }

  /** Pods handed over that are not enrolled yet. */
  int pending() {
    return pending;
  }

  @Override
  public CompletionStage<Pod> add(PodName name, Fd netns) {
    CompletableFuture<Pod> answer = new CompletableFuture<>();
    thread.run(
        "enrol a pod",
        () -> {
          try {
            addNow(name, netns, answer);
          } catch (RuntimeException e) {
            netns.close();
            answer.completeExceptionally(e);
          }
        });
    return answer;
  }

  @Override
  public CompletionStage<Pod> keep(String uid) {
    CompletableFuture<Pod> answer = new CompletableFuture<>();
    thread.run(
        "keep a pod",
        () -> {
          Enrolled one = enrolled.get(uid);
          Waiting waits = waiting.get(uid);
          if (one != null) {
            one.named = true;
            answer.complete(one.pod);
          } else if (waits != null) {
            waits.named = true;
            follow(waits.answer, answer);
          } else {
            answer.completeExceptionally(
                new CaptureException(
                    "keep %s: this agent has no namespace of it; add it".formatted(uid)));
          }
        });
    return answer;
  }

  private static void follow(CompletableFuture<Pod> first, CompletableFuture<Pod> then) {
    var _ =
        first.whenComplete((pod, failure) -> {
          if (failure != null) {
            then.completeExceptionally(failure);
          } else {
            then.complete(pod);
          }
        });
  }

  @Override
  public CompletionStage<Void> remove(String uid) {
    return thread.call(() -> {
      removeNow(uid);
      return nothing();
    });
  }

  @Override
  public CompletionStage<Void> snapshotBegin() {
    return thread.call(() -> {
      enrolled.values().forEach(one -> one.named = false);
      waiting.values().forEach(one -> one.named = false);
      return nothing();
    });
  }

  @Override
  public CompletionStage<Void> snapshotEnd() {
    return thread.call(() -> {
      List<String> gone = new ArrayList<>();
      enrolled.forEach((uid, one) -> addUnless(one.named, gone, uid));
      waiting.forEach((uid, one) -> addUnless(one.named, gone, uid));
      gone.forEach(this::removeNow);
      // One that waits is served by a former agent, or by nobody: closed, not unprotected.
      Set<Long> known = new HashSet<>();
      enrolled.values().forEach(one -> known.add(one.pod.cookie()));
      waiting.values().forEach(one -> known.add(one.cookie));
      for (long cookie : List.copyOf(adopted.keySet())) {
        if (!known.contains(cookie)) {
          dropAdopted(cookie);
        }
      }
      sweepAddresses(known);
      for (long cookie : links.cookies()) {
        if (!known.contains(cookie)) {
          links.detach(cookie);
        }
      }
      log.info("snapshot of the enroller taken over", "pods", enrolled.size(), "gone", gone.size());
      return nothing();
    });
  }

  // A CompletionStage<Void> has nothing else to end with.
  @SuppressWarnings("NullAway")
  private static Void nothing() {
    return null;
  }

  private static void addUnless(boolean unless, List<String> to, String uid) {
    if (!unless) {
      to.add(uid);
    }
  }

  // ---- on the capture thread

  private void addNow(PodName name, Fd netns, CompletableFuture<Pod> answer) {
    long cookie;
    try {
      cookie = kernel.namespaces().cookie(netns);
    } catch (KernelException e) {
      throw new CaptureException(
          "add %s: the descriptor is no network namespace: %s"
              .formatted(name.label(), e.getMessage()),
          e);
    }
    if (cookie == homeCookie) {
      throw new CaptureException(
          "add %s: it is on the host's network, which cannot be enrolled".formatted(name.label()));
    }
    if (heartbeat.isRetired()) {
      throw new CaptureException(
          "add %s: this agent is ending and takes no more pods".formatted(name.label()));
    }
    Enrolled same = enrolled.get(name.uid());
    if (same != null && same.pod.cookie() == cookie) {
      netns.close();
      same.named = true;
      refresh(same, ownAddresses(interfacesIn(same.pod.netns())));
      answer.complete(same.pod);
      return;
    }
    Waiting before = waiting.remove(name.uid());
    if (before != null) {
      before.netns.close();
      before.answer.completeExceptionally(new CaptureException("handed over again"));
    }
    if (same != null) {
      removeNow(name.uid());
    }
    for (Enrolled other : List.copyOf(enrolled.values())) {
      if (other.pod.cookie() == cookie) {
        removeNow(other.name.uid());
      }
    }
    Waiting waits =
        new Waiting(name, netns, cookie, answer, System.nanoTime() + SETTINGS_WITHIN_NANOS);
    waiting.put(name.uid(), waits);
    pending = waiting.size();
    if (isKnown(name) || (directoryIsSilent && heartbeat.inCharge())) {
      attempt(waits);
    }
  }

  /** The control plane has spoken. */
  void replaceDirectory(PodDirectory now) {
    directory = now;
    if (now.synced()) {
      directoryIsSilent = false;
    }
    for (Waiting waits : List.copyOf(waiting.values())) {
      if (isKnown(waits.name) && (!waits.answer.isDone() || !heartbeat.inCharge())) {
        attempt(waits);
      }
    }
    for (Enrolled one : List.copyOf(enrolled.values())) {
      refresh(one, one.pod.addresses());
    }
  }

  void tick() {
    long now = System.nanoTime();
    for (Waiting waits : List.copyOf(waiting.values())) {
      if (now - waits.dueNanos >= 0) {
        if (!isKnown(waits.name)) {
          if (!heartbeat.inCharge()) {
            refuseYet(waits);
            continue;
          }
          if (!directoryIsSilent) {
            log.warn("nothing from the control plane: defaults hold", "pod", waits.name.label());
          }
          directoryIsSilent = true;
        }
        attempt(waits);
      }
    }
    for (Leaving one : List.copyOf(leaving.values())) {
      try {
        look(one, now);
      } catch (KernelException e) {
        log.error(
            "cannot look into a leaving pod", "pod", one.pod.label(), "cause", e.getMessage());
        release(one);
      }
    }
    for (int i = 0; i < INHERITED_A_TICK && !inherited.isEmpty(); i++) {
      endAbandoned(inherited.remove());
    }
  }

  private void endAbandoned(Pod pod) {
    Enrolled one = enrolled.get(pod.uid());
    if (one == null || one.pod.cookie() != pod.cookie()) {
      return;
    }
    try {
      int count = Abandoned.end(kernel, one.pod);
      if (count > 0) {
        log.info("what a former agent left was ended", "pod", pod.label(), "count", count);
      }
    } catch (KernelException e) {
      log.error(
          "cannot look for what a former agent left", "pod", pod.label(), "cause", e.getMessage());
    }
  }

  private boolean isKnown(PodName name) {
    return directory.synced() && directory.pod(name.namespace(), name.name()).isPresent();
  }

  /** The agent that serves the pod knows its settings; defaults would be a step back. */
  private void refuseYet(Waiting waits) {
    waits.dueNanos = System.nanoTime() + RETRY_NANOS;
    waits.answer.completeExceptionally(
        new CaptureException(
            "%s: the control plane has not told of it; the former agent goes on serving it"
                .formatted(waits.name.label())));
  }

  /** Interfaces may come after enrolment, such as a second network's. */
  void watchInterfaces() {
    for (Enrolled one : List.copyOf(enrolled.values())) {
      Pod pod = one.pod;
      List<Netlink.Interface> interfaces = interfacesIn(pod.netns());
      if (heartbeat.inCharge()) {
        links.attachNew(pod.netns(), pod.cookie(), interfaces);
      }
      refresh(one, ownAddresses(interfaces));
    }
    if (heartbeat.inCharge()) {
      writeNodeAddresses();
    }
  }

  private void attempt(Waiting waits) {
    try {
      Enrolled one = enrol(waits);
      waiting.remove(waits.name.uid());
      pending = waiting.size();
      waits.answer.complete(one.pod);
    } catch (RuntimeException e) {
      waits.dueNanos = System.nanoTime() + RETRY_NANOS;
      log.error(
          "pod not enrolled, trying again in 5 s",
          "pod",
          waits.name.label(),
          "cause",
          e.getMessage());
      waits.answer.completeExceptionally(
          new CaptureException(
              "%s cannot be enrolled: %s".formatted(waits.name.label(), e.getMessage()), e));
    }
  }

  private Enrolled enrol(Waiting waits) {
    PodName name = waits.name;
    Fd netns = waits.netns;
    long cookie = waits.cookie;
    // Of a former agent, or of one that lives and enrolled it after this one had looked.
    Layouts.PodEntry former = entryOf(cookie);
    if (former != null && (former.flags() & Layouts.PodEntry.JOINED) != 0) {
      askedToJoin.add(cookie);
    }
    Leaving returning = leaving.get(cookie);
    int number;
    if (former != null) {
      number = former.pod();
    } else if (returning != null && returning.pod.uid().equals(name.uid())) {
      number = returning.pod.number();
    } else {
      number = book.nextPodNumber();
    }
    // The namespace itself is the truth about addresses; what the control plane says may be of a
    // pod before or after.
    List<Netlink.Interface> interfaces = interfacesIn(netns);
    Pod pod =
        describe(
            name,
            netns,
            cookie,
            number,
            former == null ? 0 : former.identity(),
            ownAddresses(interfaces));
    if (pod.addresses().isEmpty()) {
      throw new CaptureException("it has no address yet");
    }
    writeNodeAddresses();
    List<PodListener> told = new ArrayList<>();
    boolean done = false;
    try {
      routing.setUp(netns, pod.addresses().stream().anyMatch(Inet6Address.class::isInstance));
      for (PodListener listener : listeners) {
        listener.enrolled(pod);
        told.add(listener);
      }
      links.attach(netns, cookie, interfaces);
      takeAddresses(pod);
      if (former != null) {
        rules.settle(cookie, pod.settings());
        if (former.identity() != pod.identityNumber()) {
          int old = former.identity();
          verdicts.forget(key -> key.identity() == old);
        }
      } else {
        rules.replace(cookie, PodSettings.DEFAULT, pod.settings());
      }
      writeAddresses(pod);
      writeEntry(pod);
      done = true;
    } finally {
      if (!done) {
        undo(pod, told, former != null || returning != null);
      }
    }
    adopted.remove(cookie);
    if (returning != null) {
      leaving.remove(cookie);
      publishLeaving();
      returning.pod.netns().close();
    }
    Enrolled one = new Enrolled(name, pod);
    one.named = waits.named;
    enrolled.put(name.uid(), one);
    publish();
    log.info(
        "pod enrolled",
        "pod",
        pod.label(),
        "number",
        number,
        "addresses",
        pod.addresses().stream().map(InetAddress::getHostAddress).toList(),
        "adopted",
        former != null);
    if (former != null) {
      // Policy may have changed while no agent lived.
      verdicts.reviewNow();
      inherited.add(pod);
    }
    return one;
  }

  private void undo(Pod pod, List<PodListener> told, boolean knownBefore) {
    for (PodListener listener : told.reversed()) {
      withdrawn(listener, pod);
    }
    if (knownBefore) {
      // Its entry or its connections still need what stands here. An entry without listeners
      // refuses: closed, not unprotected.
      return;
    }
    pods.delete(Layouts.cookie(pod.cookie()));
    deleteAddresses(pod.cookie(), pod.addresses());
    rules.replace(pod.cookie(), pod.settings(), PodSettings.DEFAULT);
    try {
      links.detach(pod.cookie());
      routing.tearDown(pod.netns());
    } catch (KernelException | UncheckedIOException e) {
      log.debug("not undone", "pod", pod.label(), "cause", e.getMessage());
    }
  }

  private Pod describe(
      PodName name,
      Fd netns,
      long cookie,
      int number,
      int formerIdentity,
      List<InetAddress> addresses) {
    Optional<Workload> workload = directory.pod(name.namespace(), name.name());
    String identity =
        workload
            .map(Workload::identity)
            .orElseGet(() ->
                "spiffe://%s/ns/%s/sa/%s"
                    .formatted(
                        Workload.DEFAULT_TRUST_DOMAIN, name.namespace(), name.serviceAccount()));
    PodSettings settings = workload.map(Workload::settings).orElse(PodSettings.DEFAULT);
    if (settings.fastPath() == FastPath.JOINED) {
      askedToJoin.add(cookie);
    }
    return new Pod(
        number,
        name.uid(),
        name.namespace(),
        name.name(),
        workload.map(Workload::serviceAccount).orElse(name.serviceAccount()),
        identity,
        book.identityNumber(identity, formerIdentity),
        netns,
        cookie,
        addresses,
        settings);
  }

  private List<Netlink.Interface> interfacesIn(Fd netns) {
    return kernel.namespaces().inNetwork(netns, () -> kernel.netlink().interfaces());
  }

  private static List<InetAddress> ownAddresses(List<Netlink.Interface> interfaces) {
    List<InetAddress> own = new ArrayList<>();
    for (Netlink.Interface device : interfaces) {
      if (!device.loopback()) {
        for (InetAddress address : device.addresses()) {
          if (!address.isLinkLocalAddress()) {
            own.add(plain(address));
          }
        }
      }
    }
    return own;
  }

  // Without the scope id, which would make equal addresses unequal.
  private static InetAddress plain(InetAddress address) {
    return Layouts.address(Layouts.mapped(address));
  }

  private void refresh(Enrolled one, List<InetAddress> addresses) {
    Pod before = one.pod;
    Pod now =
        describe(
            one.name,
            before.netns(),
            before.cookie(),
            before.number(),
            0,
            // None: its interface has just gone, and the enroller will say so.
            addresses.isEmpty() ? before.addresses() : addresses);
    if (directory.pod(one.name.namespace(), one.name.name()).isEmpty()) {
      // Gone from the control plane first, or the control plane is away: what it said last holds.
      now = before.withAddresses(now.addresses());
    }
    if (now.equals(before)) {
      return;
    }
    if (heartbeat.inCharge()) {
      rewrite(before, now);
    }
    one.pod = now;
    publish();
    for (PodListener listener : listeners) {
      try {
        listener.changed(before, now);
      } catch (RuntimeException e) {
        log.error("change not followed", "pod", now.label(), "cause", e.getMessage());
      }
    }
    log.info(
        "pod changed",
        "pod",
        now.label(),
        "fast-path",
        now.settings().fastPath(),
        "on-agent-loss",
        now.settings().onAgentLoss());
  }

  private void rewrite(Pod before, Pod now) {
    rules.replace(before.cookie(), before.settings(), now.settings());
    if (!now.addresses().equals(before.addresses())) {
      takeAddresses(now);
      List<InetAddress> lost = new ArrayList<>(before.addresses());
      lost.removeAll(now.addresses());
      deleteAddresses(before.cookie(), lost);
      writeAddresses(now);
    }
    writeEntry(now);
    if (now.identityNumber() != before.identityNumber()) {
      verdicts.forget(key -> key.pod() == before.number());
      cutter.cut(
          flow -> flow.destinationPod() == before.number() || flow.sourcePod() == before.number());
    }
  }

  private Layouts.@Nullable PodEntry entryOf(long cookie) {
    byte[] value = pods.lookup(Layouts.cookie(cookie));
    return value == null ? null : Layouts.PodEntry.of(value);
  }

  private void removeNow(String uid) {
    Waiting waits = waiting.remove(uid);
    pending = waiting.size();
    if (waits != null) {
      waits.netns.close();
      waits.answer.completeExceptionally(new CaptureException("removed before it was enrolled"));
    }
    Enrolled one = enrolled.remove(uid);
    if (one == null) {
      return;
    }
    Pod pod = one.pod;
    // The successor has been told as well, and the pod may have come back to it.
    boolean mine = heartbeat.inCharge();
    if (mine) {
      pods.delete(Layouts.cookie(pod.cookie()));
      deleteAddresses(pod.cookie(), pod.addresses());
      verdicts.forget(key -> key.pod() == pod.number());
      rules.replace(pod.cookie(), pod.settings(), PodSettings.DEFAULT);
    }
    leaving.put(pod.cookie(), new Leaving(pod));
    publishLeaving();
    publish();
    for (PodListener listener : listeners.reversed()) {
      withdrawn(listener, pod);
    }
    if (mine) {
      links.detach(pod.cookie());
    }
    log.info("pod withdrawn", "pod", pod.label(), "number", pod.number());
  }

  private void withdrawn(PodListener listener, Pod pod) {
    try {
      listener.withdrawn(pod);
    } catch (RuntimeException e) {
      log.error("withdrawal not followed", "pod", pod.label(), "cause", e.getMessage());
    }
  }

  /** Lets go of a leaving pod's namespace once nothing of the agent's lives in it. */
  private void look(Leaving one, long now) {
    record View(boolean connected, PodCensus census) {}
    View view =
        kernel
            .namespaces()
            .inNetwork(
                one.pod.netns(),
                () -> {
                  boolean connected =
                      kernel.netlink().interfaces().stream().anyMatch(device -> !device.loopback());
                  return new View(
                      connected, PodCensus.of(kernel.netlink().tcpSockets(), one.pod.addresses()));
                });
    if (!view.connected) {
      // Deleted: nobody will answer its peers any more, and its address may already be another's.
      int number = one.pod.number();
      cutter.cut(flow -> flow.destinationPod() == number || flow.sourcePod() == number);
      destroyAgents(one.pod);
      release(one);
      return;
    }
    if (view.census.agents() == 0) {
      release(one);
      return;
    }
    if (view.census.others() > 0 || entryOf(one.pod.cookie()) != null) {
      // With an entry the pod is another agent's, and so are some of these sockets.
      one.orphanedSinceNanos = 0;
    } else if (one.orphanedSinceNanos == 0) {
      one.orphanedSinceNanos = now;
    } else if (now - one.orphanedSinceNanos > ORPHANS_STAY_NANOS) {
      destroyAgents(one.pod);
      release(one);
    }
  }

  private void destroyAgents(Pod pod) {
    kernel
        .namespaces()
        .inNetwork(pod.netns(), () -> kernel.netlink().destroyTcp(PodCensus::isMarked));
  }

  private void release(Leaving one) {
    leaving.remove(one.pod.cookie());
    publishLeaving();
    if (entryOf(one.pod.cookie()) == null) {
      try {
        routing.tearDown(one.pod.netns());
      } catch (KernelException | UncheckedIOException e) {
        log.debug("routing not taken away", "pod", one.pod.label(), "cause", e.getMessage());
      }
      forgetDrops(one.pod.number());
      askedToJoin.remove(one.pod.cookie());
    }
    one.pod.netns().close();
    log.debug("pod released", "pod", one.pod.label());
  }

  private void forgetDrops(int number) {
    List<byte[]> doomed = new ArrayList<>();
    drops.forEach((key, value) -> {
      if (Layouts.DropKey.of(key).pod() == number) {
        doomed.add(key);
      }
    });
    doomed.forEach(drops::delete);
  }

  // ---- what the maps hold of a pod

  private void writeEntry(Pod pod) {
    pods.update(Layouts.cookie(pod.cookie()), entry(pod).bytes());
  }

  private Layouts.PodEntry entry(Pod pod) {
    PodSettings settings = pod.settings();
    int flags = Layouts.PodEntry.DNS;
    if (settings.fastPath() == FastPath.JOINED && joiningTrusted) {
      flags |= Layouts.PodEntry.JOINED;
    }
    if (settings.fastPath() == FastPath.OFF) {
      flags |= Layouts.PodEntry.OFF;
    }
    if (settings.onAgentLoss() == OnAgentLoss.OPEN) {
      flags |= Layouts.PodEntry.LOSS_OPEN;
    }
    if (PodRules.hasPorts(settings)) {
      flags |= Layouts.PodEntry.PORT_RULES;
    }
    if (PodRules.hasCidrs(settings)) {
      flags |= Layouts.PodEntry.CIDR_RULES;
    }
    byte[] ip4 = Layouts.noAddress();
    byte[] ip6 = Layouts.noAddress();
    for (InetAddress address : pod.addresses().reversed()) {
      if (address instanceof Inet4Address) {
        ip4 = Layouts.mapped(address);
      } else {
        ip6 = Layouts.mapped(address);
      }
    }
    return new Layouts.PodEntry(pod.number(), pod.identityNumber(), flags, ip4, ip6);
  }

  /**
   * An address that another pod still holds is this one's now: verdicts for the other must not let
   * anyone in here.
   */
  private void takeAddresses(Pod pod) {
    for (Enrolled other : List.copyOf(enrolled.values())) {
      if (other.pod.cookie() != pod.cookie()
          && other.pod.addresses().stream().anyMatch(pod.addresses()::contains)) {
        log.info("address has a new owner", "from", other.pod.label(), "to", pod.label());
        removeNow(other.name.uid());
      }
    }
  }

  private void writeAddresses(Pod pod) {
    byte[] entry =
        new Layouts.AddressEntry(pod.cookie(), pod.number(), Layouts.AddressEntry.POD).bytes();
    for (InetAddress address : pod.addresses()) {
      addresses.update(Layouts.mapped(address), entry);
    }
  }

  private void deleteAddresses(long cookie, Collection<InetAddress> which) {
    for (InetAddress address : which) {
      byte[] key = Layouts.mapped(address);
      byte[] value = addresses.lookup(key);
      // The address may be another pod's by now.
      if (value != null && Layouts.AddressEntry.of(value).cookie() == cookie) {
        addresses.delete(key);
      }
    }
  }

  private void writeNodeAddresses() {
    Set<InetAddress> now = new HashSet<>(nodeAddresses);
    now.addAll(ownAddresses(kernel.netlink().interfaces()));
    if (now.equals(knownNodeAddresses)) {
      return;
    }
    byte[] entry = new Layouts.AddressEntry(0, 0, Layouts.AddressEntry.NODE).bytes();
    for (InetAddress address : now) {
      addresses.update(Layouts.mapped(address), entry);
    }
    for (InetAddress address : knownNodeAddresses) {
      if (!now.contains(address)) {
        deleteAddresses(0, List.of(address));
      }
    }
    knownNodeAddresses.clear();
    knownNodeAddresses.addAll(now);
  }

  private void dropAdopted(long cookie) {
    Layouts.PodEntry entry = adopted.remove(cookie);
    if (entry == null) {
      return;
    }
    pods.delete(Layouts.cookie(cookie));
    verdicts.forget(key -> key.pod() == entry.pod());
    rules.clear(cookie);
    links.detach(cookie);
    cutter.cut(flow -> flow.destinationPod() == entry.pod() || flow.sourcePod() == entry.pod());
    forgetDrops(entry.pod());
    log.info("pod of a former agent is gone", "number", entry.pod());
  }

  /**
   * Addresses of nobody any more. The self-test's pods are nobody's that an enroller names: without
   * their addresses its connections went to the agent, where none of them is accepted.
   */
  private void sweepAddresses(Set<Long> cookies) {
    List<byte[]> doomed = new ArrayList<>();
    addresses.forEach((key, value) -> {
      Layouts.AddressEntry entry = Layouts.AddressEntry.of(value);
      boolean standing =
          (entry.flags() & Layouts.AddressEntry.NODE) != 0
              ? knownNodeAddresses.contains(Layouts.address(Arrays.copyOf(key, key.length)))
              : cookies.contains(entry.cookie()) || isOfSelfTest(entry.cookie());
      if (!standing) {
        doomed.add(key);
      }
    });
    doomed.forEach(addresses::delete);
  }

  private boolean isOfSelfTest(long cookie) {
    byte[] pod = pods.lookup(Layouts.cookie(cookie));
    return pod != null && (Layouts.PodEntry.of(pod).flags() & Layouts.PodEntry.SELF_TEST) != 0;
  }

  private void publish() {
    List<Pod> now = new ArrayList<>(enrolled.size());
    enrolled.values().forEach(one -> now.add(one.pod));
    book.publish(now);
  }

  private void publishLeaving() {
    Map<Integer, Pod> now = new HashMap<>();
    leaving.values().forEach(one -> now.put(one.pod.number(), one.pod));
    book.publishLeaving(now);
  }

  /** The process ends: descriptors go, the kernel's state stays. */
  void close() {
    waiting
        .values()
        .forEach(waits -> {
          waits.netns.close();
          waits.answer.completeExceptionally(new CaptureException("the agent is stopping"));
        });
    waiting.clear();
    enrolled.values().forEach(one -> one.pod.netns().close());
    leaving.values().forEach(one -> one.pod.netns().close());
  }

  /** Everything that enrolment put into kernel and namespaces goes. */
  void uninstall() {
    for (String uid : List.copyOf(enrolled.keySet())) {
      removeNow(uid);
    }
    for (Leaving one : List.copyOf(leaving.values())) {
      release(one);
    }
    for (long cookie : links.cookies()) {
      links.detach(cookie);
    }
  }
}
