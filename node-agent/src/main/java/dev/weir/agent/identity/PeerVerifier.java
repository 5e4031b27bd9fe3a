package dev.weir.agent.identity;

import dev.weir.api.model.SpiffeId;
import java.net.Socket;
import java.security.cert.CertificateException;
import java.security.cert.CertificateParsingException;
import java.security.cert.X509Certificate;
import java.time.InstantSource;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Predicate;
import java.util.function.Supplier;
import javax.net.ssl.SSLEngine;
import javax.net.ssl.X509ExtendedTrustManager;
import org.jspecify.annotations.Nullable;

/**
 * Judges peers inside the handshake: chain, purpose, then the SPIFFE id. Names of hosts play no
 * part. It reads the roots that are in force at that moment, so a context outlives a change of
 * roots. On the loop of the handshake.
 */
final class PeerVerifier extends X509ExtendedTrustManager {
  private static final String SERVER_AUTH = "1.3.6.1.5.5.7.3.1";
  private static final String CLIENT_AUTH = "1.3.6.1.5.5.7.3.2";
  private static final int MOST_CERTIFICATES = 8;

  private final SpiffeId own;
  private final Supplier<TrustRoots> roots;
  private final Predicate<X509Certificate> revoked;
  private final InstantSource clock;

  /** Whom each client in the middle of a handshake calls; BoringSSL's sessions keep no values. */
  private final Map<SSLEngine, Set<String>> expectedBy = new ConcurrentHashMap<>();

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

  /** Before the handshake of a client's engine. */
  void expect(SSLEngine engine, Set<String> servers) {
    expectedBy.put(engine, Set.copyOf(servers));
  }

  /** After it. */
  void forget(SSLEngine engine) {
    expectedBy.remove(engine);
  }

  @Override
  public void checkClientTrusted(
      X509Certificate[] chain, String authentication, @Nullable SSLEngine engine)
      throws CertificateException {
    SpiffeId peer = verified(chain, CLIENT_AUTH);
    if (!peer.trustDomain().equals(own.trustDomain())) {
      throw new PeerRefused(
          PeerRefused.Cause.WRONG_TRUST_DOMAIN,
          "client %s: of another trust domain (expected: %s)".formatted(peer, own.trustDomain()));
    }
  }

  @Override
  public void checkServerTrusted(
      X509Certificate[] chain, String authentication, @Nullable SSLEngine engine)
      throws CertificateException {
    SpiffeId peer = verified(chain, SERVER_AUTH);
    Set<String> expected = engine == null ? Set.of() : expectedBy.getOrDefault(engine, Set.of());
    if (!expected.contains(peer.toString())) {
      throw new PeerRefused(
          PeerRefused.Cause.WRONG_IDENTITY,
          "server is %s (expected: %s)".formatted(peer, expected));
    }
  }

  private SpiffeId verified(X509Certificate[] chain, String purpose) throws PeerRefused {
    if (chain.length == 0) {
      throw new PeerRefused(PeerRefused.Cause.NO_CERTIFICATE, "the peer showed no certificate");
    }
    if (chain.length > MOST_CERTIFICATES) {
      throw new PeerRefused(
          PeerRefused.Cause.MALFORMED, "a chain of " + chain.length + " certificates");
    }
    try {
      roots.get().check(chain, clock.instant());
      checkUsage(chain[0], purpose);
      SpiffeId id = SpiffeSan.of(chain[0]);
      for (X509Certificate each : chain) {
        if (revoked.test(each)) {
          throw new PeerRefused(
              PeerRefused.Cause.REVOKED,
              "the CRL names serial %s of %s".formatted(each.getSerialNumber().toString(16), id));
        }
      }
      return id;
    } catch (IllegalStateException e) {
      // BoringSSL's view of the wire is looser than the JDK's, which reads it only now.
      Throwable cause = e.getCause() == null ? e : e.getCause();
      throw new PeerRefused(
          PeerRefused.Cause.MALFORMED, "cannot be read: " + cause.getMessage(), cause);
    }
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

  @Override
  public void checkClientTrusted(X509Certificate[] chain, String authentication)
      throws CertificateException {
    checkClientTrusted(chain, authentication, (@Nullable SSLEngine) null);
  }

  @Override
  public void checkServerTrusted(X509Certificate[] chain, String authentication)
      throws CertificateException {
    checkServerTrusted(chain, authentication, (@Nullable SSLEngine) null);
  }

  @Override
  public void checkClientTrusted(X509Certificate[] chain, String authentication, Socket socket)
      throws CertificateException {
    checkClientTrusted(chain, authentication);
  }

  @Override
  public void checkServerTrusted(X509Certificate[] chain, String authentication, Socket socket)
      throws CertificateException {
    checkServerTrusted(chain, authentication);
  }

  /** None: a client needs no hint which root to use, it has one certificate. */
  @Override
  public X509Certificate[] getAcceptedIssuers() {
    return new X509Certificate[0];
  }
}
