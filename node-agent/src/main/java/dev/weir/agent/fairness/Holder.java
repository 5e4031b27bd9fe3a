package dev.weir.agent.fairness;

import dev.weir.agent.telemetry.Refusal;

/** One connection, as the watch over memory sees it. Any thread. */
public interface Holder {
  /** Bytes that wait in buffers of it, about. */
  long buffered();

  /** Gives up the connection, and says why to whoever asks later. */
  void cut(Refusal reason);
}
