package dev.weir.control.ca;

import dev.weir.api.json.Json;
import java.security.cert.X509Certificate;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicLong;

/** What the CA did. Any thread. */
final class CaReport {
  private final Refusals refusals;
  private final AtomicLong issued = new AtomicLong();

  CaReport(Refusals refusals) {
    this.refusals = refusals;
  }

  void issued() {
    issued.incrementAndGet();
  }

  Json json(Authority authority, String problem, Instant serverUntil) {
    List<Json> roots = new ArrayList<>();
    authority.roots().forEach(root -> roots.add(certificate(root)));
    return Json.object()
        .with("signing", certificate(authority.signing()))
        .with("roots", Json.of(roots))
        .with("problem", problem)
        .with("serverCertificateUntil", serverUntil.toString())
        .with("issued", issued.get())
        .with("refused", refusals.counts())
        .with("lastRefusal", refusals.last())
        .build();
  }

  private static Json certificate(X509Certificate in) {
    return Json.object()
        .with("subject", in.getSubjectX500Principal().getName())
        .with("serial", in.getSerialNumber().toString(16))
        .with("validFrom", in.getNotBefore().toInstant().toString())
        .with("expirationTime", in.getNotAfter().toInstant().toString())
        .build();
  }
}
