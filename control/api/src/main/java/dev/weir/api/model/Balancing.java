package dev.weir.api.model;

import java.util.List;

/**
 * Which endpoints of a service a client prefers.
 *
 * @param preference nearest first: an endpoint that shares more of these with the client is
 *     preferred
 * @param mode how binding that is
 * @param byClient a client stays with its endpoint as long as that is there
 */
public record Balancing(List<Scope> preference, Mode mode, boolean byClient) {
  public static final Balancing ANYWHERE = new Balancing(List.of(), Mode.UNSPECIFIED, false);

  public Balancing {
    preference = List.copyOf(preference);
  }

  /** A part of a locality. */
  public enum Scope {
    REGION,
    ZONE,
    SUBZONE,
    NODE,
    CLUSTER,
    NETWORK
  }

  /** STRICT never leaves the preferred scope, FAILOVER does when nothing is healthy in it. */
  public enum Mode {
    UNSPECIFIED,
    STRICT,
    FAILOVER,
    PASSTHROUGH
  }
}
