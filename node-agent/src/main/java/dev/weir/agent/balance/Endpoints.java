package dev.weir.agent.balance;

import dev.weir.api.model.Endpoint;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.BitSet;
import java.util.List;
import java.util.random.RandomGenerator;
import org.jspecify.annotations.Nullable;

/**
 * The ready endpoints of one Service port as one connection sees them: drawn at random by weight,
 * or in an order that is the client's own, each at most once, all of one address family but for
 * those that only a gateway leads to. One thread.
 */
public final class Endpoints {
  private final List<Endpoint> all;
  private final Draw draw;
  private final BitSet gone = new BitSet();
  private long weightLeft;
  private int left;

  /**
   * @param family an address of the family that counts: a client of an IPv4 address is not sent to
   *     an IPv6 one
   */
  public Endpoints(List<Endpoint> all, InetAddress family, RandomGenerator random) {
    this(all, family, new Draw.AtRandom(random));
  }

  /** In the order that is this client's, the same whenever it asks and on whichever node. */
  public static Endpoints byClient(List<Endpoint> all, InetAddress family, InetAddress client) {
    return new Endpoints(all, family, Draw.ByClient.of(client));
  }

  private Endpoints(List<Endpoint> all, InetAddress family, Draw draw) {
    this.all = all;
    this.draw = draw;
    this.left = all.size();
    for (int i = 0; i < all.size(); i++) {
      Endpoint endpoint = all.get(i);
      InetAddress address = endpoint.address();
      if (address == null || address.getClass() == family.getClass()) {
        weightLeft += weight(endpoint);
      } else {
        gone.set(i);
        left--;
      }
    }
  }

  private static long weight(Endpoint endpoint) {
    return Math.max(1, endpoint.workload().capacity());
  }

  /** Whether {@link #draw} has nothing more. */
  public boolean isEmpty() {
    return left == 0;
  }

  /** Null once all were drawn. */
  public @Nullable Endpoint draw() {
    if (left == 0) {
      return null;
    }
    return take(
        switch (draw) {
          case Draw.AtRandom(RandomGenerator random) -> atRandom(random);
          case Draw.ByClient client -> highest(client);
        });
  }

  private int atRandom(RandomGenerator random) {
    long mark = random.nextLong(weightLeft);
    int i = gone.nextClearBit(0);
    while ((mark -= weight(all.get(i))) >= 0) {
      i = gone.nextClearBit(i + 1);
    }
    return i;
  }

  private int highest(Draw.ByClient client) {
    int best = -1;
    double highest = -1;
    for (int i = gone.nextClearBit(0); i < all.size(); i = gone.nextClearBit(i + 1)) {
      double score = client.score(all.get(i), weight(all.get(i)));
      if (score > highest) {
        highest = score;
        best = i;
      }
    }
    return best;
  }

  /** Takes out an endpoint that somebody else drew, so that it is not drawn again. */
  public void exclude(InetSocketAddress address) {
    for (int i = gone.nextClearBit(0); i < all.size(); i = gone.nextClearBit(i + 1)) {
      Endpoint endpoint = all.get(i);
      if (endpoint.port() == address.getPort() && address.getAddress().equals(endpoint.address())) {
        take(i);
        return;
      }
    }
  }

  private Endpoint take(int index) {
    gone.set(index);
    left--;
    Endpoint endpoint = all.get(index);
    weightLeft -= weight(endpoint);
    return endpoint;
  }
}
