package dev.weir.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.weir.api.json.Json;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import picocli.CommandLine.TypeConversionException;

final class ListingsTest {
  private static final String EDGE =
      """
      {"source":{"namespace":"shop","workload":"front","pod":"front"},
       "destination":{"namespace":"shop","service":"catalog.shop.svc.cluster.local","workload":"catalog-v2","pod":"catalog-v2-1","address":"10.244.2.3:8080"},
       "path":"agent","opened":12,"open":2,"failed":1,"bytesSent":2048,"bytesReceived":3145728,"rttMicros":64}
      """;

  private final Output plain =
      new Output(new PrintWriter(new StringWriter()), new PrintWriter(new StringWriter()), false);
  private final Output coloured =
      new Output(new PrintWriter(new StringWriter()), new PrintWriter(new StringWriter()), true);

  @Test
  void anEdgeIsARowOfWhoCallsWhomAndHow() {
    Edge edge = Edge.of("node-1", Json.parse(EDGE));
    assertThat(EdgesCommand.table(List.of(edge), false, plain).text())
        .isEqualTo(
            """
            NODE    FROM   TO                    PATH   OPEN  OPENED  FAILED  SENT     RECEIVED  RTT
            node-1  front  catalog (catalog-v2)  agent  2     12      1       2.0 KiB  3.0 MiB   64 µs
            """);
  }

  @Test
  void coloursTakeNoRoomInAColumn() {
    String text = new Table("A", "B").row(coloured.green("ok"), "x").row("longer", "y").text();
    assertThat(text.replaceAll("\u001b\\[[0-9]*m", ""))
        .isEqualTo("A       B\nok      x\nlonger  y\n");
  }

  @Test
  void yamlSaysWhatJsonSays() {
    assertThat(Yaml.text(Json.parse("{\"a\":[{\"b\":1,\"c\":\"true\"}],\"d\":null,\"e\":0.5}")))
        .isEqualTo("a:\n- b: 1\n  c: 'true'\nd: null\ne: 0.5\n");
  }

  @ParameterizedTest
  @CsvSource({"250ms,PT0.25S", "20s,PT20S", "1m30s,PT1M30S", "2h,PT2H"})
  void durationsAreGoStyle(String given, Duration expected) {
    assertThat(new Durations().convert(given)).isEqualTo(expected);
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "20", "s", "1m 30s", "-3s", "1d", "99999999999s"})
  void whatIsNoDurationIsSaid(String given) {
    assertThatThrownBy(() -> new Durations().convert(given))
        .isInstanceOf(TypeConversionException.class)
        .hasMessageContaining("expected: a time");
  }

  @Test
  void theLastCountsOfTheLoadAreTheOnesThatHold() {
    assertThat(
            LoadCounts.in(
                "x INFO shop: served=1 failed=0 open=true\nx INFO shop: served=42 failed=2 open=true last-failure=front: 502\n"))
        .isEqualTo(new LoadCounts(42, 2, "front: 502"));
    assertThat(LoadCounts.in("nothing yet")).isEqualTo(new LoadCounts(0, 0, ""));
  }
}
