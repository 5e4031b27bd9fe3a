package dev.weir.control.xds;

import com.google.protobuf.Value;
import dev.weir.api.model.Addresses;
import dev.weir.api.model.Authorizations;
import dev.weir.api.model.MeshModel;
import dev.weir.api.proto.discovery.AggregatedDiscoveryServiceGrpc;
import dev.weir.api.proto.discovery.DeltaDiscoveryRequest;
import dev.weir.api.proto.discovery.DeltaDiscoveryResponse;
import dev.weir.control.ca.Admission;
import dev.weir.control.ca.Caller;
import dev.weir.control.ca.Refusal;
import dev.weir.control.ca.Refusals;
import dev.weir.control.log.Log;
import dev.weir.control.port.Worker;
import io.grpc.Context;
import io.grpc.Contexts;
import io.grpc.Grpc;
import io.grpc.Metadata;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerInterceptor;
import io.grpc.ServerInterceptors;
import io.grpc.ServerServiceDefinition;
import io.grpc.Status;
import io.grpc.stub.ServerCallStreamObserver;
import io.grpc.stub.StreamObserver;
import io.netty.channel.EventLoopGroup;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.BiFunction;
import org.jspecify.annotations.Nullable;

/** Delta ADS: tells each node what it follows, and what changed since. */
public final class XdsServer implements AutoCloseable {
  /** Names and versions of 100,000 resources on a reconnect are some 7 MiB. */
  public static final int MOST_REQUEST_BYTES = 32 << 20;

  /** Nodes follow two types; anything near this many is no node. */
  private static final int MOST_TYPES = 16;

  private static final int MOST_ERROR_CHARACTERS = 1_000;
  private static final long LONGEST_WAIT_MILLIS = TimeUnit.HOURS.toMillis(1);

  private static final Context.Key<SocketAddress> PEER = Context.key("peer");

  private final Log log;
  private final InstantSource clock;
  private final EventLoopGroup loops;
  private final Refusals refusals;
  // A stream has one message waiting, its beginning and its end.
  private final Worker thread = new Worker("xds", Integer.MAX_VALUE);
  private final Clients clients = new Clients();
  private final AtomicBoolean pushDue = new AtomicBoolean();
  private volatile State current = State.EMPTY;
  private volatile boolean published;

  // Below: the xds thread only.
  private final Map<Long, Stream> streams = new LinkedHashMap<>();
  private final Map<Snapshot, Snapshot.Change> differences = new HashMap<>();
  private @Nullable Snapshot differencesTo;
  private long nextStream;

  /** What is published at one moment, by type. */
  private record State(Snapshot addresses, Snapshot authorizations) {
    static final State EMPTY = new State(Snapshot.EMPTY, Snapshot.EMPTY);

    State next(MeshModel model) {
      return new State(addresses.next(model), authorizations.nextAuthorizations(model));
    }
  }

  private XdsServer(EventLoopGroup loops, Refusals refusals, InstantSource clock, Log log) {
    this.log = log;
    this.clock = clock;
    this.loops = loops;
    this.refusals = refusals;
  }

  /**
   * One that no port serves yet; it may be told what to publish.
   *
   * @param loops whose timers end the streams of tokens that run out
   * @param refusals where whom it refuses is counted
   */
  public static XdsServer of(
      EventLoopGroup loops, Refusals refusals, InstantSource clock, Log log) {
    return new XdsServer(loops, refusals, clock, log);
  }

  /**
   * For a port. Clients may connect at once; they are told nothing before the first {@link
   * #publish}, because "nothing exists" would make them drop what they know.
   *
   * @param admission whom it lets in
   */
  public ServerServiceDefinition service(ServerInterceptor admission) {
    return ServerInterceptors.intercept(
        ServerInterceptors.intercept(new Discovery(), new PeerAddress()), admission);
  }

  /** The generation now in force. */
  public long generation() {
    return current.addresses().generation();
  }

  public int resources() {
    State now = current;
    return now.addresses().size() + now.authorizations().size();
  }

  public List<ClientStatus> clients() {
    return clients.all();
  }

  /** Makes a model what every client gets. Called by one thread at a time. */
  public void publish(MeshModel model) {
    current = current.next(model);
    published = true;
    push();
  }

  @Override
  public void close() {
    hand(() -> {
      for (Stream stream : List.copyOf(streams.values())) {
        stream.end(Status.UNAVAILABLE.withDescription("the control plane is stopping"));
      }
    });
    thread.close();
  }

  /** However often a model is published before the thread comes to it, it pushes once. */
  private void push() {
    if (pushDue.compareAndSet(false, true)) {
      hand(() -> {
        pushDue.set(false);
        for (Stream stream : List.copyOf(streams.values())) {
          stream.advanceAll();
        }
      });
    }
  }

  private void hand(Runnable work) {
    try {
      thread.execute(work);
    } catch (RejectedExecutionException e) {
      if (!thread.isClosed()) {
        throw e;
      }
      // After close all streams are ended, and what clients still say has no meaning.
    }
  }

  private Snapshot.Change difference(Snapshot from, Snapshot to) {
    if (differencesTo != to) {
      differences.clear();
      differencesTo = to;
    }
    return differences.computeIfAbsent(from, to::since);
  }

  private static String shortened(String text) {
    return text.length() <= MOST_ERROR_CHARACTERS
        ? text
        : text.substring(0, MOST_ERROR_CHARACTERS) + "...";
  }

  private static final class PeerAddress implements ServerInterceptor {
    @Override
    public <Q, A> ServerCall.Listener<Q> interceptCall(
        ServerCall<Q, A> call, Metadata headers, ServerCallHandler<Q, A> next) {
      SocketAddress peer = call.getAttributes().get(Grpc.TRANSPORT_ATTR_REMOTE_ADDR);
      return Contexts.interceptCall(Context.current().withValue(PEER, peer), call, headers, next);
    }
  }

  private final class Discovery
      extends AggregatedDiscoveryServiceGrpc.AggregatedDiscoveryServiceImplBase {
    @Override
    public StreamObserver<DeltaDiscoveryRequest> deltaAggregatedResources(
        StreamObserver<DeltaDiscoveryResponse> responses) {
      var out = (ServerCallStreamObserver<DeltaDiscoveryResponse>) responses;
      out.disableAutoRequest();
      Stream stream = new Stream(out, PEER.get(), Admission.caller());
      out.setOnCancelHandler(() -> hand(() -> stream.gone("cancelled")));
      hand(stream::begin);
      return new StreamObserver<>() {
        @Override
        public void onNext(DeltaDiscoveryRequest request) {
          hand(() -> stream.guarded(() -> stream.take(request)));
        }

        @Override
        public void onError(Throwable cause) {
          hand(() -> stream.gone(String.valueOf(cause.getMessage())));
        }

        @Override
        public void onCompleted() {
          hand(() -> stream.end(Status.OK));
        }
      };
    }
  }

  /** One node's stream; belongs to the xds thread. */
  private final class Stream {
    private final ServerCallStreamObserver<DeltaDiscoveryResponse> out;
    private final @Nullable SocketAddress peer;
    private final String address;
    private final @Nullable Caller caller;
    private final Map<String, Subscription> types = new HashMap<>();
    private long id;
    private Instant since = Instant.EPOCH;
    private boolean begun;
    private boolean over;
    private String node = "";
    private String nodeId = "";
    private long nonce;
    private long nacks;
    private String lastNack = "";
    private long ackedVersion;
    private @Nullable ScheduledFuture<?> tokenEnd;

    Stream(
        ServerCallStreamObserver<DeltaDiscoveryResponse> out,
        @Nullable SocketAddress peer,
        @Nullable Caller caller) {
      this.out = out;
      this.peer = peer;
      this.caller = caller;
      this.address =
          peer instanceof InetSocketAddress inet
              ? inet.getAddress().getHostAddress() + ":" + inet.getPort()
              : String.valueOf(peer);
    }

    void begin() {
      if (begun || over) {
        return;
      }
      begun = true;
      since = clock.instant();
      id = ++nextStream;
      streams.put(id, this);
      if (caller != null) {
        endWithToken(caller);
      }
      out.request(1);
    }

    /** Whoever has a newer token comes back with it at once, and names what it has. */
    private void endWithToken(Caller of) {
      if (over) {
        return;
      }
      long left = Duration.between(clock.instant(), of.until()).toMillis();
      if (left <= 0) {
        refuse(
            new Refusal(
                Refusal.Cause.TOKEN_RAN_OUT, "token: expired while the stream was open; renew it"));
        return;
      }
      // Clocks are set, so it is asked again then.
      tokenEnd =
          loops.schedule(
              () -> hand(() -> guarded(() -> endWithToken(of))),
              Math.min(left + 1, LONGEST_WAIT_MILLIS),
              TimeUnit.MILLISECONDS);
    }

    private void refuse(Refusal refusal) {
      refusals.refused(refusal, caller == null ? "" : caller.label(), "", peer);
      end(refusal.status());
    }

    void take(DeltaDiscoveryRequest request) {
      if (over) {
        return;
      }
      if (request.hasNode() && node.isEmpty()) {
        nodeId = shortened(request.getNode().getId());
        String name =
            request
                .getNode()
                .getMetadata()
                .getFieldsOrDefault("NODE_NAME", Value.getDefaultInstance())
                .getStringValue();
        String proven = caller == null ? "" : caller.node();
        if (!proven.isEmpty() && !name.isEmpty() && !name.equals(proven)) {
          refuse(
              new Refusal(
                  Refusal.Cause.OTHER_NODE,
                  "says that it is node "
                      + shortened(name)
                      + ", but its token is bound to "
                      + proven));
          return;
        }
        node = proven.isEmpty() ? shortened(name.isEmpty() ? nodeId : name) : proven;
        clients.arrived(node);
        log.info("node connected", "node", node, "address", address);
      }
      Subscription subscription = types.get(request.getTypeUrl());
      if (subscription == null) {
        if (types.size() == MOST_TYPES) {
          end(Status.INVALID_ARGUMENT.withDescription("more than " + MOST_TYPES + " types"));
          return;
        }
        subscription = new Subscription(request.getTypeUrl());
        types.put(request.getTypeUrl(), subscription);
      }
      try {
        if (subscription.take(request)) {
          nacks++;
          lastNack = shortened(request.getErrorDetail().getMessage());
          log.warn(
              "node refused a response",
              "node",
              node,
              "type",
              request.getTypeUrl(),
              "reason",
              lastNack);
        }
      } catch (IllegalArgumentException e) {
        end(Status.INVALID_ARGUMENT.withDescription(e.getMessage()));
        return;
      }
      advance();
      report();
      out.request(1);
    }

    void advanceAll() {
      guarded(() -> {
        advance();
        report();
      });
    }

    /** A stream that fails ends alone: the others, and the thread, go on. */
    private void guarded(Runnable work) {
      try {
        work.run();
      } catch (RuntimeException e) {
        log.error("stream failed", "node", node, "address", address, "reason", e);
        gone("failed");
        if (!out.isCancelled()) {
          out.onError(Status.INTERNAL.withDescription("stream failed").asRuntimeException());
        }
      }
    }

    /**
     * Tells what may be told now. A workload must not name an authorization that the node has not:
     * the node would refuse its callers. So new authorizations go first, the addresses follow once
     * those are answered, and authorizations that are gone go last.
     */
    private void advance() {
      if (over || !published) {
        return;
      }
      State now = current;
      Subscription authorizations = types.get(Authorizations.TYPE_URL);
      Subscription addresses = types.get(Addresses.TYPE_URL);
      if (authorizations != null) {
        boolean stillNamed = addresses != null && !addresses.answered(now.addresses());
        tell(authorizations, now.authorizations(), (from, to) -> to.since(from), stillNamed);
      }
      if (addresses != null
          && (authorizations == null || authorizations.answered(now.authorizations()))) {
        tell(addresses, now.addresses(), XdsServer.this::difference, false);
        if (authorizations != null && addresses.answered(now.addresses())) {
          tell(authorizations, now.authorizations(), (from, to) -> to.since(from), false);
        }
      }
      for (Subscription other : types.values()) {
        if (other != authorizations && other != addresses) {
          // There are none of other types, and who asks is told so.
          tell(other, Snapshot.EMPTY, (from, to) -> to.since(from), false);
        }
      }
      if (addresses != null) {
        ackedVersion =
            authorizations == null
                ? addresses.acked()
                : Math.min(addresses.acked(), authorizations.acked());
      }
    }

    private void tell(
        Subscription subscription,
        Snapshot now,
        BiFunction<Snapshot, Snapshot, Snapshot.Change> difference,
        boolean keepRemoved) {
      DeltaDiscoveryResponse.Builder response =
          subscription.next(now, difference, keepRemoved, Long.toString(nonce + 1));
      if (response != null) {
        nonce++;
        out.onNext(response.build());
      }
    }

    void end(Status status) {
      if (over) {
        return;
      }
      if (status.isOk()) {
        out.onCompleted();
      } else {
        out.onError(status.asRuntimeException());
      }
      gone(Objects.requireNonNullElse(status.getDescription(), "completed"));
    }

    void gone(String why) {
      if (over) {
        return;
      }
      over = true;
      streams.remove(id);
      ScheduledFuture<?> timer = tokenEnd;
      if (timer != null) {
        timer.cancel(false);
      }
      if (begun) {
        since = clock.instant();
        clients.went(id, status(false));
        log.info("node went", "node", node, "address", address, "reason", why);
      }
    }

    private void report() {
      if (!over) {
        clients.put(id, status(true));
      }
    }

    private ClientStatus status(boolean connected) {
      return new ClientStatus(
          node,
          nodeId,
          address,
          caller == null ? null : caller.until(),
          connected,
          ackedVersion,
          nacks,
          lastNack,
          since);
    }
  }
}
