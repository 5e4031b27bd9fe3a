package dev.weir.control.xds;

import dev.weir.api.model.Addresses;
import dev.weir.api.proto.discovery.AggregatedDiscoveryServiceGrpc;
import dev.weir.api.proto.discovery.DeltaDiscoveryRequest;
import dev.weir.api.proto.discovery.DeltaDiscoveryResponse;
import dev.weir.api.proto.discovery.Node;
import dev.weir.api.proto.discovery.Resource;
import dev.weir.api.proto.discovery.Status;
import io.grpc.ManagedChannel;
import io.grpc.netty.NettyChannelBuilder;
import io.grpc.stub.StreamObserver;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.UnaryOperator;
import org.jspecify.annotations.Nullable;

/** A real gRPC client that shows what a node would see. */
final class AdsClient implements AutoCloseable {
  private final ManagedChannel channel;
  private final BlockingQueue<DeltaDiscoveryResponse> responses = new LinkedBlockingQueue<>();
  private final BlockingQueue<Throwable> ends = new LinkedBlockingQueue<>();
  private final StreamObserver<DeltaDiscoveryRequest> requests;
  final Map<String, Resource> has = new LinkedHashMap<>();

  AdsClient(int port) {
    channel = NettyChannelBuilder.forAddress("127.0.0.1", port).usePlaintext().build();
    requests =
        AggregatedDiscoveryServiceGrpc.newStub(channel)
            .deltaAggregatedResources(
                new StreamObserver<>() {
                  @Override
                  public void onNext(DeltaDiscoveryResponse response) {
                    responses.add(response);
                  }

                  @Override
                  public void onError(Throwable cause) {
                    ends.add(cause);
                  }

                  @Override
                  public void onCompleted() {}
                });
  }

  void send(UnaryOperator<DeltaDiscoveryRequest.Builder> change) {
    requests.onNext(
        change
            .apply(
                DeltaDiscoveryRequest.newBuilder()
                    .setTypeUrl(Addresses.TYPE_URL)
                    .setNode(Node.newBuilder().setId("test~node-1")))
            .build());
  }

  void subscribe(String... names) {
    send(request -> request.addAllResourceNamesSubscribe(List.of(names)));
  }

  DeltaDiscoveryResponse take() throws InterruptedException {
    DeltaDiscoveryResponse response = responses.poll(10, TimeUnit.SECONDS);
    if (response == null) {
      throw new AssertionError("no response within 10 s; stream: " + ends);
    }
    response.getResourcesList().forEach(resource -> has.put(resource.getName(), resource));
    response.getRemovedResourcesList().forEach(has::remove);
    return response;
  }

  /** Takes a response and acknowledges it. */
  DeltaDiscoveryResponse accept() throws InterruptedException {
    DeltaDiscoveryResponse response = take();
    ack(response);
    return response;
  }

  void ack(DeltaDiscoveryResponse response) {
    send(
        request -> request.setResponseNonce(response.getNonce()).setTypeUrl(response.getTypeUrl()));
  }

  void nack(DeltaDiscoveryResponse response, String why) {
    send(request ->
        request
            .setResponseNonce(response.getNonce())
            .setErrorDetail(Status.newBuilder().setCode(3).setMessage(why)));
  }

  @Nullable DeltaDiscoveryResponse poll(long millis) throws InterruptedException {
    return responses.poll(millis, TimeUnit.MILLISECONDS);
  }

  Throwable end() throws InterruptedException {
    Throwable end = ends.poll(10, TimeUnit.SECONDS);
    if (end == null) {
      throw new AssertionError("the stream did not end within 10 s");
    }
    return end;
  }

  static List<String> names(DeltaDiscoveryResponse response) {
    List<String> names = new ArrayList<>();
    response.getResourcesList().forEach(resource -> names.add(resource.getName()));
    return names;
  }

  @Override
  public void close() {
    channel.shutdownNow();
  }
}
