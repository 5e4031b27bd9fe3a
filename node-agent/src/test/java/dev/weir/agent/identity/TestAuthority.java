package dev.weir.agent.identity;

import java.math.BigInteger;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.PublicKey;
import java.security.SecureRandom;
import java.security.cert.X509CRL;
import java.security.cert.X509Certificate;
import java.security.spec.ECGenParameterSpec;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Date;
import java.util.List;
import org.bouncycastle.asn1.x500.RDN;
import org.bouncycastle.asn1.x500.X500Name;
import org.bouncycastle.asn1.x509.BasicConstraints;
import org.bouncycastle.asn1.x509.CRLReason;
import org.bouncycastle.asn1.x509.ExtendedKeyUsage;
import org.bouncycastle.asn1.x509.Extension;
import org.bouncycastle.asn1.x509.GeneralName;
import org.bouncycastle.asn1.x509.GeneralNames;
import org.bouncycastle.asn1.x509.KeyPurposeId;
import org.bouncycastle.asn1.x509.KeyUsage;
import org.bouncycastle.asn1.x509.SubjectPublicKeyInfo;
import org.bouncycastle.cert.X509v3CertificateBuilder;
import org.bouncycastle.cert.jcajce.JcaX509CRLConverter;
import org.bouncycastle.cert.jcajce.JcaX509CertificateConverter;
import org.bouncycastle.cert.jcajce.JcaX509v2CRLBuilder;
import org.bouncycastle.operator.jcajce.JcaContentSignerBuilder;

/** Issues any certificate that it is told to, good or bad. */
final class TestAuthority {
  static final KeyPurposeId[] BOTH = {KeyPurposeId.id_kp_serverAuth, KeyPurposeId.id_kp_clientAuth};

  private static final SecureRandom RANDOM = new SecureRandom();

  final KeyPair pair;
  final X509Certificate root;

  TestAuthority(String name) {
    this.pair = newPair();
    this.root = selfSigned(name, pair);
  }

  /** A key and the certificate for it. */
  record Held(KeyPair pair, X509Certificate certificate) {
    X509Certificate[] chain() {
      return new X509Certificate[] {certificate};
    }
  }

  /** What a leaf shall hold. */
  record Leaf(
      List<GeneralName> names, Instant from, Instant until, KeyPurposeId[] purposes, boolean ca) {
    static Leaf of(String... uris) {
      List<GeneralName> names = new ArrayList<>();
      for (String uri : uris) {
        names.add(new GeneralName(GeneralName.uniformResourceIdentifier, uri));
      }
      Instant now = Instant.now();
      return new Leaf(
          names, now.minusSeconds(60), now.plus(Duration.ofHours(1)), BOTH.clone(), false);
    }

    Leaf valid(Instant begin, Instant end) {
      return new Leaf(names, begin, end, purposes, ca);
    }

    Leaf purposes(KeyPurposeId... given) {
      return new Leaf(names, from, until, given, ca);
    }

    Leaf asCa() {
      return new Leaf(names, from, until, purposes, true);
    }

    Leaf names(GeneralName... given) {
      return new Leaf(List.of(given), from, until, purposes, ca);
    }
  }

  static KeyPair newPair() {
    try {
      KeyPairGenerator generator = KeyPairGenerator.getInstance("EC");
      generator.initialize(new ECGenParameterSpec("secp256r1"));
      return generator.generateKeyPair();
    } catch (Exception e) {
      throw new AssertionError(e);
    }
  }

  Held issue(Leaf leaf) {
    KeyPair fresh = newPair();
    return new Held(fresh, issue(leaf, fresh.getPublic()));
  }

  X509Certificate issue(Leaf leaf, PublicKey key) {
    // The JDK builds no certificate whose critical extension it cannot read, or that names nobody.
    boolean unreadable = leaf.names().stream().anyMatch(name -> name.toString().indexOf(0) >= 0);
    try {
      X509v3CertificateBuilder builder =
          new X509v3CertificateBuilder(
                  X500Name.getInstance(root.getSubjectX500Principal().getEncoded()),
                  new BigInteger(128, RANDOM),
                  Date.from(leaf.from()),
                  Date.from(leaf.until()),
                  unreadable ? new X500Name("CN=somebody") : new X500Name(new RDN[0]),
                  SubjectPublicKeyInfo.getInstance(key.getEncoded()))
              .addExtension(Extension.basicConstraints, true, new BasicConstraints(leaf.ca()))
              .addExtension(
                  Extension.extendedKeyUsage, false, new ExtendedKeyUsage(leaf.purposes()));
      if (!leaf.names().isEmpty()) {
        builder.addExtension(
            Extension.subjectAlternativeName,
            !unreadable,
            new GeneralNames(leaf.names().toArray(GeneralName[]::new)));
      }
      return new JcaX509CertificateConverter()
          .getCertificate(
              builder.build(
                  new JcaContentSignerBuilder("SHA256withECDSA").build(pair.getPrivate())));
    } catch (Exception e) {
      throw new AssertionError(e);
    }
  }

  /** Signed by its own key. */
  static Held selfSigned(Leaf leaf) {
    TestAuthority own = new TestAuthority("self");
    return new Held(own.pair, own.issue(leaf, own.pair.getPublic()));
  }

  private static X509Certificate selfSigned(String name, KeyPair pair) {
    try {
      X500Name subject = new X500Name("CN=" + name + " " + new BigInteger(40, RANDOM));
      Instant now = Instant.now();
      return new JcaX509CertificateConverter()
          .getCertificate(
              new X509v3CertificateBuilder(
                      subject,
                      new BigInteger(128, RANDOM),
                      Date.from(now.minus(Duration.ofDays(1))),
                      Date.from(now.plus(Duration.ofDays(10))),
                      subject,
                      SubjectPublicKeyInfo.getInstance(pair.getPublic().getEncoded()))
                  .addExtension(Extension.basicConstraints, true, new BasicConstraints(true))
                  .addExtension(
                      Extension.keyUsage,
                      true,
                      new KeyUsage(KeyUsage.keyCertSign | KeyUsage.cRLSign))
                  .build(new JcaContentSignerBuilder("SHA256withECDSA").build(pair.getPrivate())));
    } catch (Exception e) {
      throw new AssertionError(e);
    }
  }

  /** PEM of a list that names these. */
  String crl(X509Certificate... revoked) {
    try {
      Date now = Date.from(Instant.now());
      JcaX509v2CRLBuilder builder = new JcaX509v2CRLBuilder(root.getSubjectX500Principal(), now);
      builder.setNextUpdate(Date.from(Instant.now().plus(Duration.ofDays(1))));
      for (X509Certificate each : revoked) {
        builder.addCRLEntry(each.getSerialNumber(), now, CRLReason.keyCompromise);
      }
      X509CRL list =
          new JcaX509CRLConverter()
              .getCRL(
                  builder.build(
                      new JcaContentSignerBuilder("SHA256withECDSA").build(pair.getPrivate())));
      return pem("X509 CRL", list.getEncoded());
    } catch (Exception e) {
      throw new AssertionError(e);
    }
  }

  static String pem(X509Certificate certificate) {
    try {
      return pem("CERTIFICATE", certificate.getEncoded());
    } catch (Exception e) {
      throw new AssertionError(e);
    }
  }

  static String pem(String kind, byte[] der) {
    return "-----BEGIN %1$s-----\n%2$s\n-----END %1$s-----\n"
        .formatted(kind, Base64.getMimeEncoder(64, new byte[] {'\n'}).encodeToString(der));
  }
}
