package dev.weir.e2e;

import dev.weir.api.json.Json;
import java.io.BufferedReader;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;

/**
 * peer.py inside a pod, there for every case that is asked of it: to enter a pod takes longer than
 * most cases.
 */
final class Attendant implements AutoCloseable {
  private static final long PATIENCE_SECONDS = 180;

  private final Process process;
  private final AtomicLong ids = new AtomicLong();
  private final ConcurrentMap<Long, CompletableFuture<Json>> asked = new ConcurrentHashMap<>();

  Attendant(Process process) {
    this.process = process;
    Thread.ofVirtual().start(this::listen);
  }

  boolean lives() {
    return process.isAlive();
  }

  /** Runs the cases one after another, beside those of other callers. */
  Answers ask(List<Json> cases) {
    long id = ids.incrementAndGet();
    CompletableFuture<Json> answer = new CompletableFuture<>();
    asked.put(id, answer);
    try {
      String line =
          Json.object().with("id", (double) id).with("cases", Json.of(cases)).build().toJson();
      synchronized (process) {
        var in = process.getOutputStream();
        in.write((line + "\n").getBytes(StandardCharsets.UTF_8));
        in.flush();
      }
    } catch (IOException e) {
      answer.completeExceptionally(e);
    }
    Json answers = answer.orTimeout(PATIENCE_SECONDS, TimeUnit.SECONDS).join().get("answers");
    Map<String, Json> byName = new LinkedHashMap<>();
    answers.items().forEach(each -> byName.put(each.get("case").text(), each));
    return new Answers(byName, answers.toJson());
  }

  private void listen() {
    Throwable end;
    try (BufferedReader lines = process.inputReader(StandardCharsets.UTF_8)) {
      for (String line = lines.readLine(); line != null; line = lines.readLine()) {
        Json said = Json.parse(line);
        CompletableFuture<Json> waiting = asked.remove(said.get("id").integer());
        if (waiting != null) {
          waiting.complete(said);
        }
      }
      end =
          new AssertionError(
              "it ended: "
                  + new String(process.getErrorStream().readAllBytes(), StandardCharsets.UTF_8));
    } catch (IOException e) {
      end = e;
    }
    Throwable cause = end;
    asked.values().forEach(each -> each.completeExceptionally(cause));
  }

  @Override
  public void close() {
    process.descendants().forEach(ProcessHandle::destroy);
    process.destroy();
  }
}
