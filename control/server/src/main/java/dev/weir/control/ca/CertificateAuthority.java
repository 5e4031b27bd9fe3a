package dev.weir.control.ca;

import dev.weir.api.json.Json;
import dev.weir.api.model.MeshModel;
import dev.weir.control.log.Log;
import io.grpc.Server;
import io.grpc.netty.GrpcSslContexts;
import io.grpc.netty.NettyServerBuilder;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.socket.nio.NioServerSocketChannel;
import io.netty.handler.ssl.SslContext;
import io.netty.handler.ssl.SslContextBuilder;
import io.netty.handler.ssl.SslProvider;
import java.io.IOException;
import java.time.InstantSource;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;

/** The TLS port, and what is behind it. */
public final class CertificateAuthority implements AutoCloseable {
  private static final int MOST_REQUEST_BYTES = 64 << 10;

  /** A token is up to 16 KiB. */
  private static final int MOST_HEADER_BYTES = 32 << 10;

  /** A second and a half of signing. */
  private static final int MOST_WAITING = 1_000;

  private static final int MOST_CALLS_PER_CONNECTION = 64;
  private static final long HANDSHAKE_SECONDS = 10;
  private static final long LOOK_MILLIS = 1_000;
  private static final long KEEPALIVE_SECONDS = 30;
  private static final long KEEPALIVE_TIMEOUT_SECONDS = 10;
  private static final long CLIENT_KEEPALIVE_SECONDS = 5;
  private static final long GOODBYE_MILLIS = 1_000;

  private final InstantSource clock;
  private final AuthorityFolder folder;
  private final ServerIdentity own;
  private final CaReport report = new CaReport();
  private final ThreadPoolExecutor thread;
  private final ScheduledThreadPoolExecutor looking;
  private final Server server;
  private volatile NodePods pods = NodePods.UNKNOWN;
  private long generation;

  private CertificateAuthority(
      CaOptions options, EventLoopGroup loops, InstantSource clock, Log log) throws IOException {
    this.clock = clock;
    this.folder = AuthorityFolder.open(options.files(), clock, log);
    this.own = new ServerIdentity(options.names());
    own.renew(folder.current(), clock.instant());
    this.thread =
        new ThreadPoolExecutor(
            1,
            1,
            0,
            TimeUnit.SECONDS,
            new ArrayBlockingQueue<>(MOST_WAITING),
            Thread.ofPlatform().name("ca").daemon().factory());
    this.looking =
        new ScheduledThreadPoolExecutor(1, Thread.ofPlatform().name("ca-files").daemon().factory());
    CertificateService service =
        new CertificateService(
            options,
            folder::current,
            () -> pods,
            new Tokens(
                new TokenKeys(options.tokenKeys(), log),
                options.tokenIssuer(),
                options.tokenAudience(),
                clock),
            report,
            thread,
            clock,
            log);
    SslContext tls =
        GrpcSslContexts.configure(SslContextBuilder.forServer(own), SslProvider.JDK)
            .protocols("TLSv1.3")
            .build();
    this.server =
        NettyServerBuilder.forAddress(options.listen())
            .channelType(NioServerSocketChannel.class)
            .bossEventLoopGroup(loops)
            .workerEventLoopGroup(loops)
            .sslContext(tls)
            // Requests are only handed over, so the event loop may do it.
            .directExecutor()
            .handshakeTimeout(HANDSHAKE_SECONDS, TimeUnit.SECONDS)
            .maxInboundMessageSize(MOST_REQUEST_BYTES)
            .maxInboundMetadataSize(MOST_HEADER_BYTES)
            .maxConcurrentCallsPerConnection(MOST_CALLS_PER_CONNECTION)
            .keepAliveTime(KEEPALIVE_SECONDS, TimeUnit.SECONDS)
            .keepAliveTimeout(KEEPALIVE_TIMEOUT_SECONDS, TimeUnit.SECONDS)
            .permitKeepAliveTime(CLIENT_KEEPALIVE_SECONDS, TimeUnit.SECONDS)
            .permitKeepAliveWithoutCalls(true)
            .intercept(new BearerTokens())
            .addService(service)
            .build();
    server.start();
    looking.scheduleWithFixedDelay(
        () -> {
          try {
            look();
          } catch (RuntimeException e) {
            // A clock or a disk that misbehaves once must not end the renewals.
            log.error("looking after the CA's certificates failed", "reason", e);
          }
        },
        LOOK_MILLIS,
        LOOK_MILLIS,
        TimeUnit.MILLISECONDS);
  }

  /**
   * Starts serving.
   *
   * @throws CaException where the files make no authority
   * @throws IOException where the address cannot be listened on
   */
  public static CertificateAuthority open(
      CaOptions options, EventLoopGroup loops, InstantSource clock, Log log) throws IOException {
    return new CertificateAuthority(options, loops, clock, log);
  }

  public int port() {
    return server.getPort();
  }

  /** From now on it is this model that says which pods run where; an older one changes nothing. */
  public synchronized void follow(MeshModel model) {
    if (model.generation() > generation) {
      generation = model.generation();
      pods = NodePods.of(model);
    }
  }

  public Json status() {
    return report.json(folder.current(), folder.problem(), own.until());
  }

  private void look() {
    if (folder.look() || own.isDue(clock.instant())) {
      own.renew(folder.current(), clock.instant());
    }
  }

  @Override
  public void close() {
    looking.shutdownNow();
    server.shutdown();
    thread.shutdown();
    try {
      if (!thread.awaitTermination(GOODBYE_MILLIS, TimeUnit.MILLISECONDS)) {
        thread.shutdownNow();
      }
      if (!server.awaitTermination(GOODBYE_MILLIS, TimeUnit.MILLISECONDS)) {
        server.shutdownNow();
      }
    } catch (InterruptedException e) {
      server.shutdownNow();
      Thread.currentThread().interrupt();
    }
  }
}
