package dev.weir.agent.identity;

import io.grpc.CallCredentials;
import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientCall;
import io.grpc.ClientInterceptor;
import io.grpc.ClientInterceptors;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.Status;
import io.grpc.netty.NettyChannelBuilder;
import io.netty.buffer.ByteBufAllocator;
import io.netty.channel.ChannelOption;
import io.netty.handler.ssl.SslContext;
import io.netty.handler.ssl.SslContextBuilder;
import io.netty.util.ReferenceCountUtil;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.InstantSource;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.Executor;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import javax.net.ssl.SSLException;
import org.jspecify.annotations.Nullable;

/**
 * One connection to a control plane, for all that is asked of it: its configuration and its
 * certificates share one where both come from one place, so a node shakes hands once. TLS is
 * BoringSSL, as for pods. Who answers is judged at each handshake by the root's file as it is then,
 * and the token's file is read at each call, since both change.
 */
public final class ControlLine implements AutoCloseable {
  private static final int CONNECT_MILLIS = 3_000;
  private static final long KEEPALIVE_SECONDS = 30;
  private static final int KEEPALIVE_TIMEOUT_SECONDS = 10;

  /** Hours may pass between requests; a connection kept for them costs both sides memory. */
  private static final long IDLE_SECONDS = 60;

  private static final int MOST_NAMES_WAITING = 64;
  private static final long NAMES_REST_SECONDS = 10;

  private static final Metadata.Key<String> AUTHORIZATION =
      Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);

  private final LineOptions options;
  private final @Nullable SslContext tls;
  private final ThreadPoolExecutor names;
  private final ManagedChannel channel;
  private final Channel calls;
  private volatile TrustRoots learned = TrustRoots.NONE;

  /** This machine has no TLS. */
  public static final class UnavailableException extends RuntimeException {
    private static final long serialVersionUID = 1;

    UnavailableException(String message, Throwable cause) {
      super(message, cause);
    }
  }

  private ControlLine(LineOptions options, LineLoop loop, InstantSource clock) {
    this.options = options;
    // gRPC's own default is a pool that grows; only its timer thread is not ours to choose.
    this.names =
        new ThreadPoolExecutor(
            1,
            1,
            NAMES_REST_SECONDS,
            TimeUnit.SECONDS,
            new ArrayBlockingQueue<>(MOST_NAMES_WAITING),
            Thread.ofPlatform().daemon().name("line").factory());
    names.allowCoreThreadTimeOut(true);
    NettyChannelBuilder builder =
        builder(options)
            .eventLoopGroup(loop.group())
            .channelType(loop.channelType())
            .withOption(ChannelOption.ALLOCATOR, ByteBufAllocator.DEFAULT)
            .withOption(ChannelOption.CONNECT_TIMEOUT_MILLIS, CONNECT_MILLIS)
            .executor(names)
            .offloadExecutor(names)
            .disableRetry()
            .disableServiceConfigLookUp()
            // A proxy of the environment is for the outside, never for the control plane.
            .proxyDetector(_ -> null)
            .keepAliveTime(KEEPALIVE_SECONDS, TimeUnit.SECONDS)
            .keepAliveTimeout(KEEPALIVE_TIMEOUT_SECONDS, TimeUnit.SECONDS)
            .idleTimeout(IDLE_SECONDS, TimeUnit.SECONDS);
    switch (options) {
      case LineOptions.Secure secure -> {
        SslContext made = tls(secure, clock);
        this.tls = made;
        this.channel = builder.sslContext(made).build();
        this.calls = ClientInterceptors.intercept(channel, showing(new Token(secure.token())));
      }
      case LineOptions.Plain _ -> {
        this.tls = null;
        this.channel = builder.usePlaintext().build();
        this.calls = channel;
      }
    }
  }

  /**
   * One that dials with its first call.
   *
   * @throws UnavailableException where this machine has no TLS
   */
  public static ControlLine open(LineOptions options, LineLoop loop, InstantSource clock) {
    return new ControlLine(options, loop, clock);
  }

  private static NettyChannelBuilder builder(LineOptions options) {
    InetAddress literal = AuthorityTrust.literal(options.host());
    // A name is resolved at each dial.
    return literal == null
        ? NettyChannelBuilder.forTarget("dns:///" + options.target())
        : NettyChannelBuilder.forAddress(new InetSocketAddress(literal, options.port()));
  }

  private SslContext tls(LineOptions.Secure secure, InstantSource clock) {
    try {
      return Tls.h2(SslContextBuilder.forClient())
          .trustManager(new AuthorityTrust(secure.root(), secure.host(), () -> learned, clock))
          // Which names it may have is the trust manager's to say.
          .endpointIdentificationAlgorithm(null)
          .build();
    } catch (SSLException | RuntimeException | LinkageError e) {
      // Among them a machine for which there is no BoringSSL.
      throw new UnavailableException(
          "TLS cannot be used here, and without it no control plane is trusted: " + e.getMessage(),
          e);
    }
  }

  private static ClientInterceptor showing(CallCredentials token) {
    return new ClientInterceptor() {
      @Override
      public <Q, A> ClientCall<Q, A> interceptCall(
          MethodDescriptor<Q, A> method, CallOptions call, Channel next) {
        return next.newCall(method, call.withCallCredentials(token));
      }
    };
  }

  /** To call by; calls bring an executor of their own, on which the token is read, too. */
  public Channel calls() {
    return calls;
  }

  /** Dials with the next call: gRPC's own waits grow to two minutes; its callers' count. */
  public void dialNow() {
    channel.resetConnectBackoff();
  }

  public LineOptions options() {
    return options;
  }

  /** Whether who answers is proven, and nobody else can read or change what is said. */
  public boolean isSecure() {
    return tls != null;
  }

  /** What the CA behind this line said to trust, beside the root's file. */
  void learn(TrustRoots roots) {
    learned = roots;
  }

  /** Shows the service account token, as it is in its file at that moment. */
  private static final class Token extends CallCredentials {
    private final Path file;

    Token(Path file) {
      this.file = file;
    }

    @Override
    public void applyRequestMetadata(RequestInfo call, Executor thread, MetadataApplier to) {
      try {
        thread.execute(() -> {
          try {
            Metadata headers = new Metadata();
            headers.put(AUTHORIZATION, "Bearer " + read());
            to.apply(headers);
          } catch (LineFailure.NoToken e) {
            to.fail(Status.UNAUTHENTICATED.withDescription(e.getMessage()).withCause(e));
          }
        });
      } catch (RejectedExecutionException e) {
        to.fail(Status.CANCELLED.withDescription("the agent is ending").withCause(e));
      }
    }

    private String read() throws LineFailure.NoToken {
      String token;
      try {
        token = new String(PemFile.read(file), StandardCharsets.UTF_8).strip();
      } catch (IOException e) {
        throw new LineFailure.NoToken("--token %s cannot be read: %s".formatted(file, e));
      }
      if (token.isEmpty() || !token.chars().allMatch(c -> c > ' ' && c < 0x7f)) {
        throw new LineFailure.NoToken("--token " + file + " holds no token");
      }
      return token;
    }
  }

  @Override
  public void close() {
    channel.shutdownNow();
    names.shutdown();
    if (tls != null) {
      ReferenceCountUtil.release(tls);
    }
  }
}
