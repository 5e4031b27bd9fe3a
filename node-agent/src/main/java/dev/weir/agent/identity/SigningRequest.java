package dev.weir.agent.identity;

import java.security.GeneralSecurityException;
import java.security.KeyPair;
import java.util.Base64;

/**
 * A PKCS#10 request (RFC 2986) for a SPIFFE id, written out: an empty subject, one critical URI
 * SAN, ECDSA with SHA-256. A library for it would cost the agent more memory than all its
 * certificates.
 */
final class SigningRequest {
  /** attributes of the request; [0], constructed. */
  private static final int ATTRIBUTES = 0xa0;

  /** 1.2.840.113549.1.9.14 */
  private static final byte[] EXTENSION_REQUEST = {
    0x06, 0x09, 0x2a, (byte) 0x86, 0x48, (byte) 0x86, (byte) 0xf7, 0x0d, 0x01, 0x09, 0x0e
  };

  private SigningRequest() {}

  static String pem(KeyPair pair, String identity) throws GeneralSecurityException {
    byte[] extension = Der.spiffeName(identity);
    byte[] attribute =
        Der.element(
            Der.SEQUENCE,
            EXTENSION_REQUEST,
            Der.element(Der.SET, Der.element(Der.SEQUENCE, extension)));
    byte[] info =
        Der.element(
            Der.SEQUENCE,
            Der.element(Der.INTEGER, new byte[] {0}),
            Der.element(Der.SEQUENCE),
            pair.getPublic().getEncoded(),
            Der.element(ATTRIBUTES, attribute));
    byte[] request = Der.signed(info, pair.getPrivate());
    return "-----BEGIN CERTIFICATE REQUEST-----\n"
        + Base64.getMimeEncoder(64, new byte[] {'\n'}).encodeToString(request)
        + "\n-----END CERTIFICATE REQUEST-----\n";
  }
}
