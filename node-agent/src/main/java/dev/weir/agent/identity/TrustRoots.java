package dev.weir.agent.identity;

import java.io.ByteArrayInputStream;
import java.nio.ByteBuffer;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.security.cert.CertPathValidator;
import java.security.cert.CertPathValidatorException;
import java.security.cert.CertPathValidatorException.BasicReason;
import java.security.cert.CertificateException;
import java.security.cert.CertificateFactory;
import java.security.cert.PKIXParameters;
import java.security.cert.PKIXReason;
import java.security.cert.TrustAnchor;
import java.security.cert.X509Certificate;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Date;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * The roots that are trusted at one time. What leads to them is remembered: the same few peers
 * shake hands again and again, and to verify a chain anew costs as much as all the rest of a
 * handshake.
 */
final class TrustRoots {
  static final TrustRoots NONE = new TrustRoots(0, List.of());

  // Only what was verified comes in, some 2 KiB each.
  private static final int MOST_KNOWN = 256;

  /** Certificates as they were on the wire: two are the same if every byte is. */
  private record Encoded(List<ByteBuffer> chain) {
    static Encoded of(byte[][] chain) {
      List<ByteBuffer> all = new ArrayList<>(chain.length);
      for (byte[] each : chain) {
        all.add(ByteBuffer.wrap(each));
      }
      return new Encoded(all);
    }
  }

  /** A chain that was verified, and when it is in force: while all its certificates are. */
  private record Verified(List<X509Certificate> chain, Instant from, Instant until) {
    /**
     * @param path what of it was verified
     */
    static Verified of(List<X509Certificate> chain, List<X509Certificate> path) {
      Instant from = Instant.MIN;
      Instant until = Instant.MAX;
      for (X509Certificate each : path) {
        Instant begins = each.getNotBefore().toInstant();
        Instant ends = each.getNotAfter().toInstant();
        from = begins.isAfter(from) ? begins : from;
        until = ends.isBefore(until) ? ends : until;
      }
      return new Verified(chain, from, until);
    }

    boolean contains(Instant now) {
      return !now.isBefore(from) && !now.isAfter(until);
    }
  }

  private final long generation;
  private final List<X509Certificate> roots;
  private final @Nullable PKIXParameters parameters;
  private final Map<Encoded, Verified> known = new ConcurrentHashMap<>();

  TrustRoots(long generation, List<X509Certificate> roots) {
    this.generation = generation;
    this.roots = List.copyOf(roots);
    this.parameters = roots.isEmpty() ? null : parameters(roots);
  }

  private static PKIXParameters parameters(List<X509Certificate> roots) {
    try {
      PKIXParameters parameters =
          new PKIXParameters(
              roots.stream().map(root -> new TrustAnchor(root, null)).collect(Collectors.toSet()));
      // Revocation has its own file and its own rule: what is unknown is allowed.
      parameters.setRevocationEnabled(false);
      return parameters;
    } catch (GeneralSecurityException e) {
      throw new IllegalStateException("there are roots", e);
    }
  }

  long generation() {
    return generation;
  }

  List<X509Certificate> roots() {
    return roots;
  }

  boolean same(List<X509Certificate> others) {
    return fingerprints(roots).equals(fingerprints(others));
  }

  private static Set<String> fingerprints(List<X509Certificate> certificates) {
    Set<String> all = new TreeSet<>();
    for (X509Certificate each : certificates) {
      try {
        all.add(
            HexFormat.of()
                .formatHex(MessageDigest.getInstance("SHA-256").digest(each.getEncoded())));
      } catch (GeneralSecurityException e) {
        throw new IllegalStateException("it was decoded a moment ago", e);
      }
    }
    return all;
  }

  /**
   * Whether a chain, leaf first, leads here now (RFC 5280 6).
   *
   * @param encoded as it was on the wire
   * @return the same chain, read
   */
  List<X509Certificate> check(byte[][] encoded, Instant now) throws PeerRefused {
    PKIXParameters trusted = trusted();
    Encoded key = Encoded.of(encoded);
    Verified before = known.get(key);
    if (before != null && before.contains(now)) {
      return before.chain();
    }
    List<X509Certificate> chain = read(encoded);
    List<X509Certificate> path = verified(chain, trusted, now);
    if (known.size() >= MOST_KNOWN) {
      known.clear();
    }
    known.put(key, Verified.of(chain, path));
    return chain;
  }

  /** The same of one that was read already, and that comes too seldom to be remembered. */
  void check(X509Certificate[] chain, Instant now) throws PeerRefused {
    List<X509Certificate> _ = verified(List.of(chain), trusted(), now);
  }

  private PKIXParameters trusted() throws PeerRefused {
    PKIXParameters trusted = parameters;
    if (trusted == null) {
      throw new PeerRefused(PeerRefused.Cause.UNTRUSTED, "no root is trusted yet");
    }
    return trusted;
  }

  private static List<X509Certificate> read(byte[][] encoded) throws PeerRefused {
    List<X509Certificate> chain = new ArrayList<>(encoded.length);
    try {
      CertificateFactory factory = CertificateFactory.getInstance("X.509");
      for (byte[] each : encoded) {
        chain.add((X509Certificate) factory.generateCertificate(new ByteArrayInputStream(each)));
      }
    } catch (CertificateException e) {
      // BoringSSL's view of the wire is looser than the JDK's.
      throw new PeerRefused(PeerRefused.Cause.MALFORMED, "cannot be read: " + e.getMessage(), e);
    }
    return List.copyOf(chain);
  }

  /** The path to a root, without the root. */
  private List<X509Certificate> verified(
      List<X509Certificate> chain, PKIXParameters trusted, Instant now) throws PeerRefused {
    List<X509Certificate> path = new ArrayList<>(chain.size());
    for (X509Certificate each : chain) {
      if (!roots.contains(each)) {
        path.add(each);
      }
    }
    PKIXParameters at = (PKIXParameters) trusted.clone();
    at.setDate(Date.from(now));
    try {
      CertPathValidator.getInstance("PKIX")
          .validate(CertificateFactory.getInstance("X.509").generateCertPath(path), at);
    } catch (CertPathValidatorException e) {
      throw refusal(e);
    } catch (GeneralSecurityException e) {
      throw new PeerRefused(PeerRefused.Cause.MALFORMED, "its chain cannot be read", e);
    }
    if (path.isEmpty()) {
      throw new PeerRefused(PeerRefused.Cause.WRONG_USAGE, "a root itself");
    }
    return path;
  }

  private static PeerRefused refusal(CertPathValidatorException e) {
    return switch (e.getReason()) {
      case BasicReason.EXPIRED ->
          new PeerRefused(PeerRefused.Cause.EXPIRED, "expired: " + e.getMessage(), e);
      case BasicReason.NOT_YET_VALID ->
          new PeerRefused(
              PeerRefused.Cause.NOT_YET_VALID,
              "not valid yet; compare the nodes' clocks: " + e.getMessage(),
              e);
      case PKIXReason.NOT_CA_CERT, PKIXReason.INVALID_KEY_USAGE, PKIXReason.PATH_TOO_LONG ->
          new PeerRefused(
              PeerRefused.Cause.WRONG_USAGE, "an issuer may not issue: " + e.getMessage(), e);
      default ->
          new PeerRefused(
              PeerRefused.Cause.UNTRUSTED, "leads to no trusted root: " + e.getMessage(), e);
    };
  }
}
