package dev.weir.control;

import dev.weir.api.json.Json;
import dev.weir.api.model.MeshModel;
import dev.weir.api.model.Workload;
import dev.weir.control.admin.AdminServer;
import dev.weir.control.admin.StatusPage;
import dev.weir.control.ca.CaException;
import dev.weir.control.ca.CaOptions;
import dev.weir.control.ca.CertificateAuthority;
import dev.weir.control.log.Log;
import dev.weir.control.mesh.MeshCompiler;
import dev.weir.control.source.Catalog;
import dev.weir.control.source.DirectorySource;
import dev.weir.control.source.SourceException;
import dev.weir.control.xds.XdsServer;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.MultiThreadIoEventLoopGroup;
import io.netty.channel.nio.NioIoHandler;
import io.netty.util.concurrent.DefaultThreadFactory;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.file.Path;
import java.time.InstantSource;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/** The control plane's rooms, wired. */
final class ControlPlane implements AutoCloseable {
  private static final long STOP_MILLIS = 1_000;
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
      // Making TLS ready takes as long as all the rest, so it goes on beside it.
      CompletableFuture<@Nullable CertificateAuthority> opening =
          CompletableFuture.supplyAsync(
              () -> authority(options.ca(), loops, clock, log),
              task -> Thread.ofPlatform().daemon().name("open-ca").start(task));
      open.push(() ->
          opening.thenAccept(made -> {
            if (made != null) {
              made.close();
            }
          }));
      XdsServer xds = XdsServer.of(options.listen(), loops, clock, log.room("xds"));
      open.push(xds);
      ControlPlane plane = new ControlPlane(options, xds, open, log);
      open.push(DirectorySource.open(options.sourceDir(), plane::changed, log.room("source")));
      // Who waits for the admin socket finds the mesh served; a source that takes longer than this
      // is no reason to be mute.
      plane.awaitFirst();
      CertificateAuthority ca = opened(opening);
      if (ca != null) {
        plane.serve(ca);
      }
      // Last: an agent that hears of a pod asks for its certificate at once.
      listen(xds, options);
      Path adminSocket = options.adminSocket();
      if (adminSocket != null) {
        StatusPage page =
            new StatusPage(
                () -> plane.catalog,
                xds::generation,
                xds::resources,
                xds::clients,
                ca == null ? () -> Json.object().build() : ca::status);
        open.push(AdminServer.open(adminSocket, loops, page));
      }
      log.info(
          "listening",
          "xds",
          options.listen().getAddress().getHostAddress() + ":" + xds.port(),
          "ca",
          ca == null ? "none" : ca.port(),
          "source",
          options.sourceDir(),
          "admin",
          adminSocket == null ? "none" : adminSocket);
      return plane;
    } catch (SourceException | CaException e) {
      closeAll(open, log);
      throw new StartException(String.valueOf(e.getMessage()), e);
    } catch (IOException e) {
      closeAll(open, log);
      throw new StartException("admin socket " + options.adminSocket() + ": " + e.getMessage(), e);
    }
  }

  private static @Nullable CertificateAuthority opened(
      CompletableFuture<@Nullable CertificateAuthority> opening) {
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

  private static @Nullable CertificateAuthority authority(
      @Nullable CaOptions options, EventLoopGroup loops, InstantSource clock, Log log) {
    if (options == null) {
      return null;
    }
    try {
      return CertificateAuthority.open(options, loops, clock, log.room("ca"));
    } catch (IOException e) {
      throw cannotListen(options.listen(), "--listen-tls", e);
    }
  }

  private static void listen(XdsServer xds, ControlOptions options) {
    try {
      xds.listen();
    } catch (IOException e) {
      throw cannotListen(options.listen(), "--listen", e);
    }
  }

  private static StartException cannotListen(
      InetSocketAddress address, String option, IOException e) {
    return new StartException(
        "cannot listen on "
            + address.getAddress().getHostAddress()
            + ":"
            + address.getPort()
            + ": "
            + rootMessage(e)
            + "; stop what uses it, or give another "
            + option,
        e);
  }

  private static String rootMessage(Throwable e) {
    Throwable cause = e;
    for (Throwable next = cause.getCause(); next != null; next = next.getCause()) {
      cause = next;
    }
    return String.valueOf(cause.getMessage());
  }

  int port() {
    return xds.port();
  }

  /** 0 where there is no CA. */
  int caPort() {
    CertificateAuthority known = ca;
    return known == null ? 0 : known.port();
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
