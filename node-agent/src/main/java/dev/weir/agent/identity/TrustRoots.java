package dev.weir.agent.identity;

import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.security.cert.CertPathValidator;
import java.security.cert.CertPathValidatorException;
import java.security.cert.CertPathValidatorException.BasicReason;
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
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/** The roots that are trusted at one time: immutable. */
final class TrustRoots {
  static final TrustRoots NONE = new TrustRoots(0, List.of());

  private final long generation;
  private final List<X509Certificate> roots;
  private final @Nullable PKIXParameters parameters;

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

  /** Whether a chain, leaf first, leads here now (RFC 5280 6). */
  void check(X509Certificate[] chain, Instant now) throws PeerRefused {
    PKIXParameters known = parameters;
    if (known == null) {
      throw new PeerRefused(PeerRefused.Cause.UNTRUSTED, "no root is trusted yet");
    }
    try {
      List<X509Certificate> path = new ArrayList<>(chain.length);
      for (X509Certificate each : chain) {
        if (!roots.contains(each)) {
          path.add(each);
        }
      }
      PKIXParameters at = (PKIXParameters) known.clone();
      at.setDate(Date.from(now));
      CertPathValidator.getInstance("PKIX")
          .validate(CertificateFactory.getInstance("X.509").generateCertPath(path), at);
      if (path.isEmpty()) {
        throw new PeerRefused(PeerRefused.Cause.WRONG_USAGE, "a root itself");
      }
    } catch (CertPathValidatorException e) {
      throw refusal(e);
    } catch (GeneralSecurityException e) {
      throw e instanceof PeerRefused refused
          ? refused
          : new PeerRefused(PeerRefused.Cause.MALFORMED, "its chain cannot be read", e);
    }
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
