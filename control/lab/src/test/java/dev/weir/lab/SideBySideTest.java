package dev.weir.lab;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** Labs beside each other, and the end of one whose daemon died. */
@NeedsRoot
class SideBySideTest {
  private static final String POD =
      """
      apiVersion: v1
      kind: Pod
      metadata: {name: p}
      spec: {containers: [{name: c, command: [sleep, infinity]}]}
      """;

  private static LabClient up(String name) {
    return LabClient.up(
        UpOptions.named(name)
            .withNodes(1)
            .withMesh(false)
            .withReady(Duration.ofSeconds(60))
            .withSources(List.of(new Source("p.yaml", POD))),
        line -> {});
  }

  /** Everything on the machine that bears the name of one of the two labs. */
  private static Set<String> traces(String prefix) throws IOException {
    Set<String> traces = new TreeSet<>();
    for (Path folder : List.of(Path.of("/run/netns"), Cgroups.root(), Path.of("/run/weir-lab"))) {
      if (Files.isDirectory(folder)) {
        try (Stream<Path> entries = Files.list(folder)) {
          entries
              .filter(entry ->
                  entry.getFileName().toString().startsWith(prefix)
                      || entry.getFileName().toString().startsWith("weir-" + prefix))
              .forEach(entry -> traces.add(entry.toString()));
        }
      }
    }
    return traces;
  }

  @Test
  void theEndOfOneLabLeavesAnotherAloneThoughItsNameBeginsAlike() throws IOException {
    LabClient.down("labside");
    LabClient.down("labside-b");
    LabClient a = up("labside");
    LabClient b = up("labside-b");
    long daemon = Long.parseLong(Files.readString(a.paths().pid()).strip());
    assertThat(ProcessHandle.of(daemon)).isPresent();
    ProcessHandle.of(daemon).orElseThrow().destroyForcibly();
    LabClient.down("labside");
    LabClient.down("labside");
    assertThat(traces("labside")).isNotEmpty().allMatch(trace -> trace.contains("labside-b"));
    assertThat(b.status().get("missing").items()).isEmpty();
    LabClient.down("labside-b");
    assertThat(traces("labside")).isEmpty();
  }
}
