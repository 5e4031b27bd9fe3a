package dev.weir.agent.telemetry;

import dev.weir.agent.capture.Pod;

/** The door for whoever refuses. Any thread. */
public interface Refusals {
  void count(Pod pod, Refusal reason);
}
