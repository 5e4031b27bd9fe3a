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

  /** Begins: the heartbeat and the flow reader. */
  void start();

  /**
   * Begins the self-test for joining, on a thread of its own; later calls do nothing. It takes a
   * second of a core, so it waits until the agent serves; what a former agent found holds so far.
   */
  void testJoining();

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
