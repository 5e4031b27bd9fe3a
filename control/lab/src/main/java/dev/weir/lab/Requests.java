package dev.weir.lab;

import dev.weir.api.json.Json;
import dev.weir.api.json.JsonException;
import java.io.BufferedReader;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.locks.ReentrantLock;

/** The daemon's side of {@link LabClient}: a connection is one request, on a thread of its own. */
final class Requests {
  private final Lab lab;

  /**
   * Commands that add objects or nodes come one at a time: what one has planned, the next must not
   * upset.
   */
  private final ReentrantLock changes = new ReentrantLock();

  Requests(Lab lab) {
    this.lab = lab;
  }

  /** Serves until the process ends. */
  void serve(Path socket) throws IOException {
    try (ServerSocketChannel server = ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
      // The file is there from bind(2) on, but refuses until listen(2): it gets its name when it
      // can be connected to.
      Path fresh = socket.resolveSibling("." + socket.getFileName());
      server.bind(UnixDomainSocketAddress.of(fresh));
      Files.move(fresh, socket, StandardCopyOption.ATOMIC_MOVE);
      while (true) {
        SocketChannel channel = server.accept();
        Thread.ofVirtual().start(() -> converse(channel));
      }
    }
  }

  private void converse(SocketChannel channel) {
    try (channel) {
      String line =
          new BufferedReader(Channels.newReader(channel, StandardCharsets.UTF_8)).readLine();
      if (line == null) {
        return;
      }
      Json answer;
      try {
        answer = Json.object().with("result", answer(Json.parse(line))).build();
      } catch (LabException | JsonException e) {
        answer = Json.object().with("error", String.valueOf(e.getMessage())).build();
      } catch (RuntimeException e) {
        Log.error("a request failed", e);
        answer = Json.object().with("error", "internal error: " + e).build();
      }
      ByteBuffer bytes = StandardCharsets.UTF_8.encode(answer.toJson() + "\n");
      while (bytes.hasRemaining()) {
        channel.write(bytes);
      }
    } catch (IOException e) {
      Log.info("a client went before its answer: " + e.getMessage());
    }
  }

  private Json answer(Json request) {
    String namespace = request.get("namespace").text();
    String kind = request.get("kind").text();
    String name = request.get("name").text();
    return switch (request.get("verb").text()) {
      case "up" -> changing(() -> up(request));
      case "apply" -> changing(() -> lines(lab.apply(sources(request))));
      case "delete" ->
          changing(() ->
              lines(
                  name.isEmpty()
                      ? lab.delete(sources(request))
                      : lab.delete(kind, namespace, name)));
      case "scale" ->
          done(() -> lab.scale(kind, namespace, name, (int) request.get("replicas").integer()));
      case "annotate" -> done(() -> lab.annotate(kind, namespace, name, changes(request)));
      case "label" -> done(() -> lab.label(kind, namespace, name, changes(request)));
      case "await" ->
          done(() -> lab.awaitReady(Duration.ofMillis(request.get("readyMillis").integer())));
      case "agent" ->
          done(() -> lab.agent(request.get("node").text(), request.get("action").text()));
      case "control" -> done(() -> lab.control(request.get("action").text()));
      case "log" -> Json.of(lab.log(namespace, name, request.get("container").text()));
      case "status" -> lab.status();
      default ->
          throw new LabException(
              "verb '"
                  + request.get("verb").text()
                  + "' is unknown to this daemon; is it older than the CLI?");
    };
  }

  private Json up(Json request) {
    Map<String, String> zones = new LinkedHashMap<>();
    request.get("zones").fieldsByName().forEach((node, zone) -> zones.put(node, zone.text()));
    return lines(
        lab.up(
            (int) request.get("nodes").integer(),
            zones,
            request.get("mesh").isTrue(),
            request.get("agentArgs").items().stream().map(Json::text).toList(),
            sources(request)));
  }

  private interface Answered {
    Json get();
  }

  private Json changing(Answered work) {
    changes.lock();
    try {
      return work.get();
    } finally {
      changes.unlock();
    }
  }

  private static Json done(Runnable work) {
    work.run();
    return Json.of(true);
  }

  private static Json lines(List<String> lines) {
    return Json.of(lines.stream().map(Json::of).toList());
  }

  private static List<Source> sources(Json request) {
    return request.get("sources").items().stream()
        .map(source -> new Source(source.get("name").text(), source.get("text").text()))
        .toList();
  }

  private static Map<String, Optional<String>> changes(Json request) {
    Map<String, Optional<String>> changes = new LinkedHashMap<>();
    request
        .get("changes")
        .fieldsByName()
        .forEach((key, value) ->
            changes.put(key, value.isNull() ? Optional.empty() : Optional.of(value.text())));
    return changes;
  }
}
