package dev.weir.agent.config;

import java.util.function.Consumer;

/** The door: the present view, and who wants to know of the next. */
public interface Mesh {
  /** Any thread; a volatile read. */
  MeshView current();

  /**
   * Calls the listener for each view from the present one on, in order, on the config thread: it
   * may compile, it must not wait. What a listener throws is logged and keeps nobody else from
   * hearing.
   */
  void onChange(Consumer<MeshView> listener);
}
