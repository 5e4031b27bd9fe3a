package dev.weir.agent.identity;

import io.netty.buffer.ByteBufAllocator;
import io.netty.channel.Channel;
import io.netty.handler.ssl.ApplicationProtocolConfig;
import io.netty.handler.ssl.ApplicationProtocolConfig.Protocol;
import io.netty.handler.ssl.ApplicationProtocolConfig.SelectedListenerFailureBehavior;
import io.netty.handler.ssl.ApplicationProtocolConfig.SelectorFailureBehavior;
import io.netty.handler.ssl.ClientAuth;
import io.netty.handler.ssl.OpenSslCachingX509KeyManagerFactory;
import io.netty.handler.ssl.OpenSslContextOption;
import io.netty.handler.ssl.OpenSslSessionContext;
import io.netty.handler.ssl.SslContext;
import io.netty.handler.ssl.SslContextBuilder;
import io.netty.handler.ssl.SslHandler;
import io.netty.handler.ssl.SslProvider;
import io.netty.util.IllegalReferenceCountException;
import io.netty.util.ReferenceCountUtil;
import io.netty.util.concurrent.Future;
import java.security.PrivateKey;
import java.security.cert.X509Certificate;
import java.time.Duration;
import java.util.Set;
import java.util.concurrent.atomic.AtomicInteger;
import javax.net.ssl.SSLEngine;
import javax.net.ssl.SSLException;

/**
 * The two TLS contexts of one certificate, as HBONE wants them: TLS 1.3, h2, both sides show a
 * certificate, no SNI, no resumption. Counted: whoever lets it go last frees the native memory;
 * handlers that were made of it live on, since each engine holds its context.
 *
 * <p>A ClientHello is bounded by BoringSSL itself: a server takes no handshake message over 16 KiB
 * before it has seen one.
 */
final class Tls {
  static final String PROTOCOL = "h2";

  private static final String[] GROUPS = {"X25519MLKEM768", "X25519", "P-256"};

  private final SslContext client;
  private final SslContext server;
  private final PeerVerifier verifier;
  private final Duration handshakeWithin;
  private final AtomicInteger holders = new AtomicInteger(1);

  /**
   * Proves by a handshake with itself that key, certificate and roots fit, by which the key moves
   * into native memory.
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
    OneKey own = new OneKey(key, chain);
    SslContext forClient = null;
    SslContext forServer = null;
    boolean done = false;
    try {
      forClient =
          common(SslContextBuilder.forClient(), verifier)
              .keyManager(new OpenSslCachingX509KeyManagerFactory(own.factory()))
              .endpointIdentificationAlgorithm(null)
              .build();
      forServer =
          common(
                  SslContextBuilder.forServer(
                      new OpenSslCachingX509KeyManagerFactory(own.factory())),
                  verifier)
              .clientAuth(ClientAuth.REQUIRE)
              .build();
      noResumption(forClient);
      noResumption(forServer);
      client = forClient;
      server = forServer;
      SelfHandshake.run(
          client(ByteBufAllocator.DEFAULT, Set.of(identity)), server(ByteBufAllocator.DEFAULT));
      done = true;
    } finally {
      own.forget();
      if (!done) {
        ReferenceCountUtil.release(forClient);
        ReferenceCountUtil.release(forServer);
      }
    }
  }

  private static SslContextBuilder common(SslContextBuilder builder, PeerVerifier verifier) {
    return h2(builder).trustManager(verifier).option(OpenSslContextOption.GROUPS, GROUPS);
  }

  /** What all TLS here has in common. */
  static SslContextBuilder h2(SslContextBuilder builder) {
    return builder
        .sslProvider(SslProvider.OPENSSL_REFCNT)
        .protocols("TLSv1.3")
        .applicationProtocolConfig(
            new ApplicationProtocolConfig(
                Protocol.ALPN,
                // The only ones that BoringSSL has; that h2 was agreed is checked afterwards.
                SelectorFailureBehavior.NO_ADVERTISE,
                SelectedListenerFailureBehavior.ACCEPT,
                PROTOCOL));
  }

  private static void noResumption(SslContext context) {
    if (context.sessionContext() instanceof OpenSslSessionContext sessions) {
      sessions.setSessionCacheEnabled(false);
    }
  }

  SslHandler client(ByteBufAllocator allocator, Set<String> expected) {
    SslHandler handler = handler(client, allocator);
    SSLEngine engine = handler.engine();
    verifier.expect(engine, expected);
    handler.handshakeFuture().addListener(_ -> verifier.forget(engine));
    return handler;
  }

  SslHandler server(ByteBufAllocator allocator) {
    return handler(server, allocator);
  }

  private SslHandler handler(SslContext context, ByteBufAllocator allocator) {
    SslHandler handler;
    try {
      handler = context.newHandler(allocator);
    } catch (IllegalReferenceCountException e) {
      throw new IllegalStateException(
          "these credentials were replaced more than a minute ago; ask for the current ones", e);
    }
    handler.setHandshakeTimeoutMillis(handshakeWithin.toMillis());
    handler
        .handshakeFuture()
        .addListener((Future<Channel> finished) -> {
          if (finished.isSuccess() && !PROTOCOL.equals(handler.applicationProtocol())) {
            finished.getNow().close();
          }
        });
    return handler;
  }

  Tls retain() {
    holders.incrementAndGet();
    return this;
  }

  void release() {
    if (holders.decrementAndGet() == 0) {
      ReferenceCountUtil.release(client);
      ReferenceCountUtil.release(server);
    }
  }
}
