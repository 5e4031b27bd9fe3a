package dev.weir.control.ca;

import java.io.IOException;
import java.io.StringReader;
import java.security.PublicKey;
import java.security.interfaces.RSAPublicKey;
import java.util.Set;
import org.bouncycastle.asn1.ASN1ObjectIdentifier;
import org.bouncycastle.asn1.pkcs.PKCSObjectIdentifiers;
import org.bouncycastle.asn1.sec.SECObjectIdentifiers;
import org.bouncycastle.asn1.x509.SubjectPublicKeyInfo;
import org.bouncycastle.asn1.x9.X9ObjectIdentifiers;
import org.bouncycastle.openssl.PEMParser;
import org.bouncycastle.openssl.jcajce.JcaPEMKeyConverter;
import org.bouncycastle.operator.OperatorCreationException;
import org.bouncycastle.operator.jcajce.JcaContentVerifierProviderBuilder;
import org.bouncycastle.pkcs.PKCS10CertificationRequest;
import org.bouncycastle.pkcs.PKCSException;

/**
 * A PKCS#10 request, of which only the public key counts: who the caller is comes from its token.
 */
final class SigningRequest {
  private static final int MOST_CHARACTERS = 16 << 10;
  private static final int LEAST_RSA_BITS = 2048;
  private static final int MOST_RSA_BITS = 8192;
  private static final Set<ASN1ObjectIdentifier> CURVES =
      Set.of(SECObjectIdentifiers.secp256r1, SECObjectIdentifiers.secp384r1);

  private SigningRequest() {}

  /** The key of a request whose sender has its private half. */
  static PublicKey provenKey(String pem) throws Refusal {
    if (pem.length() > MOST_CHARACTERS) {
      throw malformed(pem.length() + " characters (expected: at most " + MOST_CHARACTERS + ")");
    }
    PKCS10CertificationRequest request = parsed(pem);
    SubjectPublicKeyInfo info = request.getSubjectPublicKeyInfo();
    ASN1ObjectIdentifier kind = info.getAlgorithm().getAlgorithm();
    boolean ec = kind.equals(X9ObjectIdentifiers.id_ecPublicKey);
    if (!ec && !kind.equals(PKCSObjectIdentifiers.rsaEncryption)) {
      throw key("a key of kind " + kind.getId());
    }
    if (ec
        && !(info.getAlgorithm().getParameters() instanceof ASN1ObjectIdentifier curve
            && CURVES.contains(curve))) {
      throw key("an ECDSA key on another curve");
    }
    PublicKey key;
    try {
      key = new JcaPEMKeyConverter().getPublicKey(info);
    } catch (IOException | IllegalArgumentException e) {
      throw malformed("its key cannot be read: " + e.getMessage());
    }
    if (key instanceof RSAPublicKey rsa) {
      int bits = rsa.getModulus().bitLength();
      if (bits < LEAST_RSA_BITS || bits > MOST_RSA_BITS) {
        throw key("an RSA key of " + bits + " bits");
      }
    }
    try {
      if (!request.isSignatureValid(new JcaContentVerifierProviderBuilder().build(key))) {
        throw new Refusal(
            Refusal.Cause.CSR_PROOF, "csr: its signature is not by the key that it asks for");
      }
    } catch (PKCSException | OperatorCreationException | RuntimeException e) {
      throw new Refusal(
          Refusal.Cause.CSR_PROOF, "csr: its signature cannot be checked: " + e.getMessage());
    }
    return key;
  }

  private static PKCS10CertificationRequest parsed(String pem) throws Refusal {
    try (PEMParser parser = new PEMParser(new StringReader(pem))) {
      if (parser.readObject() instanceof PKCS10CertificationRequest request) {
        return request;
      }
      throw malformed("no CERTIFICATE REQUEST in PEM");
    } catch (IOException | RuntimeException e) {
      // BouncyCastle answers some malformed DER with unchecked exceptions.
      throw malformed(String.valueOf(e.getMessage()));
    }
  }

  private static Refusal malformed(String what) {
    return new Refusal(Refusal.Cause.CSR_MALFORMED, "csr: " + what);
  }

  private static Refusal key(String what) {
    return new Refusal(
        Refusal.Cause.CSR_KEY,
        "csr: " + what + " (expected: ECDSA P-256 or P-384, or RSA of 2048 to 8192 bits)");
  }
}
