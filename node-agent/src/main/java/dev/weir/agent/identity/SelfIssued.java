package dev.weir.agent.identity;

import dev.weir.api.model.SpiffeId;
import io.netty.util.concurrent.EventExecutor;
import java.io.ByteArrayInputStream;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.PrivateKey;
import java.security.PublicKey;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.security.spec.ECGenParameterSpec;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import javax.net.ssl.SSLException;
import org.jspecify.annotations.Nullable;

/**
 * Identities under a root of their own, for an hour: a rehearsal has no CA. Nobody outside of the
 * process is ever shown one.
 */
public final class SelfIssued implements Identities {
  private static final Duration VALID = Duration.ofHours(1);
  private static final DateTimeFormatter TIME =
      DateTimeFormatter.ofPattern("yyMMddHHmmss'Z'").withZone(ZoneOffset.UTC);

  private static final String ROOT = "weir rehearsal";

  /** 2.5.4.3 */
  private static final byte[] COMMON_NAME = {0x06, 0x03, 0x55, 0x04, 0x03};

  private static final int VERSION = 0xa0;
  private static final int EXTENSIONS = 0xa3;

  private final Map<String, Credentials> made = new HashMap<>();
  private final KeyPair root;

  public SelfIssued() {
    try {
      root = newPair();
    } catch (GeneralSecurityException e) {
      throw new IllegalStateException("this JDK has no P-256", e);
    }
  }

  @Override
  public synchronized @Nullable Credentials current(String identity) {
    return made.get(identity);
  }

  @Override
  public void obtain(String identity, EventExecutor loop, Consumer<Obtained> answer) {
    Obtained obtained = obtain(identity);
    loop.execute(() -> answer.accept(obtained));
  }

  private synchronized Obtained obtain(String identity) {
    Credentials known = made.get(identity);
    if (known == null) {
      try {
        known = make(identity);
      } catch (GeneralSecurityException | SSLException e) {
        return new Obtained.Failed(String.valueOf(e.getMessage()));
      }
      made.put(identity, known);
    }
    return new Obtained.Have(known);
  }

  private Credentials make(String identity) throws GeneralSecurityException, SSLException {
    if (!(SpiffeId.parse(identity) instanceof SpiffeId.Valid(SpiffeId own))) {
      throw new GeneralSecurityException(identity + " is no SPIFFE id");
    }
    KeyPair pair = newPair();
    X509Certificate certificate =
        certificate(identity, pair.getPublic(), root.getPrivate(), Der.spiffeName(identity));
    TrustRoots roots = new TrustRoots(1, List.of(rootCertificate()));
    Tls tls =
        new Tls(
            identity,
            pair.getPrivate(),
            new X509Certificate[] {certificate},
            new PeerVerifier(own, () -> roots, this::revoked, InstantSource.system()),
            Duration.ofSeconds(10));
    return new Credentials(identity, made.size() + 1L, List.of(certificate), tls);
  }

  private static KeyPair newPair() throws GeneralSecurityException {
    KeyPairGenerator generator = KeyPairGenerator.getInstance("EC");
    generator.initialize(new ECGenParameterSpec("secp256r1"));
    return generator.generateKeyPair();
  }

  private X509Certificate rootCertificate() throws GeneralSecurityException {
    return certificate(ROOT, root.getPublic(), root.getPrivate(), Der.certificateAuthority());
  }

  /** RFC 5280 section 4.1; the issuer is the root. */
  private static X509Certificate certificate(
      String subject, PublicKey key, PrivateKey signer, byte[] extension)
      throws GeneralSecurityException {
    Instant now = Instant.now();
    byte[] validity = Der.element(Der.SEQUENCE, time(now.minusSeconds(60)), time(now.plus(VALID)));
    byte[] info =
        Der.element(
            Der.SEQUENCE,
            Der.element(VERSION, Der.element(Der.INTEGER, new byte[] {2})),
            Der.element(Der.INTEGER, new byte[] {1}),
            Der.algorithm(),
            name(ROOT),
            validity,
            name(subject),
            key.getEncoded(),
            Der.element(EXTENSIONS, Der.element(Der.SEQUENCE, extension)));
    return (X509Certificate)
        CertificateFactory.getInstance("X.509")
            .generateCertificate(new ByteArrayInputStream(Der.signed(info, signer)));
  }

  private static byte[] name(String text) {
    return Der.element(
        Der.SEQUENCE,
        Der.element(
            Der.SET,
            Der.element(
                Der.SEQUENCE,
                COMMON_NAME,
                Der.element(Der.UTF8_STRING, text.getBytes(StandardCharsets.UTF_8)))));
  }

  private static byte[] time(Instant when) {
    return Der.element(Der.UTC_TIME, TIME.format(when).getBytes(StandardCharsets.US_ASCII));
  }

  @Override
  public void onRotation(Consumer<Credentials> listener) {
    // They outlive the rehearsal.
  }

  @Override
  public void onRevocation(Runnable listener) {
    // Nothing is revoked.
  }

  @Override
  public boolean revoked(X509Certificate peer) {
    return false;
  }
}
