package dev.weir.lab;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import com.google.protobuf.InvalidProtocolBufferException;
import dev.weir.api.proto.zds.Ack;
import dev.weir.api.proto.zds.Version;
import dev.weir.api.proto.zds.WorkloadRequest;
import dev.weir.api.proto.zds.WorkloadResponse;
import dev.weir.api.proto.zds.ZdsHello;
import dev.weir.ffi.Fd;
import dev.weir.ffi.Kernel;
import dev.weir.ffi.Sockets;
import dev.weir.testing.NeedsRoot;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * The enroller's half of ZDS, spoken to as an agent speaks (lock-step, one descriptor with each
 * add).
 */
@NeedsRoot
class EnrollerTest {
  private static final String NETNS = "weir-labtest-zds";
  private static final Duration SOON = Duration.ofSeconds(10);

  private static final Enroller.Workload A =
      new Enroller.Workload("uid-a", "shop", "a", "robot", NETNS);
  private static final Enroller.Workload B =
      new Enroller.Workload("uid-b", "shop", "b", "default", NETNS);

  private final Desk desk = new Desk();
  private final Map<String, String> answers = new ConcurrentHashMap<>();
  private final List<String> news = new CopyOnWriteArrayList<>();
  private final List<Enroller.Workload> pods = new CopyOnWriteArrayList<>();

  private final Path folder;
  private final Enroller enroller;

  EnrollerTest(@TempDir Path folder) {
    this.folder = folder;
    this.enroller =
        new Enroller(desk, "node-1", folder.resolve("zds.sock"), () -> pods, new News());
  }

  private final class News implements Enroller.Register {
    @Override
    public void answered(String uid, String error) {
      answers.put(uid, error);
    }

    @Override
    public void synced(String node) {
      news.add("synced");
    }

    @Override
    public void disconnected(String node, boolean last) {
      news.add(last ? "last gone" : "one gone");
    }
  }

  @BeforeAll
  static void network() {
    Command.attempt(List.of("ip", "netns", "delete", NETNS), "", Command.USUAL);
    Command.run(List.of("ip", "netns", "add", NETNS), "");
  }

  @AfterAll
  static void noNetwork() {
    Command.run(List.of("ip", "netns", "delete", NETNS), "");
  }

  @AfterEach
  void close() {
    enroller.close();
    desk.close();
  }

  private Sockets.Packets agent() {
    Sockets.Packets packets =
        Kernel.instance().sockets().connectPackets(folder.resolve("zds.sock"), SOON);
    packets.send(ZdsHello.newBuilder().setVersion(Version.V1).build().toByteArray(), List.of());
    return packets;
  }

  /** The next request, answered. */
  private static WorkloadRequest take(Sockets.Packets packets, String error) {
    Sockets.Packet packet = packets.receive(1024, SOON);
    if (packet == null) {
      throw new AssertionError("the enroller closed the connection");
    }
    try {
      WorkloadRequest request = WorkloadRequest.parseFrom(packet.message());
      assertThat(packet.descriptors()).hasSize(request.hasAdd() ? 1 : 0);
      packet.descriptors().forEach(Fd::close);
      packets.send(
          WorkloadResponse.newBuilder()
              .setAck(Ack.newBuilder().setError(error))
              .build()
              .toByteArray(),
          List.of());
      return request;
    } catch (InvalidProtocolBufferException e) {
      throw new AssertionError(e);
    }
  }

  @Test
  void anAgentGetsAllPodsThenTheEndOfTheSnapshotThenChanges() {
    pods.add(A);
    try (Sockets.Packets agent = agent()) {
      WorkloadRequest first = take(agent, "");
      assertThat(first.getAdd().getUid()).isEqualTo("uid-a");
      assertThat(first.getAdd().getWorkloadInfo().getServiceAccount()).isEqualTo("robot");
      assertThat(take(agent, "").hasSnapshotSent()).isTrue();
      await().atMost(SOON).untilAsserted(() -> assertThat(news).containsExactly("synced"));
      assertThat(answers).containsEntry("uid-a", "");
      desk.post(() -> enroller.add(B));
      assertThat(take(agent, "").getAdd().getWorkloadInfo().getName()).isEqualTo("b");
      desk.post(() -> enroller.delete("uid-b"));
      assertThat(take(agent, "").getDel().getUid()).isEqualTo("uid-b");
    }
    await().atMost(SOON).untilAsserted(() -> assertThat(news).contains("last gone"));
  }

  @Test
  void anAddThatFailedIsSaidAndSentAgainAfterFiveSeconds() {
    try (Sockets.Packets agent = agent()) {
      assertThat(take(agent, "").hasSnapshotSent()).isTrue();
      desk.post(() -> enroller.add(A));
      assertThat(take(agent, "port 15001 is taken").hasAdd()).isTrue();
      await()
          .atMost(SOON)
          .untilAsserted(() -> assertThat(answers).containsEntry("uid-a", "port 15001 is taken"));
      long before = System.nanoTime();
      assertThat(take(agent, "").getAdd().getUid()).isEqualTo("uid-a");
      assertThat(Duration.ofNanos(System.nanoTime() - before)).isGreaterThan(Duration.ofSeconds(4));
      await().atMost(SOON).untilAsserted(() -> assertThat(answers).containsEntry("uid-a", ""));
    }
  }

  @Test
  void duringAnUpgradeTheNewAgentGetsAddsAndBothGetDeletes() {
    try (Sockets.Packets old = agent()) {
      assertThat(take(old, "").hasSnapshotSent()).isTrue();
      try (Sockets.Packets fresh = agent()) {
        assertThat(take(fresh, "").hasSnapshotSent()).isTrue();
        desk.post(() -> enroller.add(A));
        assertThat(take(fresh, "").hasAdd()).isTrue();
        desk.post(() -> enroller.delete("uid-a"));
        assertThat(take(fresh, "").hasDel()).isTrue();
        assertThat(take(old, "").hasDel()).isTrue();
      }
      await().atMost(SOON).untilAsserted(() -> assertThat(news).contains("one gone"));
    }
  }

  @Test
  void whoeverSpeaksAnotherVersionOrGarbageIsCutOff() {
    try (Sockets.Packets agent =
        Kernel.instance().sockets().connectPackets(folder.resolve("zds.sock"), SOON)) {
      agent.send(new byte[] {(byte) 0xff, (byte) 0xff, 3}, List.of());
      assertThat(agent.receive(1024, SOON)).isNull();
    }
    try (Sockets.Packets agent = agent()) {
      assertThat(take(agent, "").hasSnapshotSent()).isTrue();
    }
  }
}
