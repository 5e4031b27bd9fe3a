package dev.weir.agent.enrolment;

import com.google.protobuf.InvalidProtocolBufferException;
import dev.weir.agent.capture.Enroller;
import dev.weir.agent.log.Log;
import dev.weir.api.proto.zds.Ack;
import dev.weir.api.proto.zds.AddWorkload;
import dev.weir.api.proto.zds.Version;
import dev.weir.api.proto.zds.WorkloadInfo;
import dev.weir.api.proto.zds.WorkloadRequest;
import dev.weir.api.proto.zds.WorkloadResponse;
import dev.weir.api.proto.zds.ZdsHello;
import dev.weir.ffi.Fd;
import dev.weir.ffi.KernelException;
import dev.weir.ffi.Sockets;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/**
 * The agent's end of ZDS: connect, say hello, then one answer to each message, in order. The
 * enroller sends all pods that it knows, then SnapshotSent; what it did not name by then is gone. A
 * lost or senseless connection changes nothing for enrolled pods; the client comes back with
 * back-off and the next snapshot settles what changed meanwhile.
 */
public final class ZdsClient implements AutoCloseable {
  // The protocol's bound on a message.
  private static final int MAX_MESSAGE_BYTES = 1024;
  private static final Duration CONNECT_TIMEOUT = Duration.ofSeconds(2);
  // The enroller gives up on an answer after 5 s: a late refusal is of more use to it than none.
  private static final Duration ANSWER_WITHIN = Duration.ofMillis(4_500);
  private static final Duration LOOK_FOR_STOP = Duration.ofMillis(500);
  private static final long FIRST_BACK_OFF_MILLIS = 50;
  private static final long LAST_BACK_OFF_MILLIS = 1_000;
  // An Ack and its error must fit into the protocol's message too.
  private static final int MAX_ERROR_BYTES = 900;

  private final Path socketFile;
  private final Enroller enroller;
  private final Sockets sockets;
  private final Log log;
  private final Thread thread;

  private volatile boolean stopped;
  private volatile boolean connected;
  private volatile boolean stays = true;
  private volatile boolean renewing;
  private volatile boolean snapshotSeen;

  public ZdsClient(Path socketFile, Enroller enroller, Sockets sockets, Log log) {
    this.socketFile = socketFile;
    this.enroller = enroller;
    this.sockets = sockets;
    this.log = log;
    this.thread = Thread.ofPlatform().name("weir-zds").daemon().unstarted(this::run);
  }

  public void start() {
    thread.start();
  }

  public boolean connected() {
    return connected;
  }

  /** Whether a whole snapshot has been taken over since the start, by whichever connection. */
  public boolean snapshotSeen() {
    return snapshotSeen;
  }

  /**
   * Another agent serves the node: the enroller is heard while it still speaks, so that pods which
   * go are let go, but a new connection would be taken for that of the newest agent.
   */
  public void stayAway() {
    stays = false;
  }

  /** This agent serves the node again: connects afresh, and so is told of all pods. */
  public void comeBack() {
    if (!stays) {
      stays = true;
      renewing = true;
      LockSupport.unpark(thread);
    }
  }

  @Override
  public void close() {
    stopped = true;
    LockSupport.unpark(thread);
    try {
      thread.join(Duration.ofSeconds(2));
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private void run() {
    long backOffMillis = FIRST_BACK_OFF_MILLIS;
    String lastProblem = "";
    while (!stopped) {
      boolean useful = false;
      if (!stays) {
        LockSupport.parkNanos(LOOK_FOR_STOP.toNanos());
        continue;
      }
      renewing = false;
      try (Sockets.Packets packets = sockets.connectPackets(socketFile, CONNECT_TIMEOUT)) {
        Conversation conversation = new Conversation(packets);
        try {
          conversation.hold();
        } finally {
          useful = conversation.useful;
        }
        lastProblem = "";
      } catch (KernelException | ZdsException | InterruptedException e) {
        // An enroller that is away for an hour is worth one line, not one a second.
        String problem = String.valueOf(e.getMessage());
        if (useful || !problem.equals(lastProblem)) {
          log.warn(
              "enroller lost: enrolled pods stay as they are, trying again",
              "socket",
              socketFile,
              "cause",
              problem);
          lastProblem = problem;
        }
      } finally {
        connected = false;
      }
      backOffMillis =
          useful ? FIRST_BACK_OFF_MILLIS : Math.min(backOffMillis * 2, LAST_BACK_OFF_MILLIS);
      if (!stopped) {
        LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(backOffMillis));
      }
    }
  }

  /** One connection, from hello to its end. */
  private final class Conversation {
    private final Sockets.Packets packets;
    // A whole snapshot came over this connection: the other end speaks the protocol.
    private boolean useful;

    Conversation(Sockets.Packets packets) {
      this.packets = packets;
    }

    void hold() throws InterruptedException {
      packets.send(ZdsHello.newBuilder().setVersion(Version.V1).build().toByteArray(), List.of());
      await(enroller.snapshotBegin());
      connected = true;
      log.info("enroller connected", "socket", socketFile);
      while (!stopped && !renewing) {
        Sockets.Packet packet;
        try {
          packet = packets.receive(MAX_MESSAGE_BYTES, LOOK_FOR_STOP);
        } catch (KernelException e) {
          if (e.errno() == ETIMEDOUT) {
            continue;
          }
          throw e;
        }
        if (packet == null) {
          throw new ZdsException("the enroller closed the connection");
        }
        answer(packet);
      }
    }

    private void answer(Sockets.Packet packet) throws InterruptedException {
      // Whoever takes a descriptor out of the array owns it; what is left is closed here.
      @Nullable Fd[] descriptors = packet.descriptors().toArray(new @Nullable Fd[0]);
      String error;
      try {
        WorkloadRequest request = parse(packet.message());
        error =
            switch (request.getPayloadCase()) {
              case ADD -> add(request.getAdd(), descriptors);
              case KEEP -> {
                String uid = request.getKeep().getUid();
                yield uid.isEmpty() ? "keep: uid is empty" : await(enroller.keep(uid));
              }
              case DEL -> {
                String uid = request.getDel().getUid();
                yield uid.isEmpty() ? "del: uid is empty" : await(enroller.remove(uid));
              }
              case SNAPSHOT_SENT -> {
                String problem = await(enroller.snapshotEnd());
                useful = true;
                snapshotSeen = true;
                yield problem;
              }
              case PAYLOAD_NOT_SET ->
                  throw new ZdsException(
                      "a message of %d bytes is none that ZDS version 1 knows"
                          .formatted(packet.message().length));
            };
      } finally {
        for (Fd descriptor : descriptors) {
          if (descriptor != null) {
            descriptor.close();
          }
        }
      }
      packets.send(
          WorkloadResponse.newBuilder()
              .setAck(Ack.newBuilder().setError(shortened(error)))
              .build()
              .toByteArray(),
          List.of());
    }

    private String add(AddWorkload add, @Nullable Fd[] descriptors) throws InterruptedException {
      WorkloadInfo info = add.getWorkloadInfo();
      if (add.getUid().isEmpty() || info.getName().isEmpty() || info.getNamespace().isEmpty()) {
        return "add: uid, name and namespace are needed";
      }
      if (descriptors.length != 1) {
        return "add %s: %d descriptors came along (expected: one, of its network namespace)"
            .formatted(add.getUid(), descriptors.length);
      }
      Fd netns = Objects.requireNonNull(descriptors[0]);
      descriptors[0] = null;
      String account = info.getServiceAccount().isEmpty() ? "default" : info.getServiceAccount();
      return await(
          enroller.add(
              new Enroller.PodName(add.getUid(), info.getNamespace(), info.getName(), account),
              netns));
    }
  }

  private static final int ETIMEDOUT = 110;

  private static WorkloadRequest parse(byte[] message) {
    try {
      return WorkloadRequest.parseFrom(message);
    } catch (InvalidProtocolBufferException e) {
      throw new ZdsException(
          "a message of %d bytes is not ZDS: %s".formatted(message.length, e.getMessage()));
    }
  }

  /** Empty when done, else why not. */
  private static String await(CompletionStage<?> stage) throws InterruptedException {
    try {
      stage.toCompletableFuture().get(ANSWER_WITHIN.toMillis(), TimeUnit.MILLISECONDS);
      return "";
    } catch (ExecutionException e) {
      Throwable cause = e.getCause() == null ? e : e.getCause();
      String message = cause.getMessage();
      return message == null || message.isEmpty() ? cause.getClass().getSimpleName() : message;
    } catch (TimeoutException e) {
      return "not done within %d ms; still trying".formatted(ANSWER_WITHIN.toMillis());
    }
  }

  private static String shortened(String error) {
    byte[] bytes = error.getBytes(StandardCharsets.UTF_8);
    if (bytes.length <= MAX_ERROR_BYTES) {
      return error;
    }
    int end = MAX_ERROR_BYTES;
    while ((bytes[end] & 0xC0) == 0x80) {
      end--;
    }
    return new String(bytes, 0, end, StandardCharsets.UTF_8);
  }
}
