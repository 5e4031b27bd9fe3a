package dev.weir.agent.enrolment;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.protobuf.InvalidProtocolBufferException;
import dev.weir.agent.capture.Enroller;
import dev.weir.agent.capture.Pod;
import dev.weir.agent.log.Level;
import dev.weir.agent.log.Logs;
import dev.weir.api.model.PodSettings;
import dev.weir.api.proto.zds.AddWorkload;
import dev.weir.api.proto.zds.DelWorkload;
import dev.weir.api.proto.zds.KeepWorkload;
import dev.weir.api.proto.zds.SnapshotSent;
import dev.weir.api.proto.zds.Version;
import dev.weir.api.proto.zds.WorkloadInfo;
import dev.weir.api.proto.zds.WorkloadRequest;
import dev.weir.api.proto.zds.WorkloadResponse;
import dev.weir.api.proto.zds.ZdsHello;
import dev.weir.ffi.Fd;
import dev.weir.ffi.Kernel;
import dev.weir.ffi.Sockets;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.time.InstantSource;
import java.util.List;
import java.util.Objects;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.CopyOnWriteArrayList;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class ZdsClientTest {
  private static final Duration SOON = Duration.ofSeconds(5);

  @TempDir
  @SuppressWarnings("NullAway.Init")
  private Path folder;

  @SuppressWarnings("NullAway.Init")
  private Sockets.PacketListener cni;

  @SuppressWarnings("NullAway.Init")
  private ZdsClient client;

  private final Sockets sockets = Kernel.instance().sockets();
  private final ByteArrayOutputStream said = new ByteArrayOutputStream();
  private final Recorder recorder = new Recorder();

  @BeforeEach
  void start() {
    Path socket = folder.resolve("zds.sock");
    cni = sockets.listenPackets(socket);
    Logs logs =
        new Logs(
            new PrintStream(said, true, StandardCharsets.UTF_8),
            InstantSource.system(),
            Level.INFO);
    client = new ZdsClient(socket, recorder, sockets, logs.room("zds"));
    client.start();
  }

  @AfterEach
  void stop() {
    client.close();
    cni.close();
  }

  private Sockets.Packets accepted() throws InvalidProtocolBufferException {
    Sockets.Packets connection = Objects.requireNonNull(cni.accept());
    Sockets.Packet hello = Objects.requireNonNull(connection.receive(100, SOON));
    assertThat(ZdsHello.parseFrom(hello.message()).getVersion()).isEqualTo(Version.V1);
    return connection;
  }

  private static String answer(Sockets.Packets connection, WorkloadRequest request, Fd... fds)
      throws InvalidProtocolBufferException {
    connection.send(request.toByteArray(), List.of(fds));
    Sockets.Packet answer = Objects.requireNonNull(connection.receive(1024, SOON));
    WorkloadResponse response = WorkloadResponse.parseFrom(answer.message());
    assertThat(response.hasAck()).isTrue();
    return response.getAck().getError();
  }

  private static WorkloadRequest add(String uid) {
    WorkloadInfo.Builder info =
        WorkloadInfo.newBuilder().setNamespace("shop").setName("front").setServiceAccount("web");
    return WorkloadRequest.newBuilder()
        .setAdd(AddWorkload.newBuilder().setUid(uid).setWorkloadInfo(info))
        .build();
  }

  private static final WorkloadRequest SNAPSHOT_SENT =
      WorkloadRequest.newBuilder().setSnapshotSent(SnapshotSent.getDefaultInstance()).build();

  private static Fd someNamespace() {
    return Kernel.instance().namespaces().open(Path.of("/proc/self/ns/net"));
  }

  @Test
  void aSnapshotIsTakenOverInLockStep() throws InvalidProtocolBufferException {
    try (Sockets.Packets connection = accepted();
        Fd netns = someNamespace()) {
      assertThat(answer(connection, add("u1"), netns)).isEmpty();
      KeepWorkload keep = KeepWorkload.newBuilder().setUid("u2").build();
      assertThat(answer(connection, WorkloadRequest.newBuilder().setKeep(keep).build())).isEmpty();
      assertThat(client.snapshotSeen()).isFalse();
      assertThat(answer(connection, SNAPSHOT_SENT)).isEmpty();
      assertThat(client.snapshotSeen()).isTrue();
      DelWorkload del = DelWorkload.newBuilder().setUid("u1").build();
      assertThat(answer(connection, WorkloadRequest.newBuilder().setDel(del).build())).isEmpty();
      assertThat(recorder.calls)
          .containsExactly("begin", "add u1 shop/front web", "keep u2", "end", "remove u1");
    }
  }

  @Test
  void aRefusalIsTheAcksErrorAndTheConnectionGoesOn() throws InvalidProtocolBufferException {
    recorder.refusal = "no room, and a very long story: " + "x".repeat(2000);
    try (Sockets.Packets connection = accepted();
        Fd netns = someNamespace()) {
      assertThat(answer(connection, add("u1"), netns)).startsWith("no room").hasSize(900);
      assertThat(answer(connection, add("u1"))).contains("0 descriptors");
      assertThat(answer(connection, add(""))).contains("uid");
      recorder.refusal = "";
      assertThat(answer(connection, SNAPSHOT_SENT)).isEmpty();
    }
  }

  @Test
  void garbageIsOneLineAndANewConnection() throws InvalidProtocolBufferException {
    byte[] garbage = new byte[500];
    new Random(1).nextBytes(garbage);
    Sockets.Packets connection = accepted();
    for (byte[] senseless : List.of(garbage, new byte[] {0x7a, 0}, new byte[1500])) {
      said.reset();
      connection.send(senseless, List.of());
      Sockets.Packets next = accepted();
      connection.close();
      connection = next;
      assertThat(said.toString(StandardCharsets.UTF_8).lines())
          .filteredOn(line -> line.contains(" WARN "))
          .hasSize(1)
          .first()
          .asString()
          .containsAnyOf("ZDS", "longer than 1024 bytes");
    }
    assertThat(answer(connection, SNAPSHOT_SENT)).isEmpty();
    connection.close();
  }

  @Test
  void anEnrollerThatComesBackFindsTheAgentAgain() throws InvalidProtocolBufferException {
    accepted().close();
    try (Sockets.Packets again = accepted()) {
      assertThat(answer(again, SNAPSHOT_SENT)).isEmpty();
    }
    assertThat(recorder.calls).containsExactly("begin", "begin", "end");
  }

  /** Says what it was asked for. */
  private static final class Recorder implements Enroller {
    private static final Pod POD =
        new Pod(
            1, "u", "ns", "pod", "sa", "", 1, someNamespace(), 1, List.of(), PodSettings.DEFAULT);

    final List<String> calls = new CopyOnWriteArrayList<>();
    volatile String refusal = "";

    private <T extends @Nullable Object> CompletableFuture<T> done(String call, T result) {
      if (!refusal.isEmpty()) {
        return CompletableFuture.failedFuture(new IllegalStateException(refusal));
      }
      calls.add(call);
      return CompletableFuture.completedFuture(result);
    }

    @Override
    public CompletionStage<Pod> add(PodName pod, Fd netns) {
      netns.close();
      return done("add %s %s %s".formatted(pod.uid(), pod.label(), pod.serviceAccount()), POD);
    }

    @Override
    public CompletionStage<Pod> keep(String uid) {
      return done("keep " + uid, POD);
    }

    @Override
    @SuppressWarnings("NullAway")
    public CompletionStage<Void> remove(String uid) {
      return done("remove " + uid, null);
    }

    @Override
    @SuppressWarnings("NullAway")
    public CompletionStage<Void> snapshotBegin() {
      calls.add("begin");
      return CompletableFuture.completedFuture(null);
    }

    @Override
    @SuppressWarnings("NullAway")
    public CompletionStage<Void> snapshotEnd() {
      return done("end", null);
    }
  }
}
