package dev.weir.control;

import com.google.protobuf.Struct;
import com.google.protobuf.Value;
import dev.weir.api.model.Addresses;
import dev.weir.api.proto.discovery.AggregatedDiscoveryServiceGrpc;
import dev.weir.api.proto.discovery.DeltaDiscoveryRequest;
import dev.weir.api.proto.discovery.DeltaDiscoveryResponse;
import dev.weir.api.proto.discovery.Node;
import io.grpc.Channel;
import io.grpc.Metadata;
import io.grpc.stub.MetadataUtils;
import io.grpc.stub.StreamObserver;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/** Follows addresses as a node that shows a token. */
final class Follower {
  static final Metadata.Key<String> AUTHORIZATION =
      Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);

  private final BlockingQueue<DeltaDiscoveryResponse> responses = new LinkedBlockingQueue<>();
  private final BlockingQueue<Throwable> ends = new LinkedBlockingQueue<>();

  Follower(Channel channel, @Nullable String token, String node) {
    Metadata headers = new Metadata();
    if (token != null) {
      headers.put(AUTHORIZATION, "Bearer " + token);
    }
    StreamObserver<DeltaDiscoveryRequest> requests =
        AggregatedDiscoveryServiceGrpc.newStub(channel)
            .withInterceptors(MetadataUtils.newAttachHeadersInterceptor(headers))
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
                  public void onCompleted() {
                    ends.add(new AssertionError("the stream ended well"));
                  }
                });
    requests.onNext(
        DeltaDiscoveryRequest.newBuilder()
            .setTypeUrl(Addresses.TYPE_URL)
            .setNode(
                Node.newBuilder()
                    .setId("test~" + node)
                    .setMetadata(
                        Struct.newBuilder()
                            .putFields(
                                "NODE_NAME", Value.newBuilder().setStringValue(node).build())))
            .build());
  }

  /** The first that it is told of. */
  String resource() throws InterruptedException {
    DeltaDiscoveryResponse response = responses.poll(20, TimeUnit.SECONDS);
    if (response == null) {
      throw new AssertionError("no response within 20 s; stream: " + ends);
    }
    return response.getResources(0).getName();
  }

  List<DeltaDiscoveryResponse> told() {
    return List.copyOf(responses);
  }

  Throwable end() throws InterruptedException {
    Throwable end = ends.poll(20, TimeUnit.SECONDS);
    if (end == null) {
      throw new AssertionError("the stream did not end within 20 s");
    }
    return end;
  }
}
