package dev.weir.agent.identity;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.PrivateKey;
import java.security.Signature;

/** The little of X.690 that requests and throwaway certificates are written in. */
final class Der {
  static final int INTEGER = 0x02;
  static final int BIT_STRING = 0x03;
  static final int OCTET_STRING = 0x04;
  static final int UTF8_STRING = 0x0c;
  static final int UTC_TIME = 0x17;
  static final int SEQUENCE = 0x30;
  static final int SET = 0x31;

  /** uniformResourceIdentifier of a GeneralName; [6]. */
  private static final int URI = 0x86;

  private static final byte[] TRUE = {0x01, 0x01, (byte) 0xff};

  /** 2.5.29.17 */
  private static final byte[] SUBJECT_ALTERNATIVE_NAME = {0x06, 0x03, 0x55, 0x1d, 0x11};

  /** 2.5.29.19 */
  private static final byte[] BASIC_CONSTRAINTS = {0x06, 0x03, 0x55, 0x1d, 0x13};

  /** 1.2.840.10045.4.3.2 */
  private static final byte[] ECDSA_WITH_SHA256 = {
    0x06, 0x08, 0x2a, (byte) 0x86, 0x48, (byte) 0xce, 0x3d, 0x04, 0x03, 0x02
  };

  private Der() {}

  /** The algorithm of every signature here. */
  static byte[] algorithm() {
    return element(SEQUENCE, ECDSA_WITH_SHA256);
  }

  /** An extension with a SPIFFE id as the one name, critical since the subject is none. */
  static byte[] spiffeName(String identity) {
    byte[] san = element(SEQUENCE, element(URI, identity.getBytes(StandardCharsets.US_ASCII)));
    return element(SEQUENCE, SUBJECT_ALTERNATIVE_NAME, TRUE, element(OCTET_STRING, san));
  }

  /** An extension that says that the key may sign certificates. */
  static byte[] certificateAuthority() {
    return element(
        SEQUENCE, BASIC_CONSTRAINTS, TRUE, element(OCTET_STRING, element(SEQUENCE, TRUE)));
  }

  /** What is signed, how, and the signature: the outer form of requests and certificates. */
  static byte[] signed(byte[] info, PrivateKey key) throws GeneralSecurityException {
    Signature signature = Signature.getInstance("SHA256withECDSA");
    signature.initSign(key);
    signature.update(info);
    return element(
        SEQUENCE, info, algorithm(), element(BIT_STRING, new byte[] {0}, signature.sign()));
  }

  /** Tag, length (X.690 8.1.3), content. */
  static byte[] element(int tag, byte[]... contents) {
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
