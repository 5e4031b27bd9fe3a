package dev.weir.agent.fairness;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class LoopTimesTest {
  @TempDir Path tasks = Path.of("");

  private void thread(int number, String name, String times) throws IOException {
    Path folder = Files.createDirectory(tasks.resolve(Integer.toString(number)));
    Files.writeString(folder.resolve("comm"), name + "\n");
    Files.writeString(folder.resolve("schedstat"), times + "\n");
  }

  @Test
  void aThreadIsFoundByItsName() throws IOException {
    thread(7, "other", "1 2 3");
    thread(8, "a-very-long-nam", "4711 2 3");
    LoopTimes times = new LoopTimes(tasks);
    assertThat(times.cpuNanos("a-very-long-name")).isEqualTo(4711);
    assertThat(times.cpuNanos("nobody")).isEqualTo(-1);
  }

  @Test
  void theKernelTellsOfAThreadOfOurs() throws InterruptedException {
    AtomicLong told = new AtomicLong();
    Thread.ofPlatform()
        .name("loop-times-test")
        .start(() -> told.set(LoopTimes.ofThisProcess().cpuNanos("loop-times-test")))
        .join();
    assertThat(told.get()).isPositive();
  }
}
