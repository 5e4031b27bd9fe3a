package dev.weir.e2e;

import static org.assertj.core.api.Assertions.assertThat;

import dev.weir.api.json.Json;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** TCP comes out as it went in, whichever way it takes. */
@ExtendWith(MeshLab.class)
final class StreamsIT {
  private static final int GIBIBYTE_IN_MEBIBYTES = 1024;
  private static final double STALLED_AT_MOST_BYTES = 64 << 20;

  @ParameterizedTest
  @EnumSource
  void halfCloseAndResetArriveAsWhatTheyAre(Way way, Lab lab) {
    way.settle(lab);
    Answers answers =
        lab.cases(
            way.client,
            List.of(
                way.does("talk"),
                way.does("server-half-closes"),
                way.does("server-resets"),
                way.does("client-resets"),
                way.does("client-closes")));

    assertThat(answers.get("talk").get("echoed").isTrue()).as(answers.all()).isTrue();
    assertThat(answers.get("server-half-closes").get("ended").isTrue()).as(answers.all()).isTrue();
    assertThat(answers.get("server-half-closes").get("read").text()).isEqualTo("300000");
    assertThat(answers.get("server-resets").get("ends").text()).isEqualTo("reset");
    assertThat(answers.get("client-resets").get("ends").text()).isEqualTo("reset");
    assertThat(answers.get("client-closes").get("ends").text()).isEqualTo("fin");
  }

  @ParameterizedTest
  @EnumSource
  void aGibibyteArrivesByteForByteFromSendfile(Way way, Lab lab) {
    way.settle(lab);
    Json answer =
        lab.one(way.client, Cases.with(way.does("sendfile"), "mebibytes", GIBIBYTE_IN_MEBIBYTES));
    assertThat(answer.get("exact").isTrue()).as(answer.toJson()).isTrue();
  }

  @ParameterizedTest
  @EnumSource
  void aDownloadArrivesByteForByte(Way way, Lab lab) {
    way.settle(lab);
    Json answer = lab.one(way.client, Cases.with(way.does("download"), "mebibytes", 128));
    assertThat(answer.get("exact").isTrue()).as(answer.toJson()).isTrue();
  }

  @ParameterizedTest
  @EnumSource
  void aReaderThatStopsStopsItsWriterWithinBounds(Way way, Lab lab) {
    way.settle(lab);
    long before = rssKiB(lab);
    Json answer =
        lab.one(
            way.client, Cases.with(way.does("slow-reader"), "limit", 2 * STALLED_AT_MOST_BYTES));
    assertThat(answer.get("sent").number())
        .as(answer.toJson())
        .isBetween(1.0, STALLED_AT_MOST_BYTES);
    assertThat(rssKiB(lab) - before).as("the agents' growth in KiB").isLessThan(48 << 10);
  }

  @Test
  void idleConnectionsStillCarryAfterTenSeconds(Lab lab) {
    // All ways at once: what is waited for is the same ten seconds.
    List<CompletableFuture<Json>> answers =
        Arrays.stream(Way.values())
            .map(way ->
                CompletableFuture.supplyAsync(
                    () -> lab.one(way.client, Cases.with(way.does("idle"), "seconds", 10)),
                    task -> Thread.ofVirtual().start(task)))
            .toList();
    for (CompletableFuture<Json> answer : answers) {
      assertThat(answer.join().get("back").text())
          .as(answer.join().toJson())
          .isEqualTo("still here");
    }
  }

  private static long rssKiB(Lab lab) {
    return lab.status().get("nodes").items().stream()
        .mapToLong(node -> node.get("agent").get("rssKiB").integer())
        .sum();
  }
}
