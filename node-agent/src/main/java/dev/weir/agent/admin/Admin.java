package dev.weir.agent.admin;

import dev.weir.agent.log.Level;
import dev.weir.agent.log.Log;
import dev.weir.agent.telemetry.AccessLog;
import dev.weir.api.json.Json;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;
import java.util.function.Supplier;

/** The door: serves until closed. */
public final class Admin implements AutoCloseable {
  private static final int SECONDS_A_MINUTE = 60;

  /** That a port or the socket could not be had; the message is for the user. */
  public static final class AdminException extends RuntimeException {
    private static final long serialVersionUID = 1;

    AdminException(String message, Throwable cause) {
      super(message, cause);
    }
  }

  private final AdminOptions options;
  private final AdminSources sources;
  private final StatusReport status;
  private final ConfigDump dump;
  private final Log log;
  private final HttpServer server;
  private InetSocketAddress adminAddress;
  private InetSocketAddress metricsAddress;
  private InetSocketAddress readinessAddress;
  private int seconds;

  private Admin(AdminOptions options, AdminSources sources, Log log) throws IOException {
    this.options = options;
    this.sources = sources;
    this.status = new StatusReport(options, sources);
    this.dump = new ConfigDump(options, sources);
    this.log = log;
    this.adminAddress = options.admin();
    this.metricsAddress = options.metrics();
    this.readinessAddress = options.readiness();
    this.server = new HttpServer("admin", log, this::secondPassed);
  }

  /** Listens on all doors, or on none and says which could not be had. */
  public static Admin open(AdminOptions options, AdminSources sources, Log log) {
    Admin admin;
    try {
      admin = new Admin(options, sources, log);
    } catch (IOException e) {
      throw new AdminException("admin: no selector: " + e.getMessage(), e);
    }
    try {
      admin.adminAddress = admin.listen("admin", options.admin(), admin::admin);
      admin.metricsAddress = admin.listen("metrics", options.metrics(), admin::metrics);
      admin.readinessAddress = admin.listen("readiness", options.readiness(), admin::readiness);
      Path socket = options.socket();
      if (socket != null) {
        admin.listen(socket);
      }
    } catch (AdminException e) {
      admin.server.close();
      throw e;
    }
    sources.telemetry().add(new NodeMetrics(options, sources, admin.status)::write);
    admin.server.start();
    return admin;
  }

  /** Where admin answers, with the port that was bound. */
  public InetSocketAddress address() {
    return adminAddress;
  }

  public InetSocketAddress metricsAddress() {
    return metricsAddress;
  }

  public InetSocketAddress readinessAddress() {
    return readinessAddress;
  }

  /**
   * Another agent answers on the ports from now on; the Unix socket goes on telling of this one.
   */
  public void leavePorts() {
    server.leavePorts();
  }

  @Override
  public void close() {
    server.close();
  }

  private InetSocketAddress listen(
      String what, InetSocketAddress address, Function<HttpRequest, HttpResponse> site) {
    try {
      SocketAddress bound = server.listen(address, site);
      return (InetSocketAddress) bound;
    } catch (IOException e) {
      throw new AdminException(
          "%s port %d: %s; another agent or program on this node has it (ss -ltnp 'sport = :%d' shows which)"
              .formatted(what, address.getPort(), e.getMessage(), address.getPort()),
          e);
    }
  }

  private void listen(Path socket) {
    try {
      server.listen(socket, this::admin);
    } catch (IOException e) {
      throw new AdminException("admin socket %s: %s".formatted(socket, e.getMessage()), e);
    }
  }

  private void secondPassed() {
    seconds++;
    if (seconds % SECONDS_A_MINUTE == 0) {
      sources.telemetry().minutePassed();
    }
  }

  private HttpResponse admin(HttpRequest request) {
    return switch (request.path()) {
      case "/" -> onlyGet(request, this::index);
      case "/config_dump" -> onlyGet(request, () -> HttpResponse.json(dump.pieces()));
      case "/status" -> onlyGet(request, () -> HttpResponse.json(status.json()));
      case "/certs" ->
          onlyGet(
              request, () -> HttpResponse.json(CertificatePage.json(sources.certificates().get())));
      case "/top" -> onlyGet(request, () -> HttpResponse.json(TopPage.json(sources.fairness())));
      case "/edges" -> onlyGet(request, () -> HttpResponse.json(edges()));
      case "/logging" -> logging(request);
      case "/quitquitquit" -> quit(request);
      case "/healthz/ready" -> readiness(request);
      case "/metrics", "/stats/prometheus" -> metrics(request);
      default -> HttpResponse.text(404, "no such page; / lists them");
    };
  }

  private HttpResponse metrics(HttpRequest request) {
    return switch (request.path()) {
      case "/metrics", "/stats/prometheus" ->
          onlyGet(
              request,
              () -> {
                sources.refreshFlows().run();
                return HttpResponse.metrics(sources.telemetry().metrics());
              });
      default -> HttpResponse.text(404, "no such page; /metrics is here");
    };
  }

  private HttpResponse readiness(HttpRequest request) {
    if (!request.path().equals("/healthz/ready")) {
      return HttpResponse.text(404, "no such page; /healthz/ready is here");
    }
    return onlyGet(
        request,
        () -> {
          List<String> reasons = sources.notReady().get();
          return reasons.isEmpty()
              ? HttpResponse.text(200, "ready")
              : HttpResponse.text(503, "not ready: " + String.join("; ", reasons));
        });
  }

  private HttpResponse index() {
    return HttpResponse.text(
        200,
        """
        weir agent %s on %s
        GET  /config_dump      what this node knows of the mesh, in ztunnel's shape
        GET  /status           pods, refusals, control plane
        GET  /certs            identities, their certificates, what is wrong with them
        GET  /top              what each pod has had of this agent: CPU, bytes, waits
        GET  /edges            who called whom in the last hour
        GET  /metrics          Prometheus (also on 15020)
        GET  /healthz/ready    readiness (also on 15021)
        POST /logging?level=L  error, warn, info or debug; access=off|failures|all, format=text|json
        POST /quitquitquit     end in good order
        """
            .formatted(options.version(), options.node()));
  }

  private Json edges() {
    sources.refreshFlows().run();
    List<Json> edges = new ArrayList<>();
    for (var edge : sources.telemetry().edges()) {
      edges.add(
          Json.object()
              .with(
                  "source",
                  Json.object()
                      .with("namespace", edge.sourceNamespace())
                      .with("workload", edge.sourceWorkload())
                      .with("pod", edge.sourcePod())
                      .build())
              .with(
                  "destination",
                  Json.object()
                      .with("namespace", edge.namespace())
                      .with("service", edge.service())
                      .with("workload", edge.workload())
                      .with("pod", edge.pod())
                      .with("address", edge.address())
                      .build())
              .with("path", edge.path().label())
              .with("opened", edge.opened())
              .with("open", edge.open())
              .with("failed", edge.failed())
              .with("bytesSent", edge.bytesSent())
              .with("bytesReceived", edge.bytesReceived())
              .with("rttMicros", edge.rttMicros())
              .build());
    }
    return Json.of(edges);
  }

  private HttpResponse logging(HttpRequest request) {
    AccessLog accessLog = sources.telemetry().accessLog();
    Map<String, String> query = request.query();
    if (request.method().equals("POST")) {
      // All of it is read before any of it holds.
      Optional<Level> level =
          Level.parse(query.getOrDefault("level", sources.logs().level().name()));
      Optional<AccessLog.Mode> mode =
          AccessLog.Mode.parse(query.getOrDefault("access", accessLog.mode().name()));
      Optional<AccessLog.Format> format =
          AccessLog.Format.parse(query.getOrDefault("format", accessLog.format().name()));
      List<String> unknown = new ArrayList<>(query.keySet());
      unknown.removeAll(List.of("level", "access", "format"));
      if (level.isEmpty() || mode.isEmpty() || format.isEmpty() || !unknown.isEmpty()) {
        return HttpResponse.text(
            400,
            "logging: %s (expected: level=error|warn|info|debug, access=off|failures|all, format=text|json)"
                .formatted(query));
      }
      sources.logs().level(level.get());
      accessLog.mode(mode.get());
      accessLog.format(format.get());
    } else if (!request.method().equals("GET")) {
      return HttpResponse.text(405, "GET or POST");
    }
    return HttpResponse.json(
        Json.object()
            .with("level", sources.logs().level().name().toLowerCase(Locale.ROOT))
            .with("access", accessLog.mode().name().toLowerCase(Locale.ROOT))
            .with("format", accessLog.format().name().toLowerCase(Locale.ROOT))
            .build());
  }

  private HttpResponse quit(HttpRequest request) {
    if (!request.method().equals("POST")) {
      return HttpResponse.text(405, "POST ends the agent");
    }
    log.info("asked to end by the admin door");
    sources.quit().run();
    return HttpResponse.text(202, "ending");
  }

  private static HttpResponse onlyGet(HttpRequest request, Supplier<HttpResponse> page) {
    return request.method().equals("GET") || request.method().equals("HEAD")
        ? page.get()
        : HttpResponse.text(405, "GET only");
  }
}
