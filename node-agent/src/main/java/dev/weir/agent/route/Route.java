package dev.weir.agent.route;

import dev.weir.agent.balance.Endpoints;
import dev.weir.api.model.Endpoint;
import dev.weir.api.model.Service;
import java.net.InetSocketAddress;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * The way of one connection: where it goes first, and where next if that cannot be reached. One
 * thread.
 */
public final class Route {
  // A Service whose endpoints all hang must not hold a client for a minute.
  private static final int MOST_TRIES = 5;

  private final InetSocketAddress asked;
  private final @Nullable Service service;
  private final @Nullable Further further;
  private final Decision first;
  private int tries;

  /** What is left where the first cannot be reached. */
  record Further(Endpoints endpoints, Function<Endpoint, Decision> towards) {}

  Route(
      InetSocketAddress asked,
      @Nullable Service service,
      Decision first,
      @Nullable Further further) {
    this.asked = asked;
    this.service = service;
    this.first = first;
    this.further = further;
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
    Endpoint endpoint = further == null ? null : further.endpoints().draw();
    return endpoint == null || further == null ? null : further.towards().apply(endpoint);
  }

  /** Whether {@link #next} has another. */
  public boolean hasNext() {
    return tries == 0 || (further != null && tries < MOST_TRIES && !further.endpoints().isEmpty());
  }
}
