package dev.weir.agent.config;

import com.google.protobuf.ByteString;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.Struct;
import com.google.protobuf.Value;
import dev.weir.agent.identity.ControlLine;
import dev.weir.agent.identity.LineFailure;
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
import io.grpc.stub.ClientCallStreamObserver;
import io.grpc.stub.ClientResponseObserver;
import java.time.Instant;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * Follows the control plane over one delta ADS stream (Envoy's incremental xDS) and is the agent's
 * {@link Mesh}.
 *
 * <p>Everything happens on the config thread: gRPC's callbacks, compiling, listeners, reconnecting.
 * The line's own thread drives the socket. Neither is an event loop of the data path, so a response
 * of 100,000 resources delays nobody's bytes. A response is taken resource by resource: bad ones
 * are refused by name with the reason (NACK), keep what they were, and are not noted as known, so
 * that the control plane sends them again; the good ones beside them are taken. After a reconnect
 * the versions of what is held are named, and only what changed meanwhile comes over the wire.
 * Nothing is ever forgotten because a connection ended.
 */
public final class XdsClient implements Mesh, MetricSource, AutoCloseable {
  /** gRPC's 4 MiB broke ztunnel at 40,000 workloads (istio/ztunnel#1811). */
  private static final int MAX_MESSAGE_BYTES = 200 << 20;

  private static final String CALLED = "the control plane";
  private static final long CLOSE_MILLIS = 1_000;

  /** Refusals named in one NACK; the rest is a number. */
  private static final int MAX_NAMED_ERRORS = 8;

  private final XdsOptions options;
  private final Log log;
  private final InstantSource clock;
  private final Backoff backoff = new Backoff(new SplittableRandom());
  private final ScheduledThreadPoolExecutor thread;
  private final ControlLine line;
  private final String target;
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
  private final Map<LineFailure.Cause, AtomicLong> failures =
      new EnumMap<>(LineFailure.Cause.class);
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

  private XdsClient(XdsOptions options, ControlLine line, Log log, InstantSource clock) {
    this.options = options;
    this.line = line;
    this.target = line.options().target();
    for (LineFailure.Cause cause : LineFailure.Cause.values()) {
      failures.put(cause, new AtomicLong());
    }
    this.current = MeshView.empty(options.network());
    this.log = log;
    this.clock = clock;
    this.state = new XdsState(false, target, line.isSecure(), null, null, List.of());
    this.thread =
        new ScheduledThreadPoolExecutor(1, Thread.ofPlatform().daemon().name("config").factory());
    thread.setExecuteExistingDelayedTasksAfterShutdownPolicy(false);
  }

  /**
   * Begins to connect, and never stops trying.
   *
   * @param line to the control plane; whoever opened it closes it, after this
   */
  public static XdsClient open(XdsOptions options, ControlLine line, Log log) {
    XdsClient client = new XdsClient(options, line, log, InstantSource.system());
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
    out.family(
        "weir_xds_failures_total",
        Exposition.Kind.COUNTER,
        "Connections to the control plane that ended or did not come about, by cause.");
    failures.forEach((cause, count) ->
        out.sample(
            "weir_xds_failures_total", Exposition.labels("cause", cause.label()), count.get()));
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
    CompletableFuture<Boolean> over = new CompletableFuture<>();
    thread.execute(() -> {
      Stream known = stream;
      if (known == null) {
        over.complete(true);
      } else {
        known.cancel(over);
      }
    });
    try {
      boolean _ = over.get(CLOSE_MILLIS, TimeUnit.MILLISECONDS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    } catch (ExecutionException | TimeoutException e) {
      log.debug("the stream did not end in good order", "reason", e);
    }
    thread.shutdownNow();
  }

  private void connect() {
    if (closed) {
      return;
    }
    line.dialNow();
    Stream next = new Stream();
    stream = next;
    AggregatedDiscoveryServiceGrpc.newStub(line.calls())
        .withExecutor(thread)
        .withMaxInboundMessageSize(MAX_MESSAGE_BYTES)
        .deltaAggregatedResources(next);
    next.begin();
  }

  private void ended(Stream which, LineFailure failure) {
    if (stream != which || closed) {
      return;
    }
    stream = null;
    terminations.incrementAndGet();
    AtomicLong counter = failures.get(failure.cause());
    if (counter != null) {
      counter.incrementAndGet();
    }
    long wait = backoff.nextMillis(current.synced());
    // The first failure is news; that it is still so, every few milliseconds, is not.
    if (which.answered || !failure.equals(state.lastFailure())) {
      log.warn(
          "no control plane; what is known stays in force",
          "target",
          target,
          "cause",
          failure.cause().label(),
          "reason",
          failure.reason(),
          "services",
          current.serviceCount(),
          "workloads",
          current.workloadCount());
    }
    publishState(false, failure);
    var _ = thread.schedule(this::connect, wait, TimeUnit.MILLISECONDS);
  }

  private void take(Stream from, DeltaDiscoveryResponse response) {
    if (stream != from) {
      return;
    }
    if (!from.answered) {
      from.answered = true;
      backoff.reset();
      log.info("following the control plane", "target", target, "tls", line.isSecure());
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
    publishState(true, null);
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

  private void publishState(boolean connected, @Nullable LineFailure failure) {
    state =
        new XdsState(
            connected,
            target,
            line.isSecure(),
            lastUpdate,
            failure,
            List.of(addresses.state(), authorizations.state()));
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

  /** One life of the ADS stream. */
  private final class Stream
      implements ClientResponseObserver<DeltaDiscoveryRequest, DeltaDiscoveryResponse> {
    private @Nullable ClientCallStreamObserver<DeltaDiscoveryRequest> requests;
    private boolean answered;
    private @Nullable CompletableFuture<Boolean> cancelled;

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
      ended(this, LineFailure.of(cause, CALLED));
      over();
    }

    @Override
    public void onCompleted() {
      ended(this, new LineFailure(LineFailure.Cause.FAILED, CALLED + " ended the stream"));
      over();
    }

    /** gRPC tells of the end on the config thread, which must live until then. */
    void cancel(CompletableFuture<Boolean> over) {
      ClientCallStreamObserver<DeltaDiscoveryRequest> out = requests;
      cancelled = over;
      if (out != null) {
        out.cancel("the agent is ending", null);
      }
    }

    private void over() {
      CompletableFuture<Boolean> awaited = cancelled;
      if (awaited != null) {
        awaited.complete(true);
      }
    }

    private void send(DeltaDiscoveryRequest request) {
      ClientCallStreamObserver<DeltaDiscoveryRequest> out = requests;
      if (out != null && stream == this) {
        out.onNext(request);
      }
    }
  }
}
