package dev.weir.agent.identity;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.ByteBufAllocator;
import io.netty.handler.ssl.ApplicationProtocolConfig;
import io.netty.handler.ssl.ApplicationProtocolConfig.Protocol;
import io.netty.handler.ssl.ApplicationProtocolConfig.SelectedListenerFailureBehavior;
import io.netty.handler.ssl.ApplicationProtocolConfig.SelectorFailureBehavior;
import io.netty.handler.ssl.OpenSsl;
import io.netty.handler.ssl.SslContextBuilder;
import io.netty.handler.ssl.SslProvider;
import io.netty.internal.tcnative.CertificateVerifier;
import io.netty.internal.tcnative.SSL;
import io.netty.internal.tcnative.SSLContext;
import java.nio.charset.StandardCharsets;
import java.security.PrivateKey;
import java.security.cert.CertificateEncodingException;
import java.security.cert.X509Certificate;
import java.time.Duration;
import java.util.Arrays;
import java.util.Base64;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import javax.net.ssl.SSLException;

/**
 * The two TLS contexts of one certificate, as HBONE wants them: TLS 1.3, h2, both sides show a
 * certificate, no SNI, no resumption. Counted: whoever lets it go last frees the native memory;
 * each end that was made of it holds it.
 *
 * <p>BoringSSL is asked by its own calls, not by way of an SSLEngine: that is made for any protocol
 * and any use, and on it goes as much time as on the records of a short connection.
 *
 * <p>A ClientHello is bounded by BoringSSL itself: a server takes no handshake message over 16 KiB
 * before it has seen one.
 */
final class Tls {
  static final String PROTOCOL = "h2";

  private static final String[] GROUPS = {"X25519MLKEM768", "X25519", "P-256"};
  private static final int DEPTH = 10;

  private final long client;
  private final long server;
  private final long nativeKey;
  private final long nativeChain;
  private final PeerVerifier verifier;
  private final Duration handshakeWithin;
  private final AtomicInteger holders = new AtomicInteger(1);

  /** Ends in the middle of their handshake, by BoringSSL's name for them. */
  private final Map<Long, TlsEnd> shaking = new ConcurrentHashMap<>();

  /**
   * Proves by a handshake with itself that key, certificate and roots fit. The key moves into
   * native memory.
   */
  Tls(
      String identity,
      PrivateKey key,
      X509Certificate[] chain,
      PeerVerifier verifier,
      Duration handshakeWithin)
      throws SSLException {
    this.verifier = verifier;
    this.handshakeWithin = handshakeWithin;
    OpenSsl.ensureAvailability();
    long[] made = new long[4];
    boolean done = false;
    try {
      made[0] = context(SSL.SSL_MODE_CLIENT);
      made[1] = context(SSL.SSL_MODE_SERVER);
      made[2] = nativeKey(key);
      made[3] = nativeChain(chain);
      client = made[0];
      server = made[1];
      nativeKey = made[2];
      nativeChain = made[3];
      SelfHandshake.run(client(Set.of(identity)), server());
      done = true;
    } finally {
      if (!done) {
        free(made[0], made[1], made[2], made[3]);
      }
    }
  }

  private static void free(long client, long server, long key, long chain) {
    if (client != 0) {
      SSLContext.free(client);
    }
    if (server != 0) {
      SSLContext.free(server);
    }
    if (key != 0) {
      SSL.freePrivateKey(key);
    }
    if (chain != 0) {
      SSL.freeX509Chain(chain);
    }
  }

  private long context(int mode) throws SSLException {
    long context;
    try {
      context = SSLContext.make(SSL.SSL_PROTOCOL_TLSV1_3, mode);
    } catch (Exception e) {
      throw new SSLException("no TLS context can be made", e);
    }
    SSLContext.setOptions(
        context,
        SSLContext.getOptions(context)
            | SSL.SSL_OP_NO_SSLv2
            | SSL.SSL_OP_NO_SSLv3
            | SSL.SSL_OP_NO_TLSv1
            | SSL.SSL_OP_NO_TLSv1_1
            | SSL.SSL_OP_NO_TLSv1_2
            | SSL.SSL_OP_NO_TICKET);
    // What waits to be encrypted is not where it was when a call is made again.
    SSLContext.setMode(
        context, SSLContext.getMode(context) | SSL.SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSLContext.setSessionCacheMode(context, SSL.SSL_SESS_CACHE_OFF);
    // The only ones that BoringSSL has; that h2 was agreed is looked at afterwards.
    SSLContext.setAlpnProtos(
        context, new String[] {PROTOCOL}, SSL.SSL_SELECTOR_FAILURE_NO_ADVERTISE);
    SSLContext.setUseTasks(context, false);
    SSLContext.setVerify(context, SSL.SSL_CVERIFY_REQUIRED, DEPTH);
    SSLContext.setCertVerifyCallback(context, new Judge());
    if (!SSLContext.setCurvesList(context, GROUPS)) {
      SSLContext.free(context);
      throw new SSLException("BoringSSL knows not all of " + String.join(", ", GROUPS));
    }
    return context;
  }

  /** What clients of the control plane have in common with it. */
  static SslContextBuilder h2(SslContextBuilder builder) {
    return builder
        .sslProvider(SslProvider.OPENSSL_REFCNT)
        .protocols("TLSv1.3")
        .applicationProtocolConfig(
            new ApplicationProtocolConfig(
                Protocol.ALPN,
                SelectorFailureBehavior.NO_ADVERTISE,
                SelectedListenerFailureBehavior.ACCEPT,
                PROTOCOL));
  }

  /** Asks, in the middle of a handshake, whether the peer's certificates are taken. */
  private final class Judge extends CertificateVerifier {
    @Override
    public int verify(long ssl, byte[][] chain, String authentication) {
      TlsEnd end = shaking.get(ssl);
      if (end == null) {
        return X509_V_ERR_UNSPECIFIED;
      }
      try {
        end.judge(verifier, chain);
        return X509_V_OK;
      } catch (PeerRefused refused) {
        return alert(refused.why());
      }
    }

    /** What makes BoringSSL tell the peer the same, as far as TLS has words for it. */
    private static int alert(PeerRefused.Cause cause) {
      return switch (cause) {
        case EXPIRED -> X509_V_ERR_CERT_HAS_EXPIRED;
        case NOT_YET_VALID -> X509_V_ERR_CERT_NOT_YET_VALID;
        case REVOKED -> X509_V_ERR_CERT_REVOKED;
        case UNTRUSTED -> X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY;
        case WRONG_USAGE -> X509_V_ERR_INVALID_PURPOSE;
        default -> X509_V_ERR_UNSPECIFIED;
      };
    }
  }

  private static long nativeKey(PrivateKey key) throws SSLException {
    byte[] pem = pem(key);
    try {
      return parsed(pem, bio -> SSL.parsePrivateKey(bio, null));
    } finally {
      Arrays.fill(pem, (byte) 0);
    }
  }

  private static long nativeChain(X509Certificate[] chain) throws SSLException {
    return parsed(pem(chain), SSL::parseX509Chain);
  }

  private interface Parsing {
    // As the native calls are declared.
    long of(long bio) throws Exception;
  }

  private static long parsed(byte[] pem, Parsing parsing) throws SSLException {
    long bio = 0;
    try {
      bio = bio(pem);
      return parsing.of(bio);
    } catch (Exception e) {
      throw new SSLException("key and certificate: " + e.getMessage(), e);
    } finally {
      SSL.clearError();
      if (bio != 0) {
        SSL.freeBIO(bio);
      }
    }
  }

  private static long bio(byte[] bytes) throws Exception {
    ByteBuf copy = ByteBufAllocator.DEFAULT.directBuffer(bytes.length);
    long made = SSL.newMemBIO();
    try {
      copy.writeBytes(bytes);
      if (SSL.bioWrite(made, copy.memoryAddress(), bytes.length) != bytes.length) {
        SSL.freeBIO(made);
        throw new SSLException("no memory for a certificate");
      }
      return made;
    } finally {
      copy.setZero(0, copy.capacity());
      copy.release();
    }
  }

  private static byte[] pem(PrivateKey key) {
    byte[] der = key.getEncoded();
    byte[] base64 = Base64.getEncoder().encode(der);
    try {
      return pem("PRIVATE KEY", base64);
    } finally {
      Arrays.fill(der, (byte) 0);
      Arrays.fill(base64, (byte) 0);
    }
  }

  private static byte[] pem(X509Certificate[] chain) throws SSLException {
    byte[] all = {};
    for (X509Certificate each : chain) {
      try {
        byte[] one = pem("CERTIFICATE", Base64.getEncoder().encode(each.getEncoded()));
        int before = all.length;
        all = Arrays.copyOf(all, before + one.length);
        System.arraycopy(one, 0, all, before, one.length);
      } catch (CertificateEncodingException e) {
        throw new SSLException("it was decoded a moment ago", e);
      }
    }
    return all;
  }

  /** RFC 7468: BoringSSL reads lines of up to 254 characters. */
  private static byte[] pem(String kind, byte[] base64) {
    byte[] begin = ("-----BEGIN " + kind + "-----\n").getBytes(StandardCharsets.US_ASCII);
    byte[] end = ("-----END " + kind + "-----\n").getBytes(StandardCharsets.US_ASCII);
    int line = 64;
    int lines = (base64.length + line - 1) / line;
    byte[] pem = Arrays.copyOf(begin, begin.length + base64.length + lines + end.length);
    int at = begin.length;
    for (int from = 0; from < base64.length; from += line) {
      int length = Math.min(line, base64.length - from);
      System.arraycopy(base64, from, pem, at, length);
      at += length;
      pem[at++] = '\n';
    }
    System.arraycopy(end, 0, pem, at, end.length);
    return pem;
  }

  long handshakeMillis() {
    return handshakeWithin.toMillis();
  }

  TlsEnd client(Set<String> expected) {
    if (expected.isEmpty()) {
      throw new IllegalArgumentException("who is called? (expected: one SPIFFE id at least)");
    }
    return end(client, false, expected);
  }

  TlsEnd server() {
    return end(server, true, Set.of());
  }

  private TlsEnd end(long context, boolean serves, Set<String> expected) {
    if (holders.getAndUpdate(held -> held == 0 ? 0 : held + 1) == 0) {
      throw new IllegalStateException(
          "these credentials were replaced more than a minute ago; ask for the current ones");
    }
    long ssl = SSL.newSSL(context, serves);
    TlsEnd end = new TlsEnd(this, ssl, expected);
    shaking.put(ssl, end);
    try {
      SSL.setKeyMaterial(ssl, nativeChain, nativeKey);
    } catch (Exception e) {
      end.close();
      throw new IllegalStateException("key and certificate: " + e.getMessage(), e);
    }
    return end;
  }

  /** An end's handshake is over, one way or the other. */
  void shaken(long ssl) {
    shaking.remove(ssl);
  }

  Tls retain() {
    holders.incrementAndGet();
    return this;
  }

  void release() {
    if (holders.decrementAndGet() == 0) {
      free(client, server, nativeKey, nativeChain);
    }
  }
}
