package dev.weir.agent.config;

import dev.weir.agent.identity.LineFailure;
import java.time.Instant;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * How the agent stands with the control plane.
 *
 * @param lastUpdate when the last response was taken; null before the first
 * @param secure whether it is called by TLS
 * @param lastFailure why the last connection ended, null while one stands
 */
public record XdsState(
    boolean connected,
    String target,
    boolean secure,
    @Nullable Instant lastUpdate,
    @Nullable LineFailure lastFailure,
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
