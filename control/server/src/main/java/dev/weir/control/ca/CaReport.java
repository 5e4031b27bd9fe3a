package dev.weir.control.ca;

import dev.weir.api.json.Json;
import java.security.cert.X509Certificate;
import java.time.Instant;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.atomic.AtomicLong;

/** What the CA did: counters, and the last refusal in words. Any thread. */
final class CaReport {
  private final Map<Refusal.Cause, AtomicLong> refused = new EnumMap<>(Refusal.Cause.class);
  private final AtomicLong issued = new AtomicLong();
  private volatile Json lastRefusal = Json.object().build();

  CaReport() {
    for (Refusal.Cause cause : Refusal.Cause.values()) {
      refused.put(cause, new AtomicLong());
    }
  }

  void issued() {
    issued.incrementAndGet();
  }

  void refused(Instant when, Refusal refusal, String caller, String identity) {
    AtomicLong counter = refused.get(refusal.why());
    if (counter != null) {
      counter.incrementAndGet();
    }
    lastRefusal =
        Json.object()
            .with("time", when.toString())
            .with("cause", label(refusal.why()))
            .with("message", String.valueOf(refusal.getMessage()))
            .with("caller", caller)
            .with("identity", identity)
            .build();
  }

  static String label(Refusal.Cause cause) {
    return cause.name().toLowerCase(Locale.ROOT).replace('_', '-');
  }

  Json json(Authority authority, String problem, Instant serverUntil) {
    Json.Builder causes = Json.object();
    refused.forEach((cause, count) -> {
      if (count.get() > 0) {
        causes.with(label(cause), count.get());
      }
    });
    List<Json> roots = new ArrayList<>();
    authority.roots().forEach(root -> roots.add(certificate(root)));
    return Json.object()
        .with("signing", certificate(authority.signing()))
        .with("roots", Json.of(roots))
        .with("problem", problem)
        .with("serverCertificateUntil", serverUntil.toString())
        .with("issued", issued.get())
        .with("refused", causes.build())
        .with("lastRefusal", lastRefusal)
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
