package dev.weir.control;

import dev.weir.api.json.Json;
import dev.weir.api.model.MeshModel;
import dev.weir.api.model.Workload;
import dev.weir.api.proto.ca.IstioCertificateServiceGrpc;
import dev.weir.api.proto.discovery.AggregatedDiscoveryServiceGrpc;
import dev.weir.control.admin.AdminServer;
import dev.weir.control.admin.StatusPage;
import dev.weir.control.ca.CaException;
import dev.weir.control.ca.CaOptions;
import dev.weir.control.ca.CertificateAuthority;
import dev.weir.control.ca.Refusals;
import dev.weir.control.log.Log;
import dev.weir.control.mesh.MeshCompiler;
import dev.weir.control.port.Connections;
import dev.weir.control.port.Crowd;
import dev.weir.control.port.MessageLimits;
import dev.weir.control.port.Port;
import dev.weir.control.source.Catalog;
import dev.weir.control.source.DirectorySource;
import dev.weir.control.source.SourceException;
import dev.weir.control.xds.XdsServer;
import io.grpc.ServerServiceDefinition;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.MultiThreadIoEventLoopGroup;
import io.netty.channel.nio.NioIoHandler;
import io.netty.handler.ssl.SslContext;
import io.netty.util.concurrent.DefaultThreadFactory;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.file.Path;
import java.time.InstantSource;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import javax.net.ssl.SSLException;
import org.jspecify.annotations.Nullable;

/** The control plane's rooms, wired. */
final class ControlPlane implements AutoCloseable {
  private static final long STOP_MILLIS = 1_000;

  /** A token is up to 16 KiB. */
  private static final MessageLimits LIMITS =
      new MessageLimits(
          32 << 10,
          Map.of(
              AggregatedDiscoveryServiceGrpc.SERVICE_NAME,
              XdsServer.MOST_REQUEST_BYTES,
              IstioCertificateServiceGrpc.SERVICE_NAME,
              CertificateAuthority.MOST_REQUEST_BYTES));

  private static final long FIRST_MILLIS = 5_000;

  private final Log log;
  private final MeshCompiler compiler;
  private final XdsServer xds;
  private final Deque<AutoCloseable> open;

  private final CountDownLatch first = new CountDownLatch(1);

  // The source's thread alone changes it.
  private volatile MeshModel model = MeshModel.EMPTY;
  private volatile @Nullable CertificateAuthority ca;
  private volatile Catalog catalog = Catalog.EMPTY;
  private volatile @Nullable Port tls;
  private volatile @Nullable Port plain;

  private ControlPlane(ControlOptions options, XdsServer xds, Deque<AutoCloseable> open, Log log) {
    this.log = log;
    CaOptions certificates = options.ca();
    this.compiler =
        new MeshCompiler(
            options.clusterDomain(),
            certificates == null ? Workload.DEFAULT_TRUST_DOMAIN : certificates.trustDomain());
    this.xds = xds;
    this.open = open;
  }

  /** What stopped a start, in one line. */
  static final class StartException extends RuntimeException {
    StartException(String message, Throwable cause) {
      super(message, cause);
    }
  }

  static ControlPlane start(ControlOptions options, InstantSource clock, Log log) {
    // What is opened is closed in the opposite order, also when a later step fails.
    Deque<AutoCloseable> open = new ArrayDeque<>();
    try {
      EventLoopGroup loops =
          new MultiThreadIoEventLoopGroup(
              1, new DefaultThreadFactory("net", true), NioIoHandler.newFactory());
      open.push(() ->
          loops
              .shutdownGracefully(0, STOP_MILLIS, TimeUnit.MILLISECONDS)
              .awaitUninterruptibly(STOP_MILLIS));
      Log ports = log.room("port");
      Connections callers = new Connections(Crowd.STANDARD, clock, ports);
      // Making TLS ready takes as long as all the rest, so it goes on beside it.
      CompletableFuture<@Nullable Secured> opening =
          CompletableFuture.supplyAsync(
              () -> secured(options.ca(), callers, clock, log),
              task -> Thread.ofPlatform().daemon().name("open-ca").start(task));
      open.push(() ->
          opening.thenAccept(made -> {
            if (made != null) {
              made.authority().close();
            }
          }));
      Refusals refusals = new Refusals("node refused", clock, log.room("xds"));
      XdsServer xds = XdsServer.of(loops, refusals, clock, log.room("xds"));
      List<Port> listening = new ArrayList<>();
      open.push(() -> listening.forEach(Port::close));
      open.push(xds);
      ControlPlane plane = new ControlPlane(options, xds, open, log);
      open.push(DirectorySource.open(options.sourceDir(), plane::changed, log.room("source")));
      // Who waits for the admin socket finds the mesh served; a source that takes longer than this
      // is no reason to be mute.
      plane.awaitFirst();
      Secured secured = opened(opening);
      CertificateAuthority ca = secured == null ? null : secured.authority();
      if (ca != null) {
        plane.serve(ca);
      }
      // First, so that nobody comes back to one that is about to end.
      open.push(() -> listening.forEach(Port::leave));
      // Last: an agent that hears of a pod asks for its certificate at once.
      Port tls = null;
      InetSocketAddress address = options.listen();
      if (secured != null && address != null) {
        tls =
            listen(
                "--listen",
                address,
                secured.tls(),
                List.of(
                    secured.authority().service(),
                    xds.service(secured.authority().admission().ofAgents(refusals))),
                callers,
                loops);
        listening.add(tls);
      }
      Port plain = null;
      InetSocketAddress anywhere = options.listenPlain();
      if (anywhere != null) {
        Connections anybody = new Connections(Crowd.STANDARD, clock, ports);
        plain =
            listen(
                "--listen-plain",
                anywhere,
                null,
                List.of(xds.service(anybody.admittingAll())),
                anybody,
                loops);
        listening.add(plain);
        log.warn(
            "xDS is served without TLS and to anybody, as --listen-plain says; keep nodes off it");
      }
      plane.tls = tls;
      plane.plain = plain;
      Path adminSocket = options.adminSocket();
      if (adminSocket != null) {
        StatusPage page =
            new StatusPage(
                () -> plane.catalog,
                xds::generation,
                xds::resources,
                xds::clients,
                plane::ports,
                refusals,
                ca == null ? () -> Json.object().build() : ca::status);
        open.push(AdminServer.open(adminSocket, loops, page));
      }
      log.info(
          "listening",
          "tls",
          text(options.listen(), plane.port()),
          "plain",
          text(options.listenPlain(), plane.plainPort()),
          "source",
          options.sourceDir(),
          "admin",
          adminSocket == null ? "none" : adminSocket);
      return plane;
    } catch (StartException e) {
      closeAll(open, log);
      throw e;
    } catch (SourceException | CaException e) {
      closeAll(open, log);
      throw new StartException(String.valueOf(e.getMessage()), e);
    } catch (IOException e) {
      closeAll(open, log);
      throw new StartException("admin socket " + options.adminSocket() + ": " + e.getMessage(), e);
    }
  }

  /** What a TLS port needs. */
  private record Secured(CertificateAuthority authority, SslContext tls) {}

  private static @Nullable Secured opened(CompletableFuture<@Nullable Secured> opening) {
    try {
      return opening.join();
    } catch (CompletionException e) {
      throw e.getCause() instanceof RuntimeException cause ? cause : e;
    }
  }

  private void serve(CertificateAuthority authority) {
    ca = authority;
    // Whichever comes last, a publication or this, hands over the newest model.
    authority.follow(model);
  }

  private static @Nullable Secured secured(
      @Nullable CaOptions options, Connections callers, InstantSource clock, Log log) {
    if (options == null) {
      return null;
    }
    CertificateAuthority authority =
        CertificateAuthority.open(options, callers, clock, log.room("ca"));
    try {
      return new Secured(authority, Port.tls(authority.serverIdentity()));
    } catch (SSLException e) {
      authority.close();
      throw new StartException("no TLS can be made of the CA's certificate: " + e.getMessage(), e);
    }
  }

  private static Port listen(
      String option,
      InetSocketAddress address,
      @Nullable SslContext tls,
      List<ServerServiceDefinition> services,
      Connections connections,
      EventLoopGroup loops) {
    try {
      return Port.open(address, tls, services, LIMITS, connections, loops);
    } catch (IOException e) {
      throw cannotListen(address, option, e);
    }
  }

  private static StartException cannotListen(
      InetSocketAddress address, String option, IOException e) {
    return new StartException(
        "cannot listen on "
            + text(address, address.getPort())
            + ": "
            + rootMessage(e)
            + "; stop what uses it, or give another "
            + option,
        e);
  }

  private static String text(@Nullable InetSocketAddress address, int port) {
    return address == null ? "none" : address.getAddress().getHostAddress() + ":" + port;
  }

  private static String rootMessage(Throwable e) {
    Throwable cause = e;
    for (Throwable next = cause.getCause(); next != null; next = next.getCause()) {
      cause = next;
    }
    return String.valueOf(cause.getMessage());
  }

  /** 0 where there is none. */
  int port() {
    Port known = tls;
    return known == null ? 0 : known.number();
  }

  /** 0 where there is none. */
  int plainPort() {
    Port known = plain;
    return known == null ? 0 : known.number();
  }

  private Json ports() {
    return Json.object().with("tls", json(tls)).with("plain", json(plain)).build();
  }

  private static Json json(@Nullable Port port) {
    Json.Builder all = Json.object();
    if (port != null) {
      all.with("port", port.number());
      port.connections().json().fieldsByName().forEach(all::with);
    }
    return all.build();
  }

  long generation() {
    return xds.generation();
  }

  private void awaitFirst() {
    try {
      if (!first.await(FIRST_MILLIS, TimeUnit.MILLISECONDS)) {
        log.warn("the source is still being read; nodes are served as soon as it is");
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private void changed(Catalog now) {
    try {
      take(now);
    } finally {
      first.countDown();
    }
  }

  private void take(Catalog now) {
    catalog = now;
    MeshModel next;
    try {
      next = compiler.compile(model, now.objects());
    } catch (RuntimeException e) {
      // The nodes keep a mesh that worked; the next change may be well again.
      log.error("these objects make no mesh; the last one stays in force", "reason", e);
      return;
    }
    if (model.generation() > 0 && next.sameAs(model)) {
      return;
    }
    model = next;
    // First the CA: who hears of a pod may ask for its certificate at once.
    CertificateAuthority authority = ca;
    if (authority != null) {
      authority.follow(next);
    }
    xds.publish(next);
    log.info(
        "published",
        "generation",
        next.generation(),
        "services",
        next.services().size(),
        "workloads",
        next.workloads().size(),
        "policies",
        next.authorizations().size());
  }

  @Override
  public void close() {
    closeAll(open, log);
  }

  private static void closeAll(Deque<AutoCloseable> open, Log log) {
    for (@Nullable AutoCloseable next = open.poll(); next != null; next = open.poll()) {
      try {
        next.close();
      } catch (Exception e) {
        log.warn("closing failed", "what", next.getClass().getSimpleName(), "reason", e);
      }
    }
  }
}
