package dev.weir.agent.admin;

import dev.weir.agent.identity.CertificateReport;
import dev.weir.agent.identity.CrlReport;
import dev.weir.api.json.Json;
import java.nio.charset.StandardCharsets;
import java.security.cert.CertificateEncodingException;
import java.security.cert.X509Certificate;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Comparator;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** Certificates, for {@code weir certs} and for istioctl. */
final class CertificatePage {
  private static final Base64.Encoder BASE64 = Base64.getEncoder();
  private static final Base64.Encoder LINES =
      Base64.getMimeEncoder(64, "\n".getBytes(StandardCharsets.US_ASCII));

  private CertificatePage() {}

  static Json json(List<CertificateReport> certificates) {
    List<Json> all = new ArrayList<>(certificates.size());
    for (CertificateReport each : sorted(certificates)) {
      Json.Builder out =
          Json.object()
              .with("identity", each.identity())
              .with("state", each.state().word())
              .with("pods", each.pods());
      if (!each.chain().isEmpty()) {
        X509Certificate leaf = each.chain().getFirst();
        out.with("serial", serial(leaf))
            .with("validFrom", leaf.getNotBefore().toInstant().toString())
            .with("expirationTime", leaf.getNotAfter().toInstant().toString())
            .with("generation", each.generation());
      }
      Instant next = each.nextAttempt();
      out.with("roots", each.roots().stream().map(CertificatePage::serial).toList())
          .with("nextRotation", next == null ? "now" : next.toString())
          .with("failures", each.failures())
          .with("cause", each.lastCause())
          .with("lastError", each.lastError());
      all.add(out.build());
    }
    return Json.of(all);
  }

  /** Those of which something is wrong, for the status. */
  static Json troubles(List<CertificateReport> certificates) {
    List<Json> all = new ArrayList<>();
    for (CertificateReport each : sorted(certificates)) {
      if (!each.lastCause().isEmpty()) {
        Instant next = each.nextAttempt();
        all.add(
            Json.object()
                .with("identity", each.identity())
                .with("state", each.state().word())
                .with("cause", each.lastCause())
                .with("error", each.lastError())
                .with("nextRotation", next == null ? "now" : next.toString())
                .with(
                    "expirationTime",
                    each.chain().isEmpty()
                        ? ""
                        : each.chain().getFirst().getNotAfter().toInstant().toString())
                .build());
      }
    }
    return Json.of(all);
  }

  static Json crl(@Nullable CrlReport crl) {
    return crl == null
        ? Json.object().build()
        : Json.object()
            .with("file", crl.file().toString())
            .with("names", crl.names())
            .with("problem", crl.problem())
            .build();
  }

  /** As ztunnel dumps it: PEM in base64. */
  static String dumped(CertificateReport in) {
    return Json.object()
        .with("identity", in.identity())
        .with("state", in.state().word())
        .with("certChain", Json.of(in.chain().stream().map(CertificatePage::certificate).toList()))
        .with("rootCerts", Json.of(in.roots().stream().map(CertificatePage::certificate).toList()))
        .build()
        .toJson();
  }

  private static Json certificate(X509Certificate in) {
    return Json.object()
        .with("pem", BASE64.encodeToString(pem(in).getBytes(StandardCharsets.US_ASCII)))
        // As ztunnel: decimal.
        .with("serialNumber", in.getSerialNumber().toString())
        .with("validFrom", in.getNotBefore().toInstant().toString())
        .with("expirationTime", in.getNotAfter().toInstant().toString())
        .build();
  }

  private static String pem(X509Certificate in) {
    try {
      return "-----BEGIN CERTIFICATE-----\n"
          + LINES.encodeToString(in.getEncoded())
          + "\n-----END CERTIFICATE-----\n";
    } catch (CertificateEncodingException e) {
      throw new IllegalStateException("it was decoded once", e);
    }
  }

  private static String serial(X509Certificate in) {
    return in.getSerialNumber().toString(16);
  }

  private static List<CertificateReport> sorted(List<CertificateReport> in) {
    return in.stream().sorted(Comparator.comparing(CertificateReport::identity)).toList();
  }
}
