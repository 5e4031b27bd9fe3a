package dev.weir.agent.capture;

import dev.weir.agent.log.Log;
import dev.weir.bpf.Programs;
import dev.weir.ffi.Kernel;
import java.net.InetAddress;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** The door to the kernel's side of the agent. */
public interface Capture extends AutoCloseable {

  /**
   * Loads and attaches the programs, or takes over from a former agent. Only once {@link #start} is
   * called does the agent count as alive. Must be called in the node's network namespace, on a
   * platform thread.
   */
  static Capture open(CaptureOptions options, Kernel kernel, Log log) {
    return new KernelCapture(options, kernel, Programs.object(), log);
  }

  /**
   * Set before {@link #start}; a second listener is called after the first, and before it on
   * withdrawal.
   */
  void addListener(PodListener listener);

  /** Set before {@link #start}. Without one, nothing is kept back from the kernel. */
  void admission(Admission admission);

  /**
   * Begins. Where no other agent lives on the node this one is in charge at once: it beats, reads
   * what programs report, and writes verdicts and Services. Beside another it only enrols, until
   * that one has handed over.
   *
   * @param charge told each time the charge comes and goes; must not wait
   */
  void start(ChargeListener charge);

  /** Who is told whether this agent or another is in charge of the node. */
  interface ChargeListener {
    void taken();

    void lost();
  }

  /** All is served here: a former agent may hand over. Any thread. */
  void takeCharge();

  /** Whether what agents share is this one's to write. Any thread. */
  boolean inCharge();

  /** Whether another agent has taken over and lives. */
  boolean isSucceeded();

  /** Whether another agent lives that has not taken over yet. */
  boolean hasHeir();

  /** This agent ends: it never takes the charge again. */
  void retire();

  /**
   * Begins the self-test for joining, on a thread of its own; later calls do nothing. It takes a
   * second of a core, so it is for when there is nothing else to do; what a former agent found
   * holds so far.
   */
  void tryJoining();

  /**
   * What the control plane says of pods has changed: settings of enrolled pods follow at once. Any
   * thread.
   */
  void replacePods(PodDirectory pods);

  Enroller enroller();

  /**
   * Pods handed over that are not enrolled yet: the agent is ready once a snapshot has come and
   * this is 0.
   */
  int pending();

  Originals originals();

  JoinedSockets joinedSockets();

  Verdicts verdicts();

  ServiceTable services();

  KernelFlows flows();

  /** Enrolled pods now, in no order; an immutable copy. Any thread. */
  List<Pod> pods();

  /** The enrolled pod of this node that has the address, or null. Any thread, no lock. */
  @Nullable Pod podAt(InetAddress address);

  /** Refusal counters of the kernel's programs. Any thread; about 2 µs an entry. */
  List<KernelDrop> drops();

  Joining joining();

  /**
   * Pods and links stay pinned: kernel flows go on, and new connections obey on-agent-loss once the
   * heartbeat is old.
   */
  @Override
  void close();

  /** Instead of close: takes away everything that was put into the kernel, pins included. */
  void uninstall();
}
