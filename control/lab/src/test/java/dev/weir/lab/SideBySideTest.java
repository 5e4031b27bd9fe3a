package dev.weir.lab;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.weir.testing.NeedsRoot;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
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

  private static final String TIMED =
      """
      apiVersion: v1
      kind: Service
      metadata: {name: timed}
      spec:
        sessionAffinity: ClientIP
        sessionAffinityConfig: {clientIP: {timeoutSeconds: 60}}
        ports: [{port: 80}]
      """;

  private static LabClient up(String name) {
    return LabClient.up(
        UpOptions.named(name)
            .withNodes(1)
            .withMesh(false)
            .withReady(Duration.ofSeconds(60))
            .withSources(List.of(new Source("p.yaml", POD))),
        line -> {},
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

  @Test
  void aLabThatCannotBeMadeLeavesNothing() throws IOException {
    LabClient.down("labbad");
    for (String yaml :
        List.of(
            "kind: [",
            POD.replace("sleep, infinity", "]").replace("]]", "]"),
            POD + "---\n" + POD)) {
      assertThatThrownBy(() ->
              LabClient.up(
                  UpOptions.named("labbad")
                      .withMesh(false)
                      .withSources(List.of(new Source("bad.yaml", yaml))),
                  line -> {},
                  line -> {}))
          .isInstanceOf(LabException.class)
          .hasMessageContaining("bad.yaml:");
    }
    assertThatThrownBy(() ->
            LabClient.up(
                UpOptions.named("labbad").withMesh(false).withZones(Map.of("node-9", "a")),
                line -> {},
                line -> {}))
        .isInstanceOf(LabException.class)
        .hasMessageContaining("node-9");
    assertThatThrownBy(() -> LabClient.up(UpOptions.named("Lab_Bad"), line -> {}, line -> {}))
        .isInstanceOf(LabException.class)
        .hasMessageContaining("Lab_Bad");
    assertThat(traces("labbad")).isEmpty();
  }

  @Test
  void aLabThatIsNotReadyInTimeSaysWhyAndWhatItsObjectsAskForInVainAndStays() throws IOException {
    LabClient.down("labslow");
    List<String> caveats = new ArrayList<>();
    String yaml =
        POD.replace(
            "command: [sleep, infinity]",
            "command: [sleep, infinity], readinessProbe: {tcpSocket: {port: 9}}");
    assertThatThrownBy(() ->
            LabClient.up(
                UpOptions.named("labslow")
                    .withNodes(1)
                    .withMesh(false)
                    .withReady(Duration.ofSeconds(8))
                    .withSources(List.of(new Source("p.yaml", yaml), new Source("s.yaml", TIMED))),
                line -> {},
                caveats::add))
        .isInstanceOf(LabException.class)
        .hasMessageContaining("pod/p (default)")
        .hasMessageContaining("port 9")
        .hasMessageContaining("refused");
    assertThat(caveats)
        .containsExactly(
            "service/timed (default): sessionAffinityConfig.clientIP.timeoutSeconds: 60 is not"
                + " applied: a client keeps its endpoint for as long as that is ready");
    assertThat(LabClient.of("labslow").status().get("pods").items()).hasSize(1);
    LabClient.down("labslow");
    assertThat(traces("labslow")).isEmpty();
  }
}
