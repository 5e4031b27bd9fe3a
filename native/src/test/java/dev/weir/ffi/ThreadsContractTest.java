package dev.weir.ffi;

import static org.assertj.core.api.Assertions.assertThat;

import dev.weir.testing.NeedsKernel;
import java.nio.file.Files;
import java.nio.file.Path;
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
  void aThreadMayAskForShortSlicesAndStaysAsNiceAsItWas() throws Exception {
    FutureTask<Boolean> task =
        new FutureTask<>(() -> {
          String before = nice();
          boolean taken = Binding.named(binding).threads().slice(100_000);
          assertThat(nice()).isEqualTo(before);
          return taken;
        });
    // A thread of its own: the slice lasts as long as the thread.
    Thread.ofPlatform().name("sliced").start(task);
    assertThat(task.get(10, TimeUnit.SECONDS)).isTrue();
  }
}
