package dev.weir.agent.identity;

import dev.weir.agent.log.Log;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.cert.CertificateFactory;
import java.security.cert.X509CRL;
import java.security.cert.X509CRLEntry;
import java.security.cert.X509Certificate;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import javax.security.auth.x500.X500Principal;

/**
 * The CRL file (RFC 5280 5), PEM or DER, several lists in one. A list counts whose signature is by
 * an issuer that is known; its end is not asked for, since an old list still names certificates
 * that are bad. What no list names is allowed.
 */
final class Revocations {
  private record Named(X500Principal issuer, java.math.BigInteger serial) {}

  private final Path file;
  private final Log log;
  private String seen = "absent";
  private Set<String> knownIssuers = Set.of();
  private volatile Set<Named> revoked = Set.of();

  Revocations(Path file, Log log) {
    this.file = file;
    this.log = log;
  }

  boolean names(X509Certificate certificate) {
    Set<Named> now = revoked;
    return !now.isEmpty()
        && now.contains(
            new Named(certificate.getIssuerX500Principal(), certificate.getSerialNumber()));
  }

  int count() {
    return revoked.size();
  }

  /** Whether other certificates are revoked than before. On the identity thread. */
  boolean look(List<X509Certificate> issuers) {
    String now = PemFile.print(file);
    Set<String> names = new HashSet<>();
    issuers.forEach(issuer -> names.add(issuer.getSerialNumber() + " " + issuer.hashCode()));
    if (now.equals(seen) && names.equals(knownIssuers)) {
      return false;
    }
    seen = now;
    knownIssuers = names;
    if (now.equals("absent")) {
      log.warn("there is no CRL; what it named before stays revoked", "file", file);
      return false;
    }
    Set<Named> all = new HashSet<>();
    try {
      for (var each :
          CertificateFactory.getInstance("X.509")
              .generateCRLs(new ByteArrayInputStream(PemFile.read(file)))) {
        if (each instanceof X509CRL list && isSigned(list, issuers)) {
          for (X509CRLEntry entry : entries(list)) {
            all.add(new Named(list.getIssuerX500Principal(), entry.getSerialNumber()));
          }
        }
      }
    } catch (IOException | GeneralSecurityException e) {
      log.error(
          "the CRL cannot be used; the former stays in force",
          "file",
          file,
          "reason",
          String.valueOf(e.getMessage()));
      return false;
    }
    if (all.equals(revoked)) {
      return false;
    }
    revoked = Set.copyOf(all);
    log.info("the CRL changed", "file", file, "revoked", all.size());
    return true;
  }

  private static List<X509CRLEntry> entries(X509CRL list) {
    var entries = list.getRevokedCertificates();
    return entries == null ? List.of() : new ArrayList<>(entries);
  }

  private boolean isSigned(X509CRL list, List<X509Certificate> issuers) {
    for (X509Certificate issuer : issuers) {
      if (issuer.getSubjectX500Principal().equals(list.getIssuerX500Principal())) {
        try {
          list.verify(issuer.getPublicKey());
          return true;
        } catch (GeneralSecurityException e) {
          log.warn(
              "a CRL's signature is wrong",
              "issuer",
              list.getIssuerX500Principal().getName(),
              "reason",
              String.valueOf(e.getMessage()));
        }
      }
    }
    log.warn(
        "a CRL is by nobody whom this node knows, and does not count",
        "file",
        file,
        "issuer",
        list.getIssuerX500Principal().getName());
    return false;
  }
}
