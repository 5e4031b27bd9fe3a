package dev.weir.agent.capture;

/**
 * The kernel's cache of decisions. Any thread; writes are queued to the capture thread, bounded: a
 * full queue forgets the verdict, and the next connection through the agent earns it again.
 */
public interface Verdicts {
  /**
   * The agent has let {@code source} connect to {@code port} of {@code destination}, both pods of
   * this node: the next connect goes directly in the kernel, unless one of them is {@link
   * FastPath#OFF} or {@link Admission} wants to judge each. A verdict earned under a mesh that has
   * changed since is dropped.
   */
  void allow(Pod source, Pod destination, int port);

  /**
   * Policy has changed, or what it is about: each verdict and each flow that stands on one is held
   * against {@link Admission} again. Those that it takes back are gone when the capture thread has
   * come to it; the others are not touched.
   */
  void review();

  /** Nothing may reach the pod directly any more; flows that stood on its verdicts are cut. */
  void evict(Pod destination);

  /** The identity loses all that it was allowed; its flows are cut. */
  void evictIdentity(String identity);
}
