package dev.weir.control.ca;

import dev.weir.api.model.SpiffeId;
import java.io.IOException;
import java.math.BigInteger;
import java.security.GeneralSecurityException;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.MessageDigest;
import java.security.PrivateKey;
import java.security.PublicKey;
import java.security.SecureRandom;
import java.security.Signature;
import java.security.cert.CertPathValidator;
import java.security.cert.CertificateException;
import java.security.cert.CertificateFactory;
import java.security.cert.PKIXParameters;
import java.security.cert.TrustAnchor;
import java.security.cert.X509Certificate;
import java.security.interfaces.ECPublicKey;
import java.security.spec.ECGenParameterSpec;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Date;
import java.util.HexFormat;
import java.util.List;
import java.util.stream.Collectors;
import org.bouncycastle.asn1.x500.RDN;
import org.bouncycastle.asn1.x500.X500Name;
import org.bouncycastle.asn1.x509.BasicConstraints;
import org.bouncycastle.asn1.x509.ExtendedKeyUsage;
import org.bouncycastle.asn1.x509.Extension;
import org.bouncycastle.asn1.x509.GeneralName;
import org.bouncycastle.asn1.x509.GeneralNames;
import org.bouncycastle.asn1.x509.KeyPurposeId;
import org.bouncycastle.asn1.x509.KeyUsage;
import org.bouncycastle.asn1.x509.SubjectPublicKeyInfo;
import org.bouncycastle.cert.X509v3CertificateBuilder;
import org.bouncycastle.cert.jcajce.JcaX509CertificateConverter;
import org.bouncycastle.cert.jcajce.JcaX509ExtensionUtils;
import org.bouncycastle.operator.OperatorCreationException;
import org.bouncycastle.operator.jcajce.JcaContentSignerBuilder;

/**
 * A key that signs, and the roots that are trusted: immutable, replaced whole. Certificates are
 * built with BouncyCastle and signed by the JDK's providers.
 */
final class Authority {
  /** A node whose clock is a minute behind must find a fresh certificate valid. */
  static final Duration BACKDATED = Duration.ofSeconds(60);

  private static final Duration ROOT_LIFE = Duration.ofDays(3650);
  private static final int SERIAL_BITS = 128;
  private static final SecureRandom RANDOM = new SecureRandom();

  private final X509Certificate signing;
  private final List<X509Certificate> issuers;
  private final PrivateKey key;
  private final List<X509Certificate> roots;
  private final String rootsPem;
  private final List<String> issuersPem;

  private Authority(List<X509Certificate> chain, PrivateKey key, List<X509Certificate> roots) {
    this.signing = chain.getFirst();
    this.key = key;
    this.roots = List.copyOf(roots);
    // What a peer needs beside the root, which it has.
    this.issuers = chain.stream().filter(each -> !selfIssued(each)).toList();
    this.issuersPem = issuers.stream().map(Pem::text).toList();
    this.rootsPem = Pem.text(roots);
  }

  /**
   * What was issued.
   *
   * @param chain PEM: leaf first, its issuers, last all roots in one text
   */
  record Issued(X509Certificate certificate, List<String> chain) {}

  /** Reads and checks the three files; throws with one line that names the wrong one. */
  static Authority load(AuthorityFiles files, Instant now) {
    List<X509Certificate> chain =
        Pem.certificates(files.certificate(), Pem.read(files.certificate()));
    PrivateKey key = Pem.privateKey(files.key(), Pem.read(files.key()));
    List<X509Certificate> roots = Pem.certificates(files.roots(), Pem.read(files.roots()));
    X509Certificate signing = chain.getFirst();
    if (signing.getBasicConstraints() < 0) {
      throw new CaException(
          files.certificate() + ": its first certificate is no CA (expected: basicConstraints CA)");
    }
    boolean[] usage = signing.getKeyUsage();
    if (usage != null && !usage[5]) {
      throw new CaException(files.certificate() + ": may not sign certificates (keyCertSign)");
    }
    if (!matches(key, signing.getPublicKey())) {
      throw new CaException(files.key() + ": is not the key of " + files.certificate());
    }
    Instant end = signing.getNotAfter().toInstant();
    if (!now.isBefore(end)) {
      throw new CaException(files.certificate() + ": expired at " + end + "; put a new one there");
    }
    checkRooted(files, chain, roots, now);
    return new Authority(chain, key, roots);
  }

  /** A new root of its own. */
  static Authority create(Instant now) {
    KeyPair pair = newPair();
    byte[] mark = new byte[8];
    RANDOM.nextBytes(mark);
    // The name differs from root to root, so that verifiers never try the wrong one.
    X500Name name = new X500Name("O=Weir,CN=Weir root " + HexFormat.of().formatHex(mark));
    try {
      JcaX509ExtensionUtils ids = new JcaX509ExtensionUtils();
      X509v3CertificateBuilder builder =
          new X509v3CertificateBuilder(
                  name,
                  serial(),
                  Date.from(now.minus(BACKDATED)),
                  Date.from(now.plus(ROOT_LIFE)),
                  name,
                  SubjectPublicKeyInfo.getInstance(pair.getPublic().getEncoded()))
              .addExtension(Extension.basicConstraints, true, new BasicConstraints(true))
              .addExtension(
                  Extension.keyUsage, true, new KeyUsage(KeyUsage.keyCertSign | KeyUsage.cRLSign))
              .addExtension(
                  Extension.subjectKeyIdentifier,
                  false,
                  ids.createSubjectKeyIdentifier(pair.getPublic()));
      X509Certificate root = signed(builder, pair.getPrivate(), pair.getPublic());
      return new Authority(List.of(root), pair.getPrivate(), List.of(root));
    } catch (IOException | GeneralSecurityException e) {
      throw new CaException("a root certificate cannot be made: " + e.getMessage(), e);
    }
  }

  static KeyPair newPair() {
    try {
      KeyPairGenerator generator = KeyPairGenerator.getInstance("EC");
      generator.initialize(new ECGenParameterSpec("secp256r1"));
      return generator.generateKeyPair();
    } catch (GeneralSecurityException e) {
      throw new CaException("no ECDSA key can be made: " + e.getMessage(), e);
    }
  }

  /** A workload's certificate: an empty subject, so the SAN is critical (RFC 5280 4.2.1.6). */
  Issued issue(PublicKey subject, SpiffeId identity, Duration life, Instant now) {
    return issue(
        subject,
        new X500Name(new RDN[0]),
        new GeneralNames(
            new GeneralName(GeneralName.uniformResourceIdentifier, identity.toString())),
        true,
        life,
        now);
  }

  /** The certificate of the CA's own TLS port. */
  Issued issueServer(PublicKey subject, List<String> names, Duration life, Instant now) {
    List<GeneralName> all = new ArrayList<>();
    for (String name : names) {
      boolean address = name.indexOf(':') >= 0 || name.matches("[0-9.]+");
      all.add(new GeneralName(address ? GeneralName.iPAddress : GeneralName.dNSName, name));
    }
    return issue(
        subject,
        new X500Name("CN=weir-control"),
        new GeneralNames(all.toArray(GeneralName[]::new)),
        false,
        life,
        now);
  }

  private Issued issue(
      PublicKey subject,
      X500Name name,
      GeneralNames names,
      boolean critical,
      Duration life,
      Instant now) {
    Instant end = now.plus(life);
    if (end.isAfter(end())) {
      end = end();
    }
    if (!end.isAfter(now)) {
      throw new CaException("the CA's own certificate expired at " + end());
    }
    try {
      JcaX509ExtensionUtils ids = new JcaX509ExtensionUtils();
      X509v3CertificateBuilder builder =
          new X509v3CertificateBuilder(
                  X500Name.getInstance(signing.getSubjectX500Principal().getEncoded()),
                  serial(),
                  Date.from(now.minus(BACKDATED)),
                  Date.from(end),
                  name,
                  SubjectPublicKeyInfo.getInstance(subject.getEncoded()))
              .addExtension(Extension.basicConstraints, true, new BasicConstraints(false))
              .addExtension(Extension.keyUsage, true, new KeyUsage(KeyUsage.digitalSignature))
              .addExtension(
                  Extension.extendedKeyUsage,
                  false,
                  new ExtendedKeyUsage(
                      new KeyPurposeId[] {
                        KeyPurposeId.id_kp_serverAuth, KeyPurposeId.id_kp_clientAuth
                      }))
              .addExtension(
                  Extension.authorityKeyIdentifier,
                  false,
                  ids.createAuthorityKeyIdentifier(signing.getPublicKey()))
              .addExtension(Extension.subjectAlternativeName, critical, names);
      X509Certificate leaf = signed(builder, key, signing.getPublicKey());
      List<String> chain = new ArrayList<>();
      chain.add(Pem.text(leaf));
      chain.addAll(issuersPem);
      chain.add(rootsPem);
      return new Issued(leaf, chain);
    } catch (IOException | GeneralSecurityException e) {
      throw new CaException("a certificate cannot be made: " + e.getMessage(), e);
    }
  }

  private static X509Certificate signed(
      X509v3CertificateBuilder builder, PrivateKey key, PublicKey itsPublic)
      throws CertificateException {
    try {
      return new JcaX509CertificateConverter()
          .getCertificate(
              builder.build(new JcaContentSignerBuilder(algorithm(itsPublic)).build(key)));
    } catch (OperatorCreationException e) {
      throw new CaException("the CA's key cannot sign: " + e.getMessage(), e);
    }
  }

  private static String algorithm(PublicKey key) {
    return switch (key) {
      case ECPublicKey ec when ec.getParams().getOrder().bitLength() > 256 -> "SHA384withECDSA";
      case ECPublicKey _ -> "SHA256withECDSA";
      default ->
          switch (key.getAlgorithm()) {
            case "RSA" -> "SHA256withRSA";
            default ->
                throw new CaException(
                    "a CA key of kind " + key.getAlgorithm() + " (expected: ECDSA or RSA)");
          };
    };
  }

  private static boolean matches(PrivateKey key, PublicKey itsPublic) {
    try {
      String algorithm = algorithm(itsPublic);
      byte[] sample = {'w', 'e', 'i', 'r'};
      Signature signature = Signature.getInstance(algorithm);
      signature.initSign(key);
      signature.update(sample);
      byte[] signed = signature.sign();
      signature.initVerify(itsPublic);
      signature.update(sample);
      return signature.verify(signed);
    } catch (GeneralSecurityException e) {
      return false;
    }
  }

  private static void checkRooted(
      AuthorityFiles files, List<X509Certificate> chain, List<X509Certificate> roots, Instant now) {
    if (roots.contains(chain.getFirst())) {
      return;
    }
    try {
      PKIXParameters parameters =
          new PKIXParameters(
              roots.stream().map(root -> new TrustAnchor(root, null)).collect(Collectors.toSet()));
      parameters.setRevocationEnabled(false);
      parameters.setDate(Date.from(now));
      CertPathValidator.getInstance("PKIX")
          .validate(
              CertificateFactory.getInstance("X.509")
                  .generateCertPath(chain.stream().filter(each -> !roots.contains(each)).toList()),
              parameters);
    } catch (GeneralSecurityException e) {
      throw new CaException(
          "%s: does not lead to a root of %s: %s"
              .formatted(files.certificate(), files.roots(), e.getMessage()),
          e);
    }
  }

  private static boolean selfIssued(X509Certificate each) {
    return each.getSubjectX500Principal().equals(each.getIssuerX500Principal());
  }

  private static BigInteger serial() {
    BigInteger serial;
    do {
      serial = new BigInteger(SERIAL_BITS, RANDOM);
    } while (serial.signum() == 0);
    return serial;
  }

  Instant end() {
    return signing.getNotAfter().toInstant();
  }

  X509Certificate signing() {
    return signing;
  }

  /** What stands between a leaf and a root. */
  List<X509Certificate> issuers() {
    return issuers;
  }

  PrivateKey key() {
    return key;
  }

  List<X509Certificate> roots() {
    return roots;
  }

  /** Tells one set of key and roots from another. */
  String fingerprint() {
    try {
      MessageDigest digest = MessageDigest.getInstance("SHA-256");
      digest.update(signing.getEncoded());
      for (X509Certificate root : roots) {
        digest.update(root.getEncoded());
      }
      return HexFormat.of().formatHex(digest.digest());
    } catch (GeneralSecurityException e) {
      throw new CaException("a certificate cannot be encoded: " + e.getMessage(), e);
    }
  }
}
