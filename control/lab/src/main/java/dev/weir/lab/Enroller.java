package dev.weir.lab;

import com.google.protobuf.InvalidProtocolBufferException;
import dev.weir.api.proto.zds.AddWorkload;
import dev.weir.api.proto.zds.DelWorkload;
import dev.weir.api.proto.zds.SnapshotSent;
import dev.weir.api.proto.zds.Version;
import dev.weir.api.proto.zds.WorkloadInfo;
import dev.weir.api.proto.zds.WorkloadRequest;
import dev.weir.api.proto.zds.WorkloadResponse;
import dev.weir.api.proto.zds.ZdsHello;
import dev.weir.ffi.Fd;
import dev.weir.ffi.Kernel;
import dev.weir.ffi.KernelException;
import dev.weir.ffi.Sockets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * What istio-cni is to ztunnel: hands one node's pods to its agent over ZDS (SOCK_SEQPACKET, one
 * message a packet, an answer for each before the next). Adds go to the agent that connected last,
 * so that during an upgrade the new one gets them; deletes go to all. An agent that connects gets
 * all pods and then {@code snapshot_sent}; an add that failed is sent again every 5 s.
 *
 * <p>Each connection has a thread that writes and one that reads, for only a reader learns that the
 * peer is gone.
 */
final class Enroller implements AutoCloseable {
  /** As the protocol has it: longer messages are nobody's. */
  private static final int MAX_MESSAGE = 1024;

  private static final int ETIMEDOUT = 110;
  private static final Duration DEADLINE = Duration.ofSeconds(5);
  private static final Duration IDLE = Duration.ofMinutes(1);
  private static final Duration RETRY = Duration.ofSeconds(5);

  /**
   * Far more than a node's pods; an agent that lets so many pile up is cut off and starts afresh.
   */
  private static final int MAX_QUEUED = 4096;

  /** A pod to enrol. */
  record Workload(String uid, String namespace, String name, String serviceAccount, String netns) {}

  /** What becomes of pods; all on the desk. */
  interface Register {
    /** The agent's word on an add: empty where it took the pod in. */
    void answered(String uid, String error);

    /** An agent has everything that there is. */
    void synced(String node);

    void disconnected(String node, boolean last);
  }

  private sealed interface Message {}

  private record Add(Workload workload) implements Message {}

  private record Delete(String uid) implements Message {}

  private record SnapshotEnd() implements Message {}

  /** The other side is gone. */
  private record HangUp() implements Message {}

  private final Desk desk;
  private final String node;
  private final Supplier<List<Workload>> pods;
  private final Register register;
  private final Sockets.PacketListener listener;

  /** Desk only; the last is the latest. */
  private final List<Line> lines = new ArrayList<>();

  Enroller(Desk desk, String node, Path socket, Supplier<List<Workload>> pods, Register register) {
    this.desk = desk;
    this.node = node;
    this.pods = pods;
    this.register = register;
    this.listener = Kernel.instance().sockets().listenPackets(socket);
    Thread.ofPlatform().name("zds-" + node).daemon().start(this::accept);
  }

  private void accept() {
    try {
      for (Sockets.Packets packets = listener.accept();
          packets != null;
          packets = listener.accept()) {
        Line line = new Line(packets);
        Thread.ofPlatform().name("zds-write-" + node).daemon().start(line::serve);
      }
    } catch (KernelException e) {
      Log.warn("zds of " + node + ": no more connections: " + e.getMessage());
    }
  }

  boolean connected() {
    desk.assertHere();
    return !lines.isEmpty();
  }

  void add(Workload workload) {
    desk.assertHere();
    if (!lines.isEmpty()) {
      lines.getLast().send(new Add(workload));
    }
  }

  void delete(String uid) {
    desk.assertHere();
    lines.forEach(line -> line.send(new Delete(uid)));
  }

  @Override
  public void close() {
    listener.close();
  }

  /** One agent's connection. */
  private final class Line {
    private final Sockets.Packets packets;
    private final BlockingQueue<Message> queue = new ArrayBlockingQueue<>(MAX_QUEUED);
    private final BlockingQueue<Optional<byte[]>> received = new ArrayBlockingQueue<>(8);
    private volatile boolean closed;

    /** Gets what is added. */
    private volatile boolean latest;

    Line(Sockets.Packets packets) {
      this.packets = packets;
    }

    void send(Message message) {
      if (!queue.offer(message)) {
        Log.warn(
            "zds of " + node + ": " + MAX_QUEUED + " messages wait for the agent; cutting it off");
        closed = true;
      }
    }

    void serve() {
      Thread reader = Thread.ofPlatform().name("zds-read-" + node).daemon().start(this::read);
      try {
        ZdsHello hello = ZdsHello.parseFrom(next(DEADLINE));
        if (hello.getVersion() != Version.V1) {
          throw new LabException(
              "hello names version " + hello.getVersionValue() + " (expected: 1)");
        }
        desk.post(this::joined);
        converse();
      } catch (LabException | KernelException | InvalidProtocolBufferException e) {
        if (!closed) {
          Log.warn("zds of " + node + ": connection closed: " + e.getMessage());
        }
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
      } finally {
        closed = true;
        reader.interrupt();
        packets.close();
        desk.post(this::left);
      }
    }

    /** On the desk, so that nothing changes between the snapshot and what follows it. */
    private void joined() {
      lines.forEach(line -> line.latest = false);
      lines.add(this);
      sendAll();
    }

    private void sendAll() {
      latest = true;
      pods.get().forEach(workload -> send(new Add(workload)));
      send(new SnapshotEnd());
    }

    private void left() {
      if (lines.remove(this)) {
        if (latest && !lines.isEmpty()) {
          // Its successor is gone: what only that one was told, this one has to hear.
          lines.getLast().sendAll();
        }
        register.disconnected(node, lines.isEmpty());
      }
    }

    private void answered(String uid, String error) {
      // A former agent's word on a pod that its successor serves counts no more.
      if (latest) {
        register.answered(uid, error);
      }
    }

    private void converse() throws InterruptedException, InvalidProtocolBufferException {
      Map<String, Workload> failed = new LinkedHashMap<>();
      long retryAt = Long.MAX_VALUE;
      while (!closed) {
        long wait =
            retryAt == Long.MAX_VALUE ? IDLE.toNanos() : Math.max(0, retryAt - System.nanoTime());
        Message message = queue.poll(wait, TimeUnit.NANOSECONDS);
        switch (message) {
          case null -> {
            if (!latest) {
              failed.clear();
              retryAt = Long.MAX_VALUE;
            }
            if (!failed.isEmpty() && System.nanoTime() >= retryAt) {
              for (Workload workload : List.copyOf(failed.values())) {
                add(workload, failed);
              }
              retryAt = failed.isEmpty() ? Long.MAX_VALUE : System.nanoTime() + RETRY.toNanos();
            }
          }
          case Add(Workload workload) -> {
            add(workload, failed);
            if (failed.isEmpty()) {
              retryAt = Long.MAX_VALUE;
            } else if (retryAt == Long.MAX_VALUE) {
              retryAt = System.nanoTime() + RETRY.toNanos();
            }
          }
          case Delete(String uid) -> {
            failed.remove(uid);
            String error =
                exchange(
                    WorkloadRequest.newBuilder()
                        .setDel(DelWorkload.newBuilder().setUid(uid))
                        .build(),
                    null);
            if (!error.isEmpty()) {
              Log.warn("zds of " + node + ": del " + uid + ": " + error);
            }
          }
          case SnapshotEnd end -> {
            exchange(
                WorkloadRequest.newBuilder()
                    .setSnapshotSent(SnapshotSent.getDefaultInstance())
                    .build(),
                null);
            desk.post(() -> register.synced(node));
          }
          case HangUp hangUp -> {
            return;
          }
        }
      }
    }

    private void add(Workload workload, Map<String, Workload> failed)
        throws InterruptedException, InvalidProtocolBufferException {
      WorkloadRequest request =
          WorkloadRequest.newBuilder()
              .setAdd(
                  AddWorkload.newBuilder()
                      .setUid(workload.uid())
                      .setWorkloadInfo(
                          WorkloadInfo.newBuilder()
                              .setName(workload.name())
                              .setNamespace(workload.namespace())
                              .setServiceAccount(workload.serviceAccount())))
              .build();
      String error;
      Path path = Paths.netns(workload.netns());
      try (Fd netns = Kernel.instance().namespaces().open(path)) {
        error = exchange(request, netns);
      } catch (KernelException e) {
        if (closed || Files.exists(path)) {
          throw e;
        }
        // The pod went before its turn came; its delete is on the way.
        error = "its network namespace is gone";
      }
      if (error.isEmpty()) {
        failed.remove(workload.uid());
      } else {
        failed.put(workload.uid(), workload);
      }
      String verdict = error;
      desk.post(() -> answered(workload.uid(), verdict));
    }

    /** Sends, and returns the error of the answer; empty where there is none. */
    private String exchange(WorkloadRequest request, @Nullable Fd descriptor)
        throws InterruptedException, InvalidProtocolBufferException {
      packets.send(request.toByteArray(), descriptor == null ? List.of() : List.of(descriptor));
      WorkloadResponse response = WorkloadResponse.parseFrom(next(DEADLINE));
      if (!response.hasAck()) {
        throw new LabException("an answer without ack");
      }
      return response.getAck().getError();
    }

    private byte[] next(Duration atMost) throws InterruptedException {
      Optional<byte[]> message = received.poll(atMost.toMillis(), TimeUnit.MILLISECONDS);
      if (message == null) {
        throw new LabException("no answer within " + atMost.toSeconds() + " s");
      }
      return message.orElseThrow(() -> new LabException("the agent closed it"));
    }

    private void read() {
      try {
        while (!closed) {
          try {
            Sockets.Packet packet = packets.receive(MAX_MESSAGE, Duration.ofMinutes(1));
            if (packet == null) {
              break;
            }
            packet.descriptors().forEach(Fd::close);
            if (!received.offer(
                Optional.of(packet.message()), DEADLINE.toMillis(), TimeUnit.MILLISECONDS)) {
              Log.warn("zds of " + node + ": the agent answers what nobody asked; closing");
              break;
            }
          } catch (KernelException e) {
            if (e.errno() != ETIMEDOUT) {
              break;
            }
          }
        }
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
      } finally {
        closed = true;
        var _ = received.offer(Optional.empty());
        var _ = queue.offer(new HangUp());
      }
    }
  }
}
