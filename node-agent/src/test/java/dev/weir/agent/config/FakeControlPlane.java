package dev.weir.agent.config;

import static org.awaitility.Awaitility.await;

import com.google.protobuf.Any;
import dev.weir.api.model.Addresses;
import dev.weir.api.model.Authorization;
import dev.weir.api.model.Authorizations;
import dev.weir.api.model.Service;
import dev.weir.api.model.Workload;
import dev.weir.api.proto.discovery.AggregatedDiscoveryServiceGrpc;
import dev.weir.api.proto.discovery.DeltaDiscoveryRequest;
import dev.weir.api.proto.discovery.DeltaDiscoveryResponse;
import dev.weir.api.proto.discovery.Resource;
import dev.weir.api.proto.workload.Address;
import io.grpc.Server;
import io.grpc.Status;
import io.grpc.netty.NettyServerBuilder;
import io.grpc.stub.StreamObserver;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.UnaryOperator;
import org.jspecify.annotations.Nullable;

/**
 * A real ADS server that says what a test tells it to and remembers what it was asked. Of policies
 * it says at once that there are none, unless it is told to wait.
 */
public final class FakeControlPlane implements AutoCloseable {
  private final Server server;
  private final BlockingQueue<DeltaDiscoveryRequest> requests = new LinkedBlockingQueue<>();
  private final AtomicReference<@Nullable StreamObserver<DeltaDiscoveryResponse>> stream =
      new AtomicReference<>();
  private final BlockingQueue<DeltaDiscoveryRequest> policyRequests = new LinkedBlockingQueue<>();
  private final boolean saysPolicies;
  private int nonce;

  FakeControlPlane(int port) throws IOException {
    this(port, true);
  }

  FakeControlPlane(int port, boolean saysPolicies) throws IOException {
    this(port, saysPolicies, builder -> builder);
  }

  /**
   * @param more how its port differs from a plain one that takes everybody
   */
  public FakeControlPlane(int port, boolean saysPolicies, UnaryOperator<NettyServerBuilder> more)
      throws IOException {
    this.saysPolicies = saysPolicies;
    server =
        more.apply(
                NettyServerBuilder.forAddress(
                    new InetSocketAddress(InetAddress.ofLiteral("127.0.0.1"), port)))
            .addService(
                new AggregatedDiscoveryServiceGrpc.AggregatedDiscoveryServiceImplBase() {
                  @Override
                  public StreamObserver<DeltaDiscoveryRequest> deltaAggregatedResources(
                      StreamObserver<DeltaDiscoveryResponse> responses) {
                    stream.set(responses);
                    return new Requests();
                  }
                })
            .build()
            .start();
  }

  public int port() {
    return server.getPort();
  }

  public DeltaDiscoveryRequest request() throws InterruptedException {
    DeltaDiscoveryRequest request = requests.poll(20, TimeUnit.SECONDS);
    if (request == null) {
      throw new AssertionError("no request within 20 s");
    }
    return request;
  }

  /** Of policies, acknowledgements included. */
  DeltaDiscoveryRequest policyRequest() throws InterruptedException {
    DeltaDiscoveryRequest request = policyRequests.poll(20, TimeUnit.SECONDS);
    if (request == null) {
      throw new AssertionError("no request for policies within 20 s");
    }
    return request;
  }

  void sendPolicies(List<Resource> resources, String... removed) {
    sendTyped(Authorizations.TYPE_URL, "", resources, removed);
  }

  public String send(List<Resource> resources, String... removed) {
    return sendVersion("", resources, removed);
  }

  String sendVersion(String version, List<Resource> resources, String... removed) {
    return sendTyped(Addresses.TYPE_URL, version, resources, removed);
  }

  private synchronized String sendTyped(
      String type, String version, List<Resource> resources, String... removed) {
    StreamObserver<DeltaDiscoveryResponse> to = stream.get();
    if (to == null) {
      throw new AssertionError("nobody is connected");
    }
    String name = "n" + ++nonce;
    to.onNext(
        DeltaDiscoveryResponse.newBuilder()
            .setTypeUrl(type)
            .setNonce(name)
            .setSystemVersionInfo(version)
            .addAllResources(resources)
            .addAllRemovedResources(List.of(removed))
            .build());
    return name;
  }

  static Resource resource(Authorization authorization, String version) {
    return Resource.newBuilder()
        .setName(authorization.key())
        .setVersion(version)
        .setResource(
            Any.newBuilder()
                .setTypeUrl(Authorizations.TYPE_URL)
                .setValue(Authorizations.of(authorization).toByteString()))
        .build();
  }

  static Resource resource(Workload workload, String version) {
    return resource(Addresses.of(workload), version);
  }

  public static Resource resource(Service service, String version) {
    return resource(Addresses.of(service), version);
  }

  static Resource resource(Address address, String version) {
    return Resource.newBuilder()
        .setName(Addresses.name(address))
        .setVersion(version)
        .setResource(
            Any.newBuilder().setTypeUrl(Addresses.TYPE_URL).setValue(address.toByteString()))
        .build();
  }

  @Override
  public void close() {
    server.shutdownNow();
    // The port is to be free for whoever comes next.
    await().until(server::isTerminated);
  }

  /** Ends the stream that is open. */
  public void end(Status status) {
    StreamObserver<DeltaDiscoveryResponse> to = stream.getAndSet(null);
    if (to == null) {
      throw new AssertionError("nobody is connected");
    }
    to.onError(status.asRuntimeException());
  }

  private final class Requests implements StreamObserver<DeltaDiscoveryRequest> {
    @Override
    public void onNext(DeltaDiscoveryRequest request) {
      if (!request.getTypeUrl().equals(Authorizations.TYPE_URL)) {
        requests.add(request);
        return;
      }
      policyRequests.add(request);
      if (saysPolicies && request.getResponseNonce().isEmpty()) {
        sendPolicies(List.of());
      }
    }

    @Override
    public void onError(Throwable cause) {
      stream.set(null);
    }

    @Override
    public void onCompleted() {
      stream.set(null);
    }
  }
}
