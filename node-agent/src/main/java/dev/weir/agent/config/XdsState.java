package dev.weir.agent.config;

import java.time.Instant;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * How the agent stands with the control plane.
 *
 * @param lastUpdate when the last response was taken; null before the first
 * @param lastError why the last connection ended, empty while one stands
 */
public record XdsState(
    boolean connected,
    String target,
    @Nullable Instant lastUpdate,
    String lastError,
    List<Type> types) {

  /**
   * One resource type.
   *
   * @param resources in force
   * @param rejected refused so far
   * @param lastRejection why, empty where none was
   */
  public record Type(
      String url, int resources, long responses, long rejected, String lastRejection) {}

  public XdsState {
    types = List.copyOf(types);
  }
}
