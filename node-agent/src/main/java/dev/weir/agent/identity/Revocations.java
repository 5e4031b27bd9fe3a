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
  private volatile String problem = "";

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

  CrlReport report() {
    return new CrlReport(file, revoked.size(), problem);
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
      problem = "there is no such file; what it named before stays revoked";
      log.warn("there is no CRL; what it named before stays revoked", "file", file);
      return false;
    }
    Set<Named> all = new HashSet<>();
    try {
      String doubt = "";
      for (var each :
          CertificateFactory.getInstance("X.509")
              .generateCRLs(new ByteArrayInputStream(PemFile.read(file)))) {
        if (each instanceof X509CRL list) {
          String about = doubt(list, issuers);
          if (!about.isEmpty()) {
            doubt = about;
            log.warn("a CRL does not count", "file", file, "reason", about);
            continue;
          }
          for (X509CRLEntry entry : entries(list)) {
            all.add(new Named(list.getIssuerX500Principal(), entry.getSerialNumber()));
          }
        }
      }
      problem = doubt;
    } catch (IOException | GeneralSecurityException e) {
      problem = "it cannot be used, the former stays in force: " + e.getMessage();
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

  /** Why a list does not count; empty where an issuer that this node knows has signed it. */
  private static String doubt(X509CRL list, List<X509Certificate> issuers) {
    String name = list.getIssuerX500Principal().getName();
    String doubt = "nobody whom this node knows is " + name + ", who issued it";
    for (X509Certificate issuer : issuers) {
      if (issuer.getSubjectX500Principal().equals(list.getIssuerX500Principal())) {
        try {
          list.verify(issuer.getPublicKey());
          return "";
        } catch (GeneralSecurityException e) {
          doubt = "its signature is not by " + name + ": " + e.getMessage();
        }
      }
    }
    return doubt;
  }
}
