package dev.weir.control.ca;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.StringReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.security.PrivateKey;
import java.security.PublicKey;
import java.security.cert.CertificateException;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import org.bouncycastle.asn1.pkcs.PrivateKeyInfo;
import org.bouncycastle.asn1.x509.SubjectPublicKeyInfo;
import org.bouncycastle.openssl.PEMEncryptedKeyPair;
import org.bouncycastle.openssl.PEMException;
import org.bouncycastle.openssl.PEMKeyPair;
import org.bouncycastle.openssl.PEMParser;
import org.bouncycastle.openssl.jcajce.JcaPEMKeyConverter;
import org.bouncycastle.pkcs.PKCS8EncryptedPrivateKeyInfo;

/** PEM files in, PEM text out; what is wrong names the file. */
final class Pem {
  private static final long MOST_FILE_BYTES = 1 << 20;
  private static final Base64.Encoder LINES =
      Base64.getMimeEncoder(64, "\n".getBytes(StandardCharsets.US_ASCII));

  private Pem() {}

  static String read(Path file) {
    try {
      if (Files.size(file) > MOST_FILE_BYTES) {
        throw new CaException(file + ": is larger than 1 MiB, so it is no PEM of certificates");
      }
      return Files.readString(file, StandardCharsets.ISO_8859_1);
    } catch (NoSuchFileException e) {
      throw new CaException(file + ": there is no such file", e);
    } catch (IOException e) {
      throw new CaException(file + ": cannot be read: " + e.getMessage(), e);
    }
  }

  static List<X509Certificate> certificates(Path file, String text) {
    try {
      List<X509Certificate> all = new ArrayList<>();
      for (var each :
          CertificateFactory.getInstance("X.509")
              .generateCertificates(
                  new ByteArrayInputStream(text.getBytes(StandardCharsets.ISO_8859_1)))) {
        all.add((X509Certificate) each);
      }
      if (all.isEmpty()) {
        throw new CaException(file + ": holds no certificate (expected: PEM)");
      }
      return all;
    } catch (CertificateException e) {
      throw new CaException(file + ": is not PEM of certificates: " + e.getMessage(), e);
    }
  }

  static PrivateKey privateKey(Path file, String text) {
    try (PEMParser parser = new PEMParser(new StringReader(text))) {
      JcaPEMKeyConverter converter = new JcaPEMKeyConverter();
      Object next;
      while ((next = parser.readObject()) != null) {
        switch (next) {
          case PEMKeyPair pair -> {
            return converter.getKeyPair(pair).getPrivate();
          }
          case PrivateKeyInfo info -> {
            return converter.getPrivateKey(info);
          }
          case PEMEncryptedKeyPair _, PKCS8EncryptedPrivateKeyInfo _ ->
              throw new CaException(
                  file + ": the key is encrypted (expected: a plain PEM key, kept by permissions)");
          default -> {
            // EC PARAMETERS stand before the key in what openssl writes.
          }
        }
      }
      throw new CaException(file + ": holds no private key (expected: PEM)");
    } catch (IOException | IllegalArgumentException e) {
      throw new CaException(file + ": is not PEM of a private key: " + e.getMessage(), e);
    }
  }

  static List<PublicKey> publicKeys(Path file, String text) {
    try (PEMParser parser = new PEMParser(new StringReader(text))) {
      List<PublicKey> keys = new ArrayList<>();
      Object next;
      while ((next = parser.readObject()) != null) {
        if (next instanceof SubjectPublicKeyInfo info) {
          keys.add(new JcaPEMKeyConverter().getPublicKey(info));
        }
      }
      if (keys.isEmpty()) {
        throw new CaException(
            file + ": holds neither a JWK set nor public keys (expected: JSON, or PEM PUBLIC KEY)");
      }
      return keys;
    } catch (PEMException e) {
      throw new CaException(file + ": a key of it cannot be used: " + e.getMessage(), e);
    } catch (IOException e) {
      throw new CaException(file + ": is not PEM of public keys: " + e.getMessage(), e);
    }
  }

  static String text(String kind, byte[] der) {
    return "-----BEGIN %1$s-----\n%2$s\n-----END %1$s-----\n"
        .formatted(kind, LINES.encodeToString(der));
  }

  static String text(List<X509Certificate> certificates) {
    StringBuilder out = new StringBuilder();
    for (X509Certificate each : certificates) {
      out.append(text(each));
    }
    return out.toString();
  }

  static String text(X509Certificate certificate) {
    try {
      return text("CERTIFICATE", certificate.getEncoded());
    } catch (CertificateException e) {
      throw new CaException("a certificate cannot be encoded: " + e.getMessage(), e);
    }
  }
}
