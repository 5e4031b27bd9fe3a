package dev.weir.e2e;

import static org.assertj.core.api.Assertions.assertThat;

import dev.weir.api.json.Json;
import dev.weir.testing.NeedsKernel;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Programs that everybody runs, as pods, opted in, across nodes and on one. */
@NeedsKernel
final class FamousProgramsIT {
  private static Lab lab;

  @BeforeAll
  static void up() {
    lab = Lab.up("famous", yaml());
  }

  @AfterAll
  static void down() {
    lab.close();
  }

  @Test
  void nginxAnswersCurlAndWrk() {
    assertThat(run("client", "curl", "-sS", "--max-time", "10", "http://nginx/"))
        .contains("served by nginx");
    String wrk = run("client", "wrk", "-c", "16", "-t", "2", "-d", "2s", "http://nginx.e2e/");
    assertThat(wrk)
        .contains("requests in")
        .doesNotContain("Socket errors")
        .doesNotContain("Non-2xx");
  }

  @Test
  void pythonServesFiles() {
    assertThat(run("client", "curl", "-sS", "--max-time", "10", "http://files:8000/"))
        .contains("Directory listing");
  }

  @Test
  void socatRelays() {
    assertThat(lab.exec("client", "to and fro\n", "socat", "-t", "5", "-", "TCP:echo:7").ok().out())
        .isEqualTo("to and fro\n");
  }

  @Test
  void redisAnswersItsBenchmark() {
    assertThat(run("client", "redis-cli", "-h", "redis", "set", "k", "v").strip()).isEqualTo("OK");
    assertThat(
            run(
                "client",
                "redis-benchmark",
                "-h",
                "redis",
                "-q",
                "-n",
                "20000",
                "-t",
                "get,set",
                "-P",
                "8"))
        .contains("requests per second");
  }

  @Test
  void postgresAnswersPsql() {
    assertThat(
            run(
                    "client",
                    "psql",
                    "-h",
                    "postgres",
                    "-U",
                    "postgres",
                    "-Atc",
                    "select sum(n) from generate_series(1,1000) n")
                .strip())
        .isEqualTo("500500");
  }

  @Test
  void iperfMovesBytesBothWays() {
    for (String[] command :
        new String[][] {
          {"iperf3", "-t", "1", "-J", "-c", "iperf"},
          {"iperf3", "-t", "1", "-J", "-c", "iperf", "-R"}
        }) {
      Json result = Json.parse(run("client", command));
      assertThat(result.get("error").text()).isEmpty();
      assertThat(result.get("end").get("sum_received").get("bytes").number()).isPositive();
    }
  }

  private static String run(String pod, String... command) {
    return lab.exec(pod, "", command).ok().out();
  }

  private static String yaml() {
    Path postgres =
        postgres()
            .orElseThrow(() -> new AssertionError("PostgreSQL's server is not on this machine"));
    return Lab.yaml("famous.yaml").replace("PGBIN", postgres.toString());
  }

  private static Optional<Path> postgres() {
    Path versions = Path.of("/usr/lib/postgresql");
    if (!Files.isDirectory(versions)) {
      return Optional.empty();
    }
    try (Stream<Path> found = Files.list(versions)) {
      return found
          .map(version -> version.resolve("bin"))
          .filter(bin -> Files.isExecutable(bin.resolve("initdb")))
          .findFirst();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
