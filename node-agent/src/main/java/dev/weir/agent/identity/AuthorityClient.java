package dev.weir.agent.identity;

import com.google.protobuf.Struct;
import com.google.protobuf.Value;
import dev.weir.api.proto.ca.IstioCertificateRequest;
import dev.weir.api.proto.ca.IstioCertificateResponse;
import dev.weir.api.proto.ca.IstioCertificateServiceGrpc;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.netty.NettyChannelBuilder;
import io.grpc.stub.MetadataUtils;
import io.grpc.stub.StreamObserver;
import io.netty.buffer.ByteBufAllocator;
import io.netty.channel.Channel;
import io.netty.channel.ChannelOption;
import io.netty.channel.EventLoopGroup;
import io.netty.handler.ssl.SslContext;
import io.netty.handler.ssl.SslContextBuilder;
import io.netty.util.ReferenceCountUtil;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.time.InstantSource;
import java.util.List;
import java.util.concurrent.Executor;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;
import javax.net.ssl.SSLException;
import org.jspecify.annotations.Nullable;

/** The CA, asked. Calls and answers on the identity thread. */
final class AuthorityClient implements AutoCloseable {
  /** Two roots and a few issuers are 10 KiB. */
  private static final int MOST_ANSWER_BYTES = 1 << 20;

  private static final long IDLE_SECONDS = 60;
  private static final int CONNECT_MILLIS = 3_000;
  private static final Metadata.Key<String> AUTHORIZATION =
      Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);

  /** What came back: one of the two is called, once. */
  interface Answer {
    void chain(List<String> pems);

    void failed(FetchFailure failure);
  }

  private final Path token;
  private final Duration within;
  private final SslContext tls;
  private final ManagedChannel channel;

  AuthorityClient(
      IdentityOptions options,
      Duration within,
      EventLoopGroup loop,
      Class<? extends Channel> channelType,
      Executor thread,
      Supplier<TrustRoots> learned,
      InstantSource clock)
      throws SSLException {
    this.token = options.token();
    this.within = within;
    String target = options.authority();
    String host = host(target);
    this.tls =
        Tls.h2(SslContextBuilder.forClient())
            .trustManager(new AuthorityTrust(options.root(), host, learned, clock))
            // Which names it may have is the trust manager's to say.
            .endpointIdentificationAlgorithm(null)
            .build();
    SocketAddress literal = literal(target, host);
    NettyChannelBuilder builder =
        literal != null
            ? NettyChannelBuilder.forAddress(literal)
            : NettyChannelBuilder.forTarget("dns:///" + target);
    this.channel =
        builder
            .sslContext(tls)
            .eventLoopGroup(loop)
            .channelType(channelType)
            .withOption(ChannelOption.ALLOCATOR, ByteBufAllocator.DEFAULT)
            .withOption(ChannelOption.CONNECT_TIMEOUT_MILLIS, CONNECT_MILLIS)
            .executor(thread)
            .offloadExecutor(thread)
            .disableRetry()
            .disableServiceConfigLookUp()
            // A proxy of the environment is for the outside, never for the control plane.
            .proxyDetector(_ -> null)
            .maxInboundMessageSize(MOST_ANSWER_BYTES)
            // Hours pass between requests; a connection kept for them costs both sides memory.
            .idleTimeout(IDLE_SECONDS, TimeUnit.SECONDS)
            .build();
  }

  void request(String identity, String csr, Duration life, Answer answer) {
    String bearer;
    try {
      bearer = new String(PemFile.read(token), StandardCharsets.UTF_8).strip();
    } catch (IOException e) {
      answer.failed(
          new FetchFailure(
              FetchFailure.Cause.TOKEN_UNREADABLE,
              "--token %s cannot be read: %s".formatted(token, e)));
      return;
    }
    if (bearer.isEmpty() || !bearer.chars().allMatch(c -> c > ' ' && c < 0x7f)) {
      answer.failed(
          new FetchFailure(
              FetchFailure.Cause.TOKEN_UNREADABLE, "--token " + token + " holds no token"));
      return;
    }
    Metadata headers = new Metadata();
    headers.put(AUTHORIZATION, "Bearer " + bearer);
    // gRPC's own waits between dials grow to two minutes; our pace is the one that counts.
    channel.resetConnectBackoff();
    IstioCertificateServiceGrpc.newStub(channel)
        .withDeadlineAfter(within.toMillis(), TimeUnit.MILLISECONDS)
        .withInterceptors(MetadataUtils.newAttachHeadersInterceptor(headers))
        .createCertificate(
            IstioCertificateRequest.newBuilder()
                .setCsr(csr)
                .setValidityDuration(life.toSeconds())
                .setMetadata(
                    Struct.newBuilder()
                        .putFields(
                            "ImpersonatedIdentity",
                            Value.newBuilder().setStringValue(identity).build()))
                .build(),
            new Once(answer));
  }

  private static final class Once implements StreamObserver<IstioCertificateResponse> {
    private final Answer answer;
    private @Nullable IstioCertificateResponse response;

    Once(Answer answer) {
      this.answer = answer;
    }

    @Override
    public void onNext(IstioCertificateResponse value) {
      response = value;
    }

    @Override
    public void onError(Throwable cause) {
      answer.failed(failure(cause));
    }

    @Override
    public void onCompleted() {
      IstioCertificateResponse got = response;
      if (got == null) {
        answer.failed(
            new FetchFailure(FetchFailure.Cause.BAD_ANSWER, "the CA answered with nothing"));
      } else {
        answer.chain(got.getCertChainList());
      }
    }
  }

  private static FetchFailure failure(Throwable cause) {
    Status status = Status.fromThrowable(cause);
    String said = status.getDescription() == null ? "" : ": " + status.getDescription();
    PeerRefused refused = PeerRefused.of(cause);
    if (refused != null) {
      return new FetchFailure(
          FetchFailure.Cause.CA_NOT_TRUSTED,
          "the CA's certificate is not taken (%s): %s"
              .formatted(refused.why().label(), refused.getMessage()));
    }
    return switch (status.getCode()) {
      case UNAUTHENTICATED ->
          new FetchFailure(FetchFailure.Cause.TOKEN_REFUSED, "the CA refused the token" + said);
      case PERMISSION_DENIED ->
          new FetchFailure(FetchFailure.Cause.NOT_ALLOWED, "the CA refused" + said);
      case DEADLINE_EXCEEDED ->
          new FetchFailure(FetchFailure.Cause.CA_SLOW, "the CA did not answer in time" + said);
      case UNAVAILABLE -> {
        Throwable root = cause;
        while (root.getCause() != null) {
          root = root.getCause();
        }
        yield root.equals(cause)
            ? new FetchFailure(FetchFailure.Cause.CA_FAILED, "the CA cannot serve" + said)
            : new FetchFailure(
                FetchFailure.Cause.CA_UNREACHABLE, "the CA is not reachable: " + root.getMessage());
      }
      default ->
          new FetchFailure(FetchFailure.Cause.CA_FAILED, "the CA said " + status.getCode() + said);
    };
  }

  private static String host(String target) {
    String host = target.substring(0, target.lastIndexOf(':'));
    return host.startsWith("[") && host.endsWith("]") ? host.substring(1, host.length() - 1) : host;
  }

  private static @Nullable SocketAddress literal(String target, String host) {
    try {
      return new InetSocketAddress(
          InetAddress.ofLiteral(host),
          Integer.parseInt(target.substring(target.lastIndexOf(':') + 1)));
    } catch (IllegalArgumentException e) {
      return null;
    }
  }

  @Override
  public void close() {
    channel.shutdownNow();
    ReferenceCountUtil.release(tls);
  }
}
