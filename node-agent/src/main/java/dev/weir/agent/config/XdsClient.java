package dev.weir.agent.config;

import com.google.protobuf.ByteString;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.Struct;
import com.google.protobuf.Value;
import dev.weir.agent.log.Log;
import dev.weir.agent.metrics.Exposition;
import dev.weir.agent.metrics.MetricSource;
import dev.weir.api.model.AddressException;
import dev.weir.api.model.Addresses;
import dev.weir.api.model.Authorizations;
import dev.weir.api.model.Workload;
import dev.weir.api.proto.discovery.AggregatedDiscoveryServiceGrpc;
import dev.weir.api.proto.discovery.DeltaDiscoveryRequest;
import dev.weir.api.proto.discovery.DeltaDiscoveryResponse;
import dev.weir.api.proto.discovery.Node;
import dev.weir.api.proto.discovery.Resource;
import dev.weir.api.proto.discovery.Status;
import dev.weir.api.proto.security.Authorization;
import dev.weir.api.proto.workload.Address;
import io.grpc.ManagedChannel;
import io.grpc.netty.NettyChannelBuilder;
import io.grpc.stub.ClientCallStreamObserver;
import io.grpc.stub.ClientResponseObserver;
import io.netty.buffer.ByteBufAllocator;
import io.netty.channel.Channel;
import io.netty.channel.ChannelOption;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.MultiThreadIoEventLoopGroup;
import io.netty.channel.epoll.Epoll;
import io.netty.channel.epoll.EpollIoHandler;
import io.netty.channel.epoll.EpollSocketChannel;
import io.netty.channel.nio.NioIoHandler;
import io.netty.channel.socket.nio.NioSocketChannel;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.time.Instant;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * Follows the control plane over one delta ADS stream (Envoy's incremental xDS) and is the agent's
 * {@link Mesh}.
 *
 * <p>Everything happens on the config thread: gRPC's callbacks, compiling, listeners, reconnecting.
 * A second thread drives the socket. Neither is an event loop of the data path, so a response of
 * 100,000 resources delays nobody's bytes. A response is taken resource by resource: bad ones are
 * refused by name with the reason (NACK), keep what they were, and are not noted as known, so that
 * the control plane sends them again; the good ones beside them are taken. After a reconnect the
 * versions of what is held are named, and only what changed meanwhile comes over the wire. Nothing
 * is ever forgotten because a connection ended.
 */
public final class XdsClient implements Mesh, MetricSource, AutoCloseable {
  /** gRPC's 4 MiB broke ztunnel at 40,000 workloads (istio/ztunnel#1811). */
  private static final int MAX_MESSAGE_BYTES = 200 << 20;

  private static final int KEEPALIVE_TIMEOUT_SECONDS = 10;

  /** Refusals named in one NACK; the rest is a number. */
  private static final int MAX_NAMED_ERRORS = 8;

  private final XdsOptions options;
  private final Log log;
  private final InstantSource clock;
  private final Backoff backoff = new Backoff(new SplittableRandom());
  private final ScheduledThreadPoolExecutor thread;
  private final EventLoopGroup loop;
  private final Class<? extends Channel> channelType;
  private final ManagedChannel channel;
  private final List<Consumer<MeshView>> listeners = new CopyOnWriteArrayList<>();
  private volatile MeshView current;
  private volatile XdsState state;

  // From here on touched by the config thread only.
  private final Followed authorizations = new Followed(Authorizations.TYPE_URL);
  private final Followed addresses = new Followed(Addresses.TYPE_URL);
  private final Sharing sharing = new Sharing();
  private boolean saidUnreachable;
  private @Nullable Stream stream;
  private @Nullable Instant lastUpdate;
  private final AtomicLong terminations = new AtomicLong();
  private volatile boolean closed;

  /** What is held of one type. */
  private static final class Followed {
    final String type;
    final Map<String, String> versions = new HashMap<>();
    long responses;
    long rejected;
    String lastRejection = "";

    /** Whether all of it has been heard once. */
    boolean whole;

    Followed(String type) {
      this.type = type;
    }

    XdsState.Type state() {
      return new XdsState.Type(type, versions.size(), responses, rejected, lastRejection);
    }
  }

  private XdsClient(XdsOptions options, Log log, InstantSource clock) {
    this.options = options;
    this.current = MeshView.empty(options.network());
    this.log = log;
    this.clock = clock;
    this.state = new XdsState(false, options.target(), null, "not connected yet", List.of());
    this.thread =
        new ScheduledThreadPoolExecutor(1, Thread.ofPlatform().daemon().name("config").factory());
    thread.setExecuteExistingDelayedTasksAfterShutdownPolicy(false);
    boolean epoll = Epoll.isAvailable();
    this.loop =
        new MultiThreadIoEventLoopGroup(
            1,
            Thread.ofPlatform().daemon().name("xds").factory(),
            epoll ? EpollIoHandler.newFactory() : NioIoHandler.newFactory());
    this.channelType = epoll ? EpollSocketChannel.class : NioSocketChannel.class;
    SocketAddress literal = literal(options.target());
    NettyChannelBuilder builder =
        literal != null
            ? NettyChannelBuilder.forAddress(literal)
            : NettyChannelBuilder.forTarget("dns:///" + options.target());
    this.channel =
        builder
            .eventLoopGroup(loop)
            .channelType(channelType)
            .withOption(ChannelOption.ALLOCATOR, ByteBufAllocator.DEFAULT)
            .withOption(ChannelOption.CONNECT_TIMEOUT_MILLIS, 5_000)
            // gRPC's own default is a pool that grows; only its timer thread is not ours to choose.
            .executor(thread)
            .offloadExecutor(thread)
            .usePlaintext()
            .disableRetry()
            .disableServiceConfigLookUp()
            // A proxy of the environment is for the outside, never for the control plane.
            .proxyDetector(_ -> null)
            .maxInboundMessageSize(MAX_MESSAGE_BYTES)
            .keepAliveTime(options.keepAlive().toMillis(), TimeUnit.MILLISECONDS)
            .keepAliveTimeout(KEEPALIVE_TIMEOUT_SECONDS, TimeUnit.SECONDS)
            .build();
  }

  /** Begins to connect, and never stops trying. */
  public static XdsClient open(XdsOptions options, Log log) {
    return open(options, log, InstantSource.system());
  }

  static XdsClient open(XdsOptions options, Log log, InstantSource clock) {
    XdsClient client = new XdsClient(options, log, clock);
    client.thread.execute(client::connect);
    return client;
  }

  @Override
  public MeshView current() {
    return current;
  }

  @Override
  public void onChange(Consumer<MeshView> listener) {
    thread.execute(() -> {
      listeners.add(listener);
      tell(listener, current);
    });
  }

  /** Whose thread moves the control plane's bytes, also those of its CA. */
  public EventLoopGroup loop() {
    return loop;
  }

  /** What {@link #loop} drives. */
  public Class<? extends Channel> channelType() {
    return channelType;
  }

  /**
   * Takes a view as if a control plane had told it, until one does: for a rehearsal, which has
   * none.
   */
  public void assume(MeshView view) {
    thread.execute(() -> {
      current = view;
      for (Consumer<MeshView> listener : listeners) {
        tell(listener, view);
      }
    });
  }

  /** Any thread. */
  public XdsState state() {
    return state;
  }

  @Override
  public void write(Exposition out) {
    XdsState now = state;
    out.single(
        "weir_xds_connected",
        Exposition.Kind.GAUGE,
        "Whether the control plane is connected.",
        now.connected() ? 1 : 0);
    out.single(
        "weir_xds_connection_terminations_total",
        Exposition.Kind.COUNTER,
        "Connections to the control plane that ended.",
        terminations.get());
    out.family("weir_xds_resources", Exposition.Kind.GAUGE, "Resources in force, by type.");
    for (XdsState.Type type : now.types()) {
      out.sample("weir_xds_resources", Exposition.labels("url", type.url()), type.resources());
    }
    out.family(
        "weir_xds_responses_total",
        Exposition.Kind.COUNTER,
        "Responses of the control plane, by type.");
    for (XdsState.Type type : now.types()) {
      out.sample(
          "weir_xds_responses_total", Exposition.labels("url", type.url()), type.responses());
    }
    out.family("weir_xds_rejected_total", Exposition.Kind.COUNTER, "Resources refused, by type.");
    for (XdsState.Type type : now.types()) {
      out.sample("weir_xds_rejected_total", Exposition.labels("url", type.url()), type.rejected());
    }
    MeshView view = current;
    out.single(
        "weir_mesh_workloads",
        Exposition.Kind.GAUGE,
        "Workloads that the node knows.",
        view.workloadCount());
    out.single(
        "weir_mesh_services",
        Exposition.Kind.GAUGE,
        "Services that the node knows.",
        view.serviceCount());
    out.single(
        "weir_mesh_policies",
        Exposition.Kind.GAUGE,
        "Policies that the node knows.",
        view.policies().size());
  }

  @Override
  public void close() {
    closed = true;
    channel.shutdownNow();
    thread.shutdownNow();
    var _ = loop.shutdownGracefully(0, 1, TimeUnit.SECONDS);
  }

  private void connect() {
    if (closed) {
      return;
    }
    // gRPC waits up to two minutes between dials of its own; our pace is the one that counts.
    channel.resetConnectBackoff();
    Stream next = new Stream();
    stream = next;
    AggregatedDiscoveryServiceGrpc.newStub(channel).deltaAggregatedResources(next);
    next.begin();
  }

  private void ended(Stream which, String reason) {
    if (stream != which || closed) {
      return;
    }
    stream = null;
    terminations.incrementAndGet();
    long wait = backoff.nextMillis(current.synced());
    // The first failure is news; that it is still so, every few milliseconds, is not.
    if (which.answered || state.lastError().isEmpty() || lastErrorChanged(reason)) {
      log.warn(
          "control plane is not reachable; what is known stays in force",
          "target",
          options.target(),
          "reason",
          reason,
          "services",
          current.serviceCount(),
          "workloads",
          current.workloadCount());
    }
    publishState(false, reason);
    var _ = thread.schedule(this::connect, wait, TimeUnit.MILLISECONDS);
  }

  private boolean lastErrorChanged(String reason) {
    return !state.lastError().equals(reason);
  }

  private void take(Stream from, DeltaDiscoveryResponse response) {
    if (stream != from) {
      return;
    }
    if (!from.answered) {
      from.answered = true;
      backoff.reset();
      log.info("following the control plane", "target", options.target());
    }
    Followed followed = followed(response.getTypeUrl());
    if (followed == null) {
      from.acknowledge(
          response, "type_url: " + response.getTypeUrl() + " (expected: what was subscribed)");
      return;
    }
    MeshView.Change change = current.change();
    List<String> errors = new ArrayList<>();
    for (Resource resource : response.getResourcesList()) {
      try {
        put(followed, change, resource);
        followed.versions.put(resource.getName(), resource.getVersion());
      } catch (AddressException | InvalidProtocolBufferException | IllegalArgumentException e) {
        errors.add(resource.getName() + ": " + e.getMessage());
        if (followed == authorizations) {
          lost(change, resource);
        }
      }
    }
    for (String name : response.getRemovedResourcesList()) {
      if (followed == authorizations) {
        change.policies().remove(name);
      } else {
        change.remove(name);
      }
      followed.versions.remove(name);
    }
    followed.responses++;
    lastUpdate = clock.instant();
    String refusal = "";
    if (!errors.isEmpty()) {
      followed.rejected += errors.size();
      refusal = refusal(errors);
      followed.lastRejection = refusal;
      log.warn("control plane sent what cannot be used", "refused", errors.size(), "why", refusal);
    }
    followed.whole |= !response.getSystemVersionInfo().equals(Addresses.PARTIAL);
    MeshView next = change.done(addresses.whole && authorizations.whole);
    current = next;
    publishState(true, "");
    // First the listeners: an ACK says that the node holds it.
    for (Consumer<MeshView> listener : listeners) {
      tell(listener, next);
    }
    from.acknowledge(response, refusal);
  }

  private @Nullable Followed followed(String type) {
    return switch (type) {
      case Addresses.TYPE_URL -> addresses;
      case Authorizations.TYPE_URL -> authorizations;
      default -> null;
    };
  }

  private void put(Followed followed, MeshView.Change change, Resource resource)
      throws InvalidProtocolBufferException {
    if (!resource.getResource().getTypeUrl().equals(followed.type)) {
      throw new AddressException("holds " + resource.getResource().getTypeUrl());
    }
    // Not Any.unpack: it asks the class by reflection for its name.
    ByteString content = resource.getResource().getValue();
    if (followed == authorizations) {
      Authorization authorization = Authorization.parseFrom(content);
      named(resource, Authorizations.name(authorization));
      change.policies().put(Authorizations.authorization(authorization));
      return;
    }
    Address address = Address.parseFrom(content);
    named(resource, Addresses.name(address));
    if (address.hasWorkload()) {
      Workload workload = sharing.shared(Addresses.workload(address));
      noteIfUnreachable(workload);
      change.put(workload);
    } else {
      change.put(Addresses.service(address));
    }
  }

  /** The first is news. */
  private void noteIfUnreachable(Workload workload) {
    // Gateways themselves need none.
    if (!saidUnreachable
        && workload.networkGateway() == null
        && !workload.services().isEmpty()
        && current.isElsewhere(workload.network())) {
      saidUnreachable = true;
      log.warn(
          "a pod of another network is not called: its addresses mean nothing here, and the"
              + " control plane names no gateway to it",
          "network",
          workload.network(),
          "own",
          options.network(),
          "first",
          workload.uid());
    }
  }

  private static void named(Resource resource, String own) {
    if (!own.equals(resource.getName())) {
      throw new AddressException("names itself " + own);
    }
  }

  /** A policy that cannot be read might deny, so what it may concern is refused. */
  private static void lost(MeshView.Change change, Resource resource) {
    String key = resource.getName();
    int slash = key.indexOf('/');
    String namespace = slash < 0 ? "" : key.substring(0, slash);
    dev.weir.api.model.Authorization.Scope scope = dev.weir.api.model.Authorization.Scope.NAMESPACE;
    try {
      scope =
          switch (Authorization.parseFrom(resource.getResource().getValue()).getScope()) {
            case GLOBAL -> dev.weir.api.model.Authorization.Scope.MESH;
            case WORKLOAD_SELECTOR -> dev.weir.api.model.Authorization.Scope.NAMED;
            case NAMESPACE, UNRECOGNIZED -> scope;
          };
    } catch (InvalidProtocolBufferException e) {
      // Not even its scope can be told: its namespace is.
    }
    change.policies().unreadable(namespace, key.substring(slash + 1), scope);
  }

  private void tell(Consumer<MeshView> listener, MeshView view) {
    try {
      listener.accept(view);
    } catch (RuntimeException e) {
      log.error(
          "a room could not follow the mesh", "room", listener.getClass().getName(), "reason", e);
    }
  }

  private void publishState(boolean connected, String error) {
    state =
        new XdsState(
            connected,
            options.target(),
            lastUpdate,
            error,
            List.of(addresses.state(), authorizations.state()));
  }

  /** One line: gRPC's code and what lies at the bottom of it. */
  private static String reason(Throwable cause) {
    io.grpc.Status status = io.grpc.Status.fromThrowable(cause);
    Throwable root = cause;
    while (root.getCause() != null) {
      root = root.getCause();
    }
    String what = root.equals(cause) ? status.getDescription() : root.getMessage();
    return status.getCode() + (what == null ? "" : ": " + what);
  }

  private static String refusal(List<String> errors) {
    int named = Math.min(errors.size(), MAX_NAMED_ERRORS);
    String text = String.join("; ", errors.subList(0, named));
    return errors.size() > named ? text + "; and " + (errors.size() - named) + " more" : text;
  }

  private Node node() {
    return Node.newBuilder()
        .setId(options.nodeId())
        .setMetadata(
            Struct.newBuilder()
                .putFields("NAME", text(options.podName()))
                .putFields("NAMESPACE", text(options.namespace()))
                .putFields("INSTANCE_IPS", text(options.address()))
                .putFields("NODE_NAME", text(options.node()))
                .putFields("WEIR_VERSION", text(options.version())))
        .build();
  }

  private static Value text(String value) {
    return Value.newBuilder().setStringValue(value).build();
  }

  /** Null where the host is a name, which gRPC then resolves at each dial. */
  private static @Nullable SocketAddress literal(String target) {
    int colon = target.lastIndexOf(':');
    if (colon < 0) {
      throw new IllegalArgumentException("xDS target: '" + target + "' (expected: host:port)");
    }
    String host = target.substring(0, colon);
    if (host.startsWith("[") && host.endsWith("]")) {
      host = host.substring(1, host.length() - 1);
    }
    int port;
    try {
      port = Integer.parseInt(target.substring(colon + 1));
    } catch (NumberFormatException e) {
      throw new IllegalArgumentException(
          "xDS target: '" + target + "' (expected: a port number after the colon)", e);
    }
    if (host.isEmpty() || port < 1 || port > 65535) {
      throw new IllegalArgumentException(
          "xDS target: '" + target + "' (expected: host:port, port 1 to 65535)");
    }
    try {
      return new InetSocketAddress(InetAddress.ofLiteral(host), port);
    } catch (IllegalArgumentException e) {
      return null;
    }
  }

  /** One life of the ADS stream. */
  private final class Stream
      implements ClientResponseObserver<DeltaDiscoveryRequest, DeltaDiscoveryResponse> {
    private @Nullable ClientCallStreamObserver<DeltaDiscoveryRequest> requests;
    private boolean answered;

    @Override
    public void beforeStart(ClientCallStreamObserver<DeltaDiscoveryRequest> requestStream) {
      requests = requestStream;
    }

    /**
     * Subscribes to everything: in delta xDS a first request that names nothing is the wildcard.
     * Policies first: a workload that names one which has not come refuses its callers.
     */
    void begin() {
      send(first(authorizations).setNode(node()).build());
      send(first(addresses).build());
    }

    private static DeltaDiscoveryRequest.Builder first(Followed followed) {
      return DeltaDiscoveryRequest.newBuilder()
          .setTypeUrl(followed.type)
          .putAllInitialResourceVersions(followed.versions);
    }

    void acknowledge(DeltaDiscoveryResponse response, String refusal) {
      DeltaDiscoveryRequest.Builder request =
          DeltaDiscoveryRequest.newBuilder()
              .setTypeUrl(response.getTypeUrl())
              .setResponseNonce(response.getNonce());
      if (!refusal.isEmpty()) {
        // google.rpc.Code.INVALID_ARGUMENT
        request.setErrorDetail(Status.newBuilder().setCode(3).setMessage(refusal));
      }
      send(request.build());
    }

    @Override
    public void onNext(DeltaDiscoveryResponse response) {
      take(this, response);
    }

    @Override
    public void onError(Throwable cause) {
      ended(this, reason(cause));
    }

    @Override
    public void onCompleted() {
      ended(this, "the control plane ended the stream");
    }

    private void send(DeltaDiscoveryRequest request) {
      ClientCallStreamObserver<DeltaDiscoveryRequest> out = requests;
      if (out != null && stream == this) {
        out.onNext(request);
      }
    }
  }
}
