package dev.weir.agent.balance;

import dev.weir.api.model.Endpoint;
import java.net.InetAddress;
import java.nio.charset.StandardCharsets;
import java.util.random.RandomGenerator;

/** How one connection's endpoints are drawn. */
sealed interface Draw {
  /** By weight. */
  record AtRandom(RandomGenerator random) implements Draw {}

  /**
   * Rendezvous hashing: each endpoint has a score with each client, and the highest wins. An
   * endpoint that goes moves nobody but its own clients, one that comes takes no more than its
   * share, and every node decides alike. Weights as in Schindelhauer and Schomaker, "Weighted
   * distributed hash tables" (SPAA 2005).
   */
  record ByClient(long clientHash) implements Draw {
    private static final long FNV_BASIS = 0xcbf29ce484222325L;
    private static final long FNV_PRIME = 0x100000001b3L;

    static ByClient of(InetAddress client) {
      return new ByClient(add(FNV_BASIS, client.getAddress()));
    }

    double score(Endpoint endpoint, long weight) {
      InetAddress address = endpoint.address();
      long hash =
          add(
              clientHash,
              address == null
                  ? endpoint.workload().uid().getBytes(StandardCharsets.UTF_8)
                  : address.getAddress());
      hash = add(add(hash, endpoint.port() >> 8), endpoint.port());
      // In the open interval from 0 to 1, so that the logarithm is neither 0 nor infinite.
      double unit = ((spread(hash) >>> 12) + 0.5) * 0x1p-52;
      return -weight / Math.log(unit);
    }

    private static long add(long hash, byte[] bytes) {
      for (byte each : bytes) {
        hash = add(hash, each);
      }
      return hash;
    }

    private static long add(long hash, int octet) {
      return (hash ^ (octet & 0xff)) * FNV_PRIME;
    }

    /** FNV leaves addresses that differ in the last byte close together; MurmurHash3's end. */
    private static long spread(long hash) {
      long z = (hash ^ (hash >>> 33)) * 0xff51afd7ed558ccdL;
      z = (z ^ (z >>> 33)) * 0xc4ceb9fe1a85ec53L;
      return z ^ (z >>> 33);
    }
  }
}
