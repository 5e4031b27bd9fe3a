package dev.weir.e2e;

import static org.assertj.core.api.Assertions.assertThat;

import dev.weir.api.json.Json;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** What Weir makes in the kernel is counted before and after. */
@ExtendWith(MeshLab.class)
final class LeaksIT {
  private static final int CYCLES = 20;
  private static final int UPGRADES = 5;

  // An agent keeps a few sockets ready for pods that are busy.
  private static final int SPARE_SOCKETS = 16;

  @Test
  void twentyKilledAgentsLeaveNothingBehind(Lab lab) throws Exception {
    cycle(lab);
    Map<String, Integer> before = inTheKernel();
    for (int i = 0; i < CYCLES; i++) {
      cycle(lab);
    }
    Waiting.until(
        "the kernel to hold what it held before, " + before, () -> inTheKernel().equals(before));
  }

  @Test
  void fiveUpgradesLeaveNothingBehind(Lab lab) {
    upgrade(lab);
    Map<String, Integer> before = inTheKernel();
    int descriptors = descriptors(lab);
    for (int i = 0; i < UPGRADES; i++) {
      upgrade(lab);
    }
    Waiting.until(
        "the kernel to hold what it held before, " + before, () -> inTheKernel().equals(before));
    Waiting.until(
        "the agent to hold about as many descriptors as its predecessor, " + descriptors,
        () -> Math.abs(descriptors(lab) - descriptors) <= SPARE_SOCKETS);
  }

  @Test
  void aLabThatIsDownLeavesTheMachineAsItWas() throws Exception {
    Map<String, Integer> before = inTheKernel();
    Map<String, Integer> files = onTheMachine();
    Lab lab = Lab.up("gone", Lab.yaml("mesh.yaml"), "--nodes", "1");
    lab.one("in-a", Cases.of("talk", "in-b", 80));
    kill(lab.status().get("nodes").items().getFirst().get("agent").get("pid").integer());
    kill(Long.parseLong(Files.readString(Path.of("/run/weir-lab", lab.name(), "lab.pid")).strip()));
    lab.close();
    Waiting.until(
        "the kernel to hold what it held before, " + before, () -> inTheKernel().equals(before));
    assertThat(onTheMachine()).isEqualTo(files);
    lab.close();
  }

  private static void kill(long pid) {
    assertThat(ProcessHandle.of(pid).orElseThrow().destroyForcibly()).isTrue();
  }

  private static void upgrade(Lab lab) {
    lab.lab("agent", "node-1", "upgrade").ok();
    Json answer = lab.one("in-a", Cases.of("talk", "in-c", 80));
    assertThat(answer.get("echoed").isTrue()).as(answer.toJson()).isTrue();
    Waiting.until(
        "the former agent to have ended", () -> node(lab).get("draining").items().isEmpty());
  }

  private static int descriptors(Lab lab) {
    long pid = node(lab).get("agent").get("pid").integer();
    try (Stream<Path> open = Files.list(Path.of("/proc", Long.toString(pid), "fd"))) {
      return (int) open.count();
    } catch (IOException e) {
      throw new AssertionError("agent " + pid, e);
    }
  }

  private static Json node(Lab lab) {
    return lab.status().get("nodes").items().stream()
        .filter(node -> node.get("name").text().equals("node-1"))
        .findFirst()
        .orElseThrow();
  }

  private static void cycle(Lab lab) {
    lab.lab("agent", "node-1", "kill").ok();
    lab.lab("agent", "node-1", "start").ok();
    Waiting.until("the agent to be ready", () -> isReady(lab));
    Json answer = lab.one("in-a", Cases.of("talk", "in-c", 80));
    assertThat(answer.get("echoed").isTrue()).as(answer.toJson()).isTrue();
  }

  private static boolean isReady(Lab lab) {
    return node(lab).get("agent").get("state").text().equals("ready");
  }

  private static Map<String, Integer> inTheKernel() {
    Map<String, Integer> counts = new TreeMap<>();
    for (String kind : new String[] {"prog", "map", "link"}) {
      counts.put(
          kind,
          (int)
              output("bpftool", kind, "list")
                  .lines()
                  .filter(line -> line.matches("^\\d+: .*"))
                  .count());
    }
    counts.put("netns", (int) output("ip", "netns", "list").lines().count());
    counts.put("namespaces", (int) output("lsns", "-n", "-t", "net", "-o", "NS").lines().count());
    return counts;
  }

  private static Map<String, Integer> onTheMachine() throws IOException {
    Map<String, Integer> counts = new TreeMap<>();
    for (String folder :
        new String[] {
          "/run/weir-lab",
          "/sys/fs/bpf",
          "/sys/fs/cgroup/unified",
          "/sys/fs/cgroup/memory",
          "/sys/fs/cgroup/pids"
        }) {
      Path path = Path.of(folder);
      if (Files.isDirectory(path)) {
        try (Stream<Path> entries = Files.list(path)) {
          counts.put(folder, (int) entries.count());
        }
      }
    }
    counts.put("nft", output("nft", "list", "tables").length());
    counts.put("links", (int) output("ip", "-o", "link").lines().count());
    counts.put("mounts", Files.readAllLines(Path.of("/proc/self/mountinfo")).size());
    return counts;
  }

  private static String output(String... command) {
    try {
      Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
      String out = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
      if (process.waitFor() != 0) {
        throw new AssertionError(String.join(" ", command) + ": " + out);
      }
      return out;
    } catch (IOException | InterruptedException e) {
      throw new AssertionError(String.join(" ", command), e);
    }
  }
}
