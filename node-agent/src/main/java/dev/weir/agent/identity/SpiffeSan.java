package dev.weir.agent.identity;

import dev.weir.api.model.SpiffeId;
import java.security.cert.CertificateParsingException;
import java.security.cert.X509Certificate;
import java.util.Collection;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The one URI SAN of an X.509-SVID (SPIFFE X.509-SVID 2: exactly one, and nothing is taken from
 * elsewhere).
 */
final class SpiffeSan {
  /** GeneralName's choice of uniformResourceIdentifier (RFC 5280 4.2.1.6). */
  private static final int URI = 6;

  private SpiffeSan() {}

  static SpiffeId of(X509Certificate certificate) throws PeerRefused {
    Collection<List<?>> names;
    try {
      names = names(certificate);
    } catch (CertificateParsingException e) {
      throw new PeerRefused(
          PeerRefused.Cause.MALFORMED_SAN, "a subject alternative name cannot be read", e);
    }
    String uri = null;
    for (List<?> name : names) {
      if (name.getFirst() instanceof Integer kind && kind == URI) {
        if (uri != null) {
          throw new PeerRefused(
              PeerRefused.Cause.TWO_SPIFFE_IDS, "more than one URI SAN (expected: one SPIFFE id)");
        }
        uri = String.valueOf(name.get(1));
      }
    }
    if (uri == null) {
      throw new PeerRefused(PeerRefused.Cause.NO_SPIFFE_ID, "no URI SAN (expected: one SPIFFE id)");
    }
    return switch (SpiffeId.parse(uri)) {
      case SpiffeId.Valid valid -> valid.id();
      case SpiffeId.Invalid invalid ->
          throw new PeerRefused(
              PeerRefused.Cause.MALFORMED_SAN, "its URI SAN is no SPIFFE id: " + invalid.reason());
    };
  }

  private static Collection<List<?>> names(X509Certificate certificate)
      throws CertificateParsingException {
    @Nullable Collection<List<?>> names = certificate.getSubjectAlternativeNames();
    return names == null ? List.of() : names;
  }
}
