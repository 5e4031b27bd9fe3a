package dev.weir.control.port;

import io.grpc.Codec;
import io.grpc.DecompressorRegistry;
import io.grpc.Server;
import io.grpc.ServerServiceDefinition;
import io.grpc.netty.GrpcSslContexts;
import io.grpc.netty.NettyServerBuilder;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.socket.SocketChannel;
import io.netty.channel.socket.nio.NioServerSocketChannel;
import io.netty.handler.ssl.SslContext;
import io.netty.handler.ssl.SslContextBuilder;
import io.netty.handler.ssl.SslProvider;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.util.List;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.TimeUnit;
import javax.net.ssl.SSLException;
import javax.net.ssl.X509ExtendedKeyManager;
import org.jspecify.annotations.Nullable;

/** One port that serves gRPC. */
public final class Port implements AutoCloseable {
  /** An agent asks for eight certificates at once beside its stream of configuration. */
  private static final int MOST_CALLS_PER_CONNECTION = 16;

  /** CVE-2023-44487: Netty's own bound for servers, which gRPC does not set. */
  private static final int MOST_RESETS = 200;

  private static final int RESETS_WITHIN_SECONDS = 30;

  private static final long KEEPALIVE_SECONDS = 30;
  private static final long KEEPALIVE_TIMEOUT_SECONDS = 10;
  private static final long CLIENT_KEEPALIVE_SECONDS = 5;

  /** An agent's line has its stream of configuration; who only wanted a certificate may go. */
  private static final long IDLE_SECONDS = 300;

  private static final long GOODBYE_MILLIS = 1_000;
  private static final int LOOKS_IN_PATIENCE = 10;

  private final Server server;
  private final Connections connections;
  private final ScheduledFuture<?> looking;

  private Port(Server server, Connections connections, EventLoopGroup loops) {
    this.server = server;
    this.connections = connections;
    long everyMillis = Math.max(1, connections.patience().toMillis() / LOOKS_IN_PATIENCE);
    this.looking =
        loops.scheduleWithFixedDelay(
            connections::look, everyMillis, everyMillis, TimeUnit.MILLISECONDS);
  }

  /** TLS as nodes speak it; making it takes as long as a start may, so it has its own step. */
  public static SslContext tls(X509ExtendedKeyManager identity) throws SSLException {
    return GrpcSslContexts.configure(SslContextBuilder.forServer(identity), SslProvider.JDK)
        .protocols("TLSv1.3")
        .build();
  }

  /**
   * Starts listening.
   *
   * @param tls null for none
   * @throws IOException if the address cannot be listened on
   */
  public static Port open(
      InetSocketAddress address,
      @Nullable SslContext tls,
      List<ServerServiceDefinition> services,
      MessageLimits limits,
      Connections connections,
      EventLoopGroup loops)
      throws IOException {
    NettyServerBuilder builder =
        NettyServerBuilder.forAddress(address)
            .channelFactory(() -> new Doorman(connections))
            .bossEventLoopGroup(loops)
            .workerEventLoopGroup(loops)
            // Requests are only handed over, so the event loop may do it.
            .directExecutor()
            // A last resort: a stranger's time is up earlier, and then it is counted.
            .handshakeTimeout(2 * connections.patience().toMillis(), TimeUnit.MILLISECONDS)
            .maxInboundMessageSize(limits.mostMessageBytes())
            .maxInboundMetadataSize(limits.headerBytes())
            // A few bytes on the wire must not become many here.
            .decompressorRegistry(
                DecompressorRegistry.emptyInstance().with(Codec.Identity.NONE, false))
            .maxConcurrentCallsPerConnection(MOST_CALLS_PER_CONNECTION)
            .maxRstFramesPerWindow(MOST_RESETS, RESETS_WITHIN_SECONDS)
            // A node that vanished without FIN must not stay on the list.
            .keepAliveTime(KEEPALIVE_SECONDS, TimeUnit.SECONDS)
            .keepAliveTimeout(KEEPALIVE_TIMEOUT_SECONDS, TimeUnit.SECONDS)
            .permitKeepAliveTime(CLIENT_KEEPALIVE_SECONDS, TimeUnit.SECONDS)
            .permitKeepAliveWithoutCalls(true)
            .maxConnectionIdle(IDLE_SECONDS, TimeUnit.SECONDS)
            .addStreamTracerFactory(limits.scales())
            .intercept(MessageLimits.weighing());
    if (tls != null) {
      builder.sslContext(tls);
    }
    services.forEach(builder::addService);
    return new Port(builder.build().start(), connections, loops);
  }

  /** Counts who comes in before anything is made for it. */
  private static final class Doorman extends NioServerSocketChannel {
    private final Connections connections;

    Doorman(Connections connections) {
      this.connections = connections;
    }

    @Override
    protected int doReadMessages(List<Object> accepted) throws Exception {
      int before = accepted.size();
      int read = super.doReadMessages(accepted);
      for (int i = accepted.size() - 1; i >= before; i--) {
        if (accepted.get(i) instanceof SocketChannel child && !welcomed(child)) {
          accepted.remove(i);
          child.unsafe().closeForcibly();
        }
      }
      return read;
    }

    private boolean welcomed(SocketChannel child) {
      @Nullable InetSocketAddress from = child.remoteAddress();
      if (from == null) {
        // It was reset before it was accepted.
        return false;
      }
      if (!connections.arrived(child, from)) {
        return false;
      }
      child.closeFuture().addListener(_ -> connections.left(from, child));
      return true;
    }
  }

  public int number() {
    return server.getPort();
  }

  public Connections connections() {
    return connections;
  }

  /** Takes no more; what is under way may come to its end. */
  public void leave() {
    server.shutdown();
  }

  @Override
  public void close() {
    looking.cancel(false);
    server.shutdown();
    try {
      if (!server.awaitTermination(GOODBYE_MILLIS, TimeUnit.MILLISECONDS)) {
        server.shutdownNow();
      }
    } catch (InterruptedException e) {
      server.shutdownNow();
      Thread.currentThread().interrupt();
    }
  }
}
