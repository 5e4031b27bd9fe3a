package dev.weir.agent.route;

import dev.weir.agent.balance.Endpoints;
import dev.weir.api.model.Endpoint;
import dev.weir.api.model.Service;
import java.net.InetSocketAddress;
import org.jspecify.annotations.Nullable;

/**
 * The way of one connection: where it goes first, and where next if that cannot be reached. One
 * thread.
 */
public final class Route {
  // A Service whose endpoints all hang must not hold a client for a minute.
  private static final int MOST_TRIES = 5;

  private final Router router;
  private final InetSocketAddress asked;
  private final @Nullable Service service;
  private final @Nullable Endpoints others;
  private final Decision first;
  private int tries;

  Route(
      Router router,
      InetSocketAddress asked,
      @Nullable Service service,
      Decision first,
      @Nullable Endpoints others) {
    this.router = router;
    this.asked = asked;
    this.service = service;
    this.first = first;
    this.others = others;
  }

  /** What the client named. */
  public InetSocketAddress asked() {
    return asked;
  }

  /** The Service that the client named, if it was one. */
  public @Nullable Service service() {
    return service;
  }

  /** The next thing to try; null where nothing is left. */
  public @Nullable Decision next() {
    if (!hasNext()) {
      return null;
    }
    if (tries++ == 0) {
      return first;
    }
    Endpoint endpoint = others == null ? null : others.draw();
    return endpoint == null
        ? null
        : router.towards(new InetSocketAddress(endpoint.address(), endpoint.port()));
  }

  /** Whether {@link #next} has another. */
  public boolean hasNext() {
    return tries == 0 || (others != null && tries < MOST_TRIES && !others.isEmpty());
  }
}
