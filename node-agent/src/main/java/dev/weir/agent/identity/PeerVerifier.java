package dev.weir.agent.identity;

import dev.weir.api.model.SpiffeId;
import java.security.cert.CertificateParsingException;
import java.security.cert.X509Certificate;
import java.time.InstantSource;
import java.util.List;
import java.util.Set;
import java.util.function.Predicate;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * Judges peers inside the handshake: chain, purpose, then the SPIFFE id. Names of hosts play no
 * part. It reads the roots that are in force at that moment, so a context outlives a change of
 * roots. On the loop of the handshake.
 */
final class PeerVerifier {
  private static final String SERVER_AUTH = "1.3.6.1.5.5.7.3.1";
  private static final String CLIENT_AUTH = "1.3.6.1.5.5.7.3.2";
  private static final int MOST_CERTIFICATES = 8;

  private final SpiffeId own;
  private final Supplier<TrustRoots> roots;
  private final Predicate<X509Certificate> revoked;
  private final InstantSource clock;

  PeerVerifier(
      SpiffeId own,
      Supplier<TrustRoots> roots,
      Predicate<X509Certificate> revoked,
      InstantSource clock) {
    this.own = own;
    this.roots = roots;
    this.revoked = revoked;
    this.clock = clock;
  }

  /**
   * A client must be of the own trust domain.
   *
   * @param chain leaf first, as it was on the wire
   */
  Peer client(byte[][] chain) throws PeerRefused {
    Peer peer = verified(chain, CLIENT_AUTH);
    if (!peer.id().trustDomain().equals(own.trustDomain())) {
      throw new PeerRefused(
          PeerRefused.Cause.WRONG_TRUST_DOMAIN,
          "client %s: of another trust domain (expected: %s)"
              .formatted(peer.id(), own.trustDomain()));
    }
    return peer;
  }

  /** A server must be one of those that were called, by their SPIFFE ids. */
  Peer server(byte[][] chain, Set<String> expected) throws PeerRefused {
    Peer peer = verified(chain, SERVER_AUTH);
    if (!expected.contains(peer.id().toString())) {
      throw new PeerRefused(
          PeerRefused.Cause.WRONG_IDENTITY,
          "server is %s (expected: %s)".formatted(peer.id(), expected));
    }
    return peer;
  }

  private Peer verified(byte[][] chain, String purpose) throws PeerRefused {
    if (chain.length == 0) {
      throw new PeerRefused(PeerRefused.Cause.NO_CERTIFICATE, "the peer showed no certificate");
    }
    if (chain.length > MOST_CERTIFICATES) {
      throw new PeerRefused(
          PeerRefused.Cause.MALFORMED, "a chain of " + chain.length + " certificates");
    }
    List<X509Certificate> certificates = roots.get().check(chain, clock.instant());
    X509Certificate leaf = certificates.getFirst();
    checkUsage(leaf, purpose);
    SpiffeId id = SpiffeSan.of(leaf);
    for (X509Certificate each : certificates) {
      if (revoked.test(each)) {
        throw new PeerRefused(
            PeerRefused.Cause.REVOKED,
            "the CRL names serial %s of %s".formatted(each.getSerialNumber().toString(16), id));
      }
    }
    return new Peer(id, leaf);
  }

  private static void checkUsage(X509Certificate leaf, String purpose) throws PeerRefused {
    try {
      @Nullable List<String> purposes = leaf.getExtendedKeyUsage();
      if (purposes != null && !purposes.contains(purpose)) {
        throw new PeerRefused(
            PeerRefused.Cause.WRONG_USAGE,
            "not for this purpose (expected: extended key usage %s)".formatted(purpose));
      }
    } catch (CertificateParsingException e) {
      throw new PeerRefused(
          PeerRefused.Cause.MALFORMED, "its extended key usage cannot be read", e);
    }
    boolean @Nullable [] usage = leaf.getKeyUsage();
    if (usage != null && !usage[0]) {
      throw new PeerRefused(
          PeerRefused.Cause.WRONG_USAGE, "its key may not sign (expected: digitalSignature)");
    }
    if (leaf.getBasicConstraints() >= 0) {
      throw new PeerRefused(PeerRefused.Cause.WRONG_USAGE, "a CA's own certificate");
    }
  }
}
