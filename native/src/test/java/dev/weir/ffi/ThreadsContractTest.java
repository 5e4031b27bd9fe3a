package dev.weir.ffi;

import static org.assertj.core.api.Assertions.assertThat;

import dev.weir.testing.NeedsKernel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Objects;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.Parameter;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.ValueSource;

@NeedsKernel
@ParameterizedClass
@ValueSource(strings = {"ffm", "jnr"})
class ThreadsContractTest {
  private static final int NICE = 18;

  @Parameter String binding = "";

  /** proc(5); our threads' names are one word. */
  private static String nice() throws Exception {
    return Files.readString(Path.of("/proc/thread-self/stat")).split(" ", -1)[NICE];
  }

  @Test
  void aThreadKnowsWhatItHadOfAProcessor() {
    Threads threads = Binding.named(binding).threads();
    long began = System.nanoTime();
    long before = threads.cpuNanos();
    long worked;
    do {
      worked = threads.cpuNanos() - before;
    } while (worked < 20_000_000);
    assertThat(System.nanoTime() - began).isGreaterThanOrEqualTo(worked);
  }

  @Test
  void aThreadIsScheduledAsItAsks() throws Exception {
    FutureTask<String> task =
        new FutureTask<>(() -> {
          Threads threads = Binding.named(binding).threads();
          Scheduling before = Objects.requireNonNull(threads.scheduling());
          Scheduling wanted = new Scheduling(before.nice() + 1, 300_000);
          assertThat(threads.schedule(wanted)).isTrue();
          assertThat(threads.scheduling()).isEqualTo(wanted);
          // Root may take it back.
          assertThat(threads.schedule(new Scheduling(before.nice() - 1, 100_000))).isTrue();
          return "%d %s".formatted(before.nice() - 1, nice());
        });
    // A thread of its own: what it asks for lasts as long as the thread.
    Thread.ofPlatform().name("scheduled").start(task);
    String[] wantedAndSeen = task.get(10, TimeUnit.SECONDS).split(" ", -1);
    assertThat(wantedAndSeen[1]).isEqualTo(wantedAndSeen[0]);
  }
}
