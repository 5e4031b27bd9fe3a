package dev.weir.agent.identity;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.KeyPair;
import java.security.Signature;
import java.util.Base64;

/**
 * A PKCS#10 request (RFC 2986) for a SPIFFE id, written out: an empty subject, one critical URI
 * SAN, ECDSA with SHA-256. A library for it would cost the agent more memory than all its
 * certificates.
 */
final class SigningRequest {
  private static final int INTEGER = 0x02;
  private static final int BIT_STRING = 0x03;
  private static final int OCTET_STRING = 0x04;
  private static final int SEQUENCE = 0x30;
  private static final int SET = 0x31;

  /** attributes of the request; [0], constructed. */
  private static final int ATTRIBUTES = 0xa0;

  /** uniformResourceIdentifier of a GeneralName; [6]. */
  private static final int URI = 0x86;

  private static final byte[] TRUE = {0x01, 0x01, (byte) 0xff};

  /** 1.2.840.113549.1.9.14 */
  private static final byte[] EXTENSION_REQUEST = {
    0x06, 0x09, 0x2a, (byte) 0x86, 0x48, (byte) 0x86, (byte) 0xf7, 0x0d, 0x01, 0x09, 0x0e
  };

  /** 2.5.29.17 */
  private static final byte[] SUBJECT_ALTERNATIVE_NAME = {0x06, 0x03, 0x55, 0x1d, 0x11};

  /** 1.2.840.10045.4.3.2 */
  private static final byte[] ECDSA_WITH_SHA256 = {
    0x06, 0x08, 0x2a, (byte) 0x86, 0x48, (byte) 0xce, 0x3d, 0x04, 0x03, 0x02
  };

  private SigningRequest() {}

  static String pem(KeyPair pair, String identity) throws GeneralSecurityException {
    byte[] san = element(SEQUENCE, element(URI, identity.getBytes(StandardCharsets.US_ASCII)));
    byte[] extension =
        element(SEQUENCE, SUBJECT_ALTERNATIVE_NAME, TRUE, element(OCTET_STRING, san));
    byte[] attribute =
        element(SEQUENCE, EXTENSION_REQUEST, element(SET, element(SEQUENCE, extension)));
    byte[] info =
        element(
            SEQUENCE,
            element(INTEGER, new byte[] {0}),
            element(SEQUENCE),
            pair.getPublic().getEncoded(),
            element(ATTRIBUTES, attribute));
    Signature signature = Signature.getInstance("SHA256withECDSA");
    signature.initSign(pair.getPrivate());
    signature.update(info);
    byte[] request =
        element(
            SEQUENCE,
            info,
            element(SEQUENCE, ECDSA_WITH_SHA256),
            element(BIT_STRING, new byte[] {0}, signature.sign()));
    return "-----BEGIN CERTIFICATE REQUEST-----\n"
        + Base64.getMimeEncoder(64, new byte[] {'\n'}).encodeToString(request)
        + "\n-----END CERTIFICATE REQUEST-----\n";
  }

  /** Tag, length (X.690 8.1.3), content. */
  private static byte[] element(int tag, byte[]... contents) {
    int length = 0;
    for (byte[] each : contents) {
      length += each.length;
    }
    ByteArrayOutputStream out = new ByteArrayOutputStream(length + 4);
    out.write(tag);
    if (length < 0x80) {
      out.write(length);
    } else if (length < 0x100) {
      out.write(0x81);
      out.write(length);
    } else {
      out.write(0x82);
      out.write(length >> 8);
      out.write(length);
    }
    for (byte[] each : contents) {
      out.writeBytes(each);
    }
    return out.toByteArray();
  }
}
