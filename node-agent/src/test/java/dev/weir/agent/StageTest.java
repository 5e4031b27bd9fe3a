package dev.weir.agent;

import static org.assertj.core.api.Assertions.assertThat;

import dev.weir.testing.Cgroup2;
import dev.weir.testing.NeedsKernel;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

@NeedsKernel
class StageTest {
  private static final Path BPFFS = Path.of("/sys/fs/bpf");
  private static final Path CGROUPS = Cgroup2.root().orElse(Path.of("/sys/fs/cgroup"));

  @TempDir Path logs;
  private final List<Process> started = new ArrayList<>();

  @AfterEach
  void nothingRunsOn() throws Exception {
    for (Process each : started) {
      assertThat(each.destroyForcibly().waitFor(10, TimeUnit.SECONDS)).isTrue();
    }
    Stage.sweep(CGROUPS, BPFFS);
  }

  @Test
  void aSelfTestSweepsWhatAKilledOneLeftAndNotWhatALivingOneHas() throws Exception {
    Process living = selfTest("living");
    awaitPins(living);
    // It would end by itself otherwise, and take its own away.
    signal("-STOP", living);
    List<Path> ofTheLiving = of(living);
    assertThat(ofTheLiving).hasSize(2);
    Process killed = selfTest("killed");
    awaitPins(killed);
    assertThat(killed.destroyForcibly().waitFor(10, TimeUnit.SECONDS)).isTrue();
    assertThat(of(killed)).hasSize(2);

    Process next = selfTest("next");
    assertThat(next.waitFor(60, TimeUnit.SECONDS)).isTrue();

    assertThat(next.exitValue()).as(Files.readString(logs.resolve("next"))).isZero();
    assertThat(of(killed)).isEmpty();
    assertThat(of(next)).isEmpty();
    assertThat(of(living)).isEqualTo(ofTheLiving);
  }

  private Process selfTest(String name) throws IOException {
    Process selfTest =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "--enable-native-access=ALL-UNNAMED",
                "--sun-misc-unsafe-memory-access=allow",
                "-cp",
                System.getProperty("java.class.path"),
                Main.class.getName(),
                "--self-test-only")
            .redirectErrorStream(true)
            .redirectOutput(logs.resolve(name).toFile())
            .start();
    started.add(selfTest);
    return selfTest;
  }

  private void awaitPins(Process selfTest) {
    Awaitility.await()
        .atMost(Duration.ofSeconds(30))
        .pollInterval(Duration.ofMillis(2))
        .until(() -> of(selfTest).size() == 2);
  }

  /** Its cgroup and its folder of pins, those of them that are there. */
  private static List<Path> of(Process selfTest) throws IOException {
    try (Stream<Path> cgroups = Files.list(CGROUPS);
        Stream<Path> pins = Files.list(BPFFS)) {
      return Stream.concat(cgroups, pins)
          .filter(path ->
              path.getFileName().toString().matches(Stage.PREFIX + selfTest.pid() + "(-.*)?"))
          .sorted()
          .toList();
    }
  }

  private static void signal(String signal, Process process) throws Exception {
    // The shell's own: a bare Debian has no program of that name.
    Process kill = new ProcessBuilder("bash", "-c", "kill " + signal + " " + process.pid()).start();
    assertThat(kill.waitFor(10, TimeUnit.SECONDS)).isTrue();
    assertThat(kill.exitValue()).isZero();
  }
}
