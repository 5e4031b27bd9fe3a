package dev.weir.control.port;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.weir.api.proto.discovery.AggregatedDiscoveryServiceGrpc;
import dev.weir.api.proto.discovery.DeltaDiscoveryRequest;
import dev.weir.api.proto.discovery.DeltaDiscoveryResponse;
import dev.weir.control.log.Log;
import io.grpc.ManagedChannel;
import io.grpc.ServerInterceptors;
import io.grpc.netty.NettyChannelBuilder;
import io.grpc.stub.StreamObserver;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.MultiThreadIoEventLoopGroup;
import io.netty.channel.nio.NioIoHandler;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.net.SocketException;
import java.time.Duration;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** How many may come in. */
@Timeout(60)
final class PortTest {
  private static final Duration LONG = Duration.ofMinutes(10);
  private static final EventLoopGroup LOOPS =
      new MultiThreadIoEventLoopGroup(1, NioIoHandler.newFactory());

  private final List<AutoCloseable> open = new ArrayList<>();

  @AfterEach
  void close() throws Exception {
    for (AutoCloseable each : open.reversed()) {
      each.close();
    }
  }

  @AfterAll
  static void end() {
    LOOPS.shutdownGracefully(0, 1, TimeUnit.SECONDS);
  }

  /** One whose service answers to its first word. */
  private Port port(Crowd crowd) throws IOException {
    Connections connections =
        new Connections(
            crowd, InstantSource.system(), new Log(System.err, InstantSource.system(), "port"));
    Port port =
        Port.open(
            new InetSocketAddress(InetAddress.ofLiteral("127.0.0.1"), 0),
            null,
            List.of(ServerInterceptors.intercept(new Echoing(), connections.admittingAll())),
            new MessageLimits(
                8 << 10, Map.of(AggregatedDiscoveryServiceGrpc.SERVICE_NAME, 1 << 10)),
            connections,
            LOOPS);
    open.add(port);
    return port;
  }

  private static final class Echoing
      extends AggregatedDiscoveryServiceGrpc.AggregatedDiscoveryServiceImplBase {
    @Override
    public StreamObserver<DeltaDiscoveryRequest> deltaAggregatedResources(
        StreamObserver<DeltaDiscoveryResponse> responses) {
      return new StreamObserver<>() {
        @Override
        public void onNext(DeltaDiscoveryRequest request) {
          responses.onNext(
              DeltaDiscoveryResponse.newBuilder().setTypeUrl(request.getTypeUrl()).build());
        }

        @Override
        public void onError(Throwable cause) {
          // The test is over.
        }

        @Override
        public void onCompleted() {
          responses.onCompleted();
        }
      };
    }
  }

  private Socket from(String address, Port port) throws IOException {
    Socket socket = new Socket();
    open.add(socket);
    socket.bind(new InetSocketAddress(InetAddress.ofLiteral(address), 0));
    socket.connect(new InetSocketAddress(InetAddress.ofLiteral("127.0.0.1"), port.number()));
    socket.setSoTimeout(20_000);
    return socket;
  }

  private static boolean isEnded(Socket socket) throws IOException {
    try {
      while (socket.getInputStream().read() >= 0) {
        // What the server says at the beginning.
      }
      return true;
    } catch (SocketException e) {
      return true;
    }
  }

  private static long count(Port port, String what) {
    return port.connections().json().get(what).integer();
  }

  private static long endings(Port port, String cause) {
    return port.connections().json().get("ended").get(cause).integer();
  }

  private static void arrive(Port port, int many) {
    await().until(() -> count(port, "notAdmitted") == many);
  }

  private String called(Port port) throws Exception {
    ManagedChannel channel =
        NettyChannelBuilder.forAddress("127.0.0.1", port.number()).usePlaintext().build();
    open.add(channel::shutdownNow);
    CompletableFuture<String> answer = new CompletableFuture<>();
    AggregatedDiscoveryServiceGrpc.newStub(channel)
        .deltaAggregatedResources(
            new StreamObserver<>() {
              @Override
              public void onNext(DeltaDiscoveryResponse response) {
                answer.complete(response.getTypeUrl());
              }

              @Override
              public void onError(Throwable cause) {
                answer.completeExceptionally(cause);
              }

              @Override
              public void onCompleted() {
                answer.complete("over");
              }
            })
        .onNext(DeltaDiscoveryRequest.newBuilder().setTypeUrl("hello").build());
    return answer.get(20, TimeUnit.SECONDS);
  }

  @Test
  void one_stranger_more_pushes_out_the_oldest_of_the_address_that_has_most() throws Exception {
    Port port = port(new Crowd(100, 100, 3, LONG));
    Socket lonely = from("127.0.0.9", port);
    arrive(port, 1);
    Socket oldest = from("127.0.0.1", port);
    arrive(port, 2);
    Socket newer = from("127.0.0.1", port);
    arrive(port, 3);
    Socket next = from("127.0.0.1", port);
    assertThat(isEnded(oldest)).isTrue();
    assertThat(endings(port, "crowded-out")).isEqualTo(1);
    assertThat(count(port, "notAdmitted")).isEqualTo(3);
    Socket last = from("127.0.0.1", port);
    assertThat(isEnded(newer)).isTrue();
    assertThat(count(port, "open")).isEqualTo(3);
    assertThat(List.of(lonely, next, last)).noneMatch(Socket::isClosed);
    // Whoever is known makes no room and needs none.
    assertThat(called(port)).isEqualTo("hello");
    assertThat(isEnded(next)).isTrue();
    assertThat(called(port)).isEqualTo("hello");
    assertThat(count(port, "open")).isEqualTo(4);
  }

  @Test
  void a_stranger_that_says_nothing_is_ended_in_time_and_who_is_known_is_not() throws Exception {
    Port port = port(new Crowd(100, 100, 10, Duration.ofMillis(500)));
    assertThat(called(port)).isEqualTo("hello");
    assertThat(isEnded(from("127.0.0.1", port))).isTrue();
    assertThat(endings(port, "unadmitted")).isEqualTo(1);
    assertThat(count(port, "open")).isEqualTo(1);
  }

  @Test
  void an_address_has_so_many_connections_and_others_have_theirs() throws Exception {
    Port port = port(new Crowd(100, 2, 10, LONG));
    from("127.0.0.1", port);
    from("127.0.0.1", port);
    arrive(port, 2);
    assertThat(isEnded(from("127.0.0.1", port))).isTrue();
    assertThat(endings(port, "address-full")).isEqualTo(1);
    from("127.0.0.2", port);
    arrive(port, 3);
  }

  @Test
  void all_together_have_so_many_and_who_leaves_makes_room() throws Exception {
    Port port = port(new Crowd(2, 2, 10, LONG));
    Socket first = from("127.0.0.1", port);
    from("127.0.0.2", port);
    arrive(port, 2);
    assertThat(isEnded(from("127.0.0.3", port))).isTrue();
    assertThat(endings(port, "full")).isEqualTo(1);
    first.close();
    arrive(port, 1);
    from("127.0.0.3", port);
    arrive(port, 2);
  }
}
