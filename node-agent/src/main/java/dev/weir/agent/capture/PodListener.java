package dev.weir.agent.capture;

/**
 * Who serves pods. Called on the capture thread, one call at a time, in order; a call may take
 * milliseconds (opening listeners), never wait for the network.
 */
public interface PodListener {
  /**
   * Before the pod's entry goes into the kernel's map: open its listeners now, since traffic may
   * come as soon as this returns. What is thrown refuses the enrolment and goes back to the
   * enroller as the reason; close what was opened.
   */
  void enrolled(Pod pod);

  /** Same pod, other settings, addresses or identity. */
  void changed(Pod before, Pod now);

  /**
   * After the entry has left the map: no new connection is captured. Close the listeners now;
   * established connections go on until they end, for which the namespace stays open while the
   * agent has sockets in it.
   */
  void withdrawn(Pod pod);
}
