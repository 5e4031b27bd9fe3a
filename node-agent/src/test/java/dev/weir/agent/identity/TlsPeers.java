package dev.weir.agent.identity;

import dev.weir.agent.identity.TestAuthority.Held;
import io.netty.buffer.ByteBufAllocator;
import io.netty.handler.ssl.ApplicationProtocolConfig;
import io.netty.handler.ssl.ApplicationProtocolConfig.Protocol;
import io.netty.handler.ssl.ApplicationProtocolConfig.SelectedListenerFailureBehavior;
import io.netty.handler.ssl.ApplicationProtocolConfig.SelectorFailureBehavior;
import io.netty.handler.ssl.ClientAuth;
import io.netty.handler.ssl.SslContextBuilder;
import io.netty.handler.ssl.SslHandler;
import io.netty.handler.ssl.SslProvider;
import io.netty.handler.ssl.util.InsecureTrustManagerFactory;
import javax.net.ssl.SSLException;
import org.jspecify.annotations.Nullable;

/** Peers by the JDK's TLS, which shares nothing with ours and checks nothing. */
final class TlsPeers {
  private TlsPeers() {}

  /**
   * @param protocols for ALPN
   */
  static SslHandler client(@Nullable Held held, String version, String... protocols) {
    SslContextBuilder builder =
        SslContextBuilder.forClient()
            .sslProvider(SslProvider.JDK)
            .protocols(version)
            .endpointIdentificationAlgorithm(null)
            .trustManager(InsecureTrustManagerFactory.INSTANCE);
    if (held != null) {
      builder.keyManager(held.pair().getPrivate(), held.chain());
    }
    return handler(builder, protocols);
  }

  static SslHandler server(Held held, String version, String... protocols) {
    return handler(
        SslContextBuilder.forServer(held.pair().getPrivate(), held.chain())
            .sslProvider(SslProvider.JDK)
            .protocols(version)
            .clientAuth(ClientAuth.REQUIRE)
            .trustManager(InsecureTrustManagerFactory.INSTANCE),
        protocols);
  }

  private static SslHandler handler(SslContextBuilder builder, String... protocols) {
    if (protocols.length > 0) {
      builder.applicationProtocolConfig(
          new ApplicationProtocolConfig(
              Protocol.ALPN,
              SelectorFailureBehavior.NO_ADVERTISE,
              SelectedListenerFailureBehavior.ACCEPT,
              protocols));
    }
    try {
      return builder.build().newHandler(ByteBufAllocator.DEFAULT);
    } catch (SSLException e) {
      throw new AssertionError(e);
    }
  }
}
