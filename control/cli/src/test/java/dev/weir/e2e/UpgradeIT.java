package dev.weir.e2e;

import static org.assertj.core.api.Assertions.assertThat;

import dev.weir.api.json.Json;
import dev.weir.testing.NeedsKernel;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Supplier;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Agents that are replaced while traffic goes on. */
@NeedsKernel
final class UpgradeIT {
  private static final Pattern REQUESTS = Pattern.compile("(\\d+) requests in");
  private static final Pattern DOOR = Pattern.compile("admin-(\\d+)\\.sock");
  private static final Pattern CALLS = Pattern.compile("calls=(\\d+)");
  private static Lab lab;

  @BeforeAll
  static void up() {
    lab =
        Lab.up(
            "upgrade",
            Lab.yaml("mesh.yaml") + "---\n" + Lab.yaml("upgrade.yaml"),
            // Long enough to be seen, and no longer than that, a dozen times.
            "--agent-arg=--practice=2");
  }

  @AfterAll
  static void down() {
    lab.close();
  }

  @AfterEach
  void theMeshIsWholeAgain() {
    for (String node : List.of("node-1", "node-2")) {
      if (!agent(lab, node).get("state").text().equals("ready")) {
        lab.lab("agent", node, "start").ok();
      }
    }
  }

  @Test
  void upgradesUnderLoadAreNoticedByNoConnectionAndNoQuestion() {
    // A starting agent may take the processor from all others for seconds; who is forgotten waits
    // for ever.
    String patience = "20s";
    // Each request on a connection of its own.
    String once = "Connection: close";
    AtomicBoolean upgraded = new AtomicBoolean();
    CompletableFuture<List<Json>> names = later(() -> askNames(upgraded));
    List<String> said = new ArrayList<>();
    try (var near = lab.load("load", "-c", "64", "--timeout", patience, "http://web-near/");
        var far = lab.load("load", "-c", "64", "--timeout", patience, "http://web-far/");
        var nearOnce =
            lab.load("load", "-c", "8", "--timeout", patience, "-H", once, "http://web-near/");
        var farOnce =
            lab.load("load", "-c", "64", "--timeout", patience, "-H", once, "http://web-far/");
        var direct = lab.hold("in-a", "in-b", 80, "v4");
        var joined = lab.hold("joined-a", "joined-b", 80, "v4");
        var tunnelled = lab.hold("in-a", "in-c", 80, "v4")) {
      for (int i = 0; i < 2; i++) {
        for (String node : List.of("node-1", "node-2")) {
          lab.lab("agent", node, "upgrade").ok();
          assertThat(direct.say("on")).isEqualTo("on");
          assertThat(joined.say("on")).isEqualTo("on");
          assertThat(tunnelled.say("on")).isEqualTo("on");
        }
      }
      for (Lab.Load load : List.of(near, far, nearOnce, farOnce)) {
        said.add(load.end());
      }
    } finally {
      upgraded.set(true);
    }
    for (String load : said) {
      assertThat(load).doesNotContain("Socket errors").doesNotContain("Non-2xx");
      Matcher requests = REQUESTS.matcher(load);
      assertThat(requests.find()).as(load).isTrue();
      assertThat(Long.parseLong(requests.group(1))).as(load).isGreaterThan(100);
    }
    List<Json> asked = names.join();
    assertThat(asked.stream().mapToLong(each -> each.get("asked").integer()).sum())
        .isGreaterThan(1_000);
    assertThat(asked)
        .allSatisfy(each -> assertThat(each.get("lost").integer()).as(each.toJson()).isZero());
    Waiting.until("former agents to have ended", () -> draining(lab).isEmpty());
  }

  private static List<Json> askNames(AtomicBoolean until) {
    List<Json> all = new ArrayList<>();
    while (!until.get()) {
      all.add(lab.one("in-a", Cases.with(Cases.of("dns-storm", "in-b", 53), "seconds", 5)));
    }
    return all;
  }

  @Test
  void aConnectionGoesOnThroughTheAgentThatAcceptedItWhichEndsAfterIt() {
    long first = agent(lab, "node-1").get("pid").integer();
    long second;
    try (var old = lab.hold("in-a", "in-c", 80, "v4")) {
      lab.lab("agent", "node-1", "upgrade").ok();
      second = agent(lab, "node-1").get("pid").integer();
      assertThat(second).isNotEqualTo(first);
      assertThat(old.say("through the first agent")).isEqualTo("through the first agent");
      assertThat(draining(lab))
          .extracting(each -> each.get("pid").integer())
          .containsExactly(first);
      assertThat(WeirCommand.run("status", "--name", lab.name()).ok().out())
          .contains("draining", "pid " + first + ", finishes 1 connections");
      // A second upgrade while the first agent still drains.
      try (var young = lab.hold("off-a", "in-b", 80, "v4")) {
        lab.lab("agent", "node-1", "upgrade").ok();
        assertThat(old.say("still")).isEqualTo("still");
        assertThat(young.say("as well")).isEqualTo("as well");
        assertThat(draining(lab))
            .extracting(each -> each.get("pid").integer())
            .containsExactlyInAnyOrder(first, second);
      }
      Waiting.until("the second agent to have ended", () -> !isAlive(second));
      assertThat(isAlive(first)).isTrue();
      assertThat(old.say("last")).isEqualTo("last");
    }
    Waiting.until("the first agent to have ended", () -> !isAlive(first));
    assertThat(draining(lab)).isEmpty();
  }

  /** The client's agent, then the server's: both ends of the tunnels between them. */
  @ParameterizedTest
  @ValueSource(strings = {"node-1", "node-2"})
  void anAgentThatIsKilledUnderLoadTakesOnlyItsConnectionsWithIt(String node) {
    Way.DIRECT.settle(lab);
    Way.JOINED.settle(lab);
    List<CompletableFuture<String>> loads =
        Stream.of("http://web-near/", "http://web-far/")
            .map(url ->
                later(() ->
                    lab.exec("load", "", "wrk", "-t1", "-c", "16", "-d", "8s", url).ok().out()))
            .toList();
    try (var direct = lab.hold("in-a", "in-b", 80, "v4");
        var joined = lab.hold("joined-a", "joined-b", 80, "v4");
        var near = lab.hold("off-a", "in-b", 80, "v4");
        var far = lab.hold("in-a", "in-c", 80, "v4")) {
      lab.lab("agent", node, "kill").ok();
      assertThat(direct.say("on")).isEqualTo("on");
      assertThat(joined.say("on")).isEqualTo("on");
      assertThat(far.say("gone")).doesNotContain("gone");
      if (node.equals("node-1")) {
        assertThat(near.say("gone")).doesNotContain("gone");
      } else {
        assertThat(near.say("on")).isEqualTo("on");
      }
      lab.lab("agent", node, "start").ok();
      Waiting.within(
          1,
          "a connection through the next agent",
          () ->
              lab.one("off-a", Cases.of("talk", "in-b", 80)).get("echoed").isTrue()
                  && lab.one("in-a", Cases.of("talk", "in-c", 80)).get("echoed").isTrue());
      assertThat(direct.say("on")).isEqualTo("on");
      assertThat(joined.say("on")).isEqualTo("on");
    }
    assertThat(loads)
        .extracting(CompletableFuture::join)
        .allMatch(each -> each.contains("requests in"));
  }

  @Test
  void anAgentThatEndsAloneWaitsBrieflyAndTellsWhatItCut() throws IOException {
    try (var relayed = lab.hold("in-a", "in-c", 80, "v4")) {
      long start = System.nanoTime();
      lab.lab("agent", "node-1", "stop").ok();
      assertThat((System.nanoTime() - start) / 1_000_000_000L).as("seconds").isBetween(4L, 15L);
      assertThat(relayed.say("gone")).doesNotContain("gone");
      assertThat(Files.readString(Path.of("/run/weir-lab", lab.name(), "nodes/node-1/agent.log")))
          .contains("connections are reset: they did not end in time connections=1");
    }
  }

  @Test
  void aSuccessorThatCannotServeLeavesTheFormerAgentInCharge() {
    lab.lab("control", "kill").ok();
    try {
      long pid = agent(lab, "node-1").get("pid").integer();
      long direct = lab.opened("node-1", "off-a", "in-b", "direct");
      // Without a control plane it learns nothing, so it is never ready.
      WeirCommand.Outcome outcome = lab.lab("agent", "node-1", "upgrade");
      assertThat(outcome.status()).isNotZero();
      assertThat(outcome.err()).contains("did not take over", "the old one stays");
      assertThat(agent(lab, "node-1").get("pid").integer()).isEqualTo(pid);
      assertThat(agent(lab, "node-1").get("state").text()).isEqualTo("ready");
      for (int i = 0; i < 3; i++) {
        Json answer = lab.one("off-a", Cases.of("talk", lab.ip("in-b", "v4"), 8080));
        assertThat(answer.get("echoed").isTrue()).as(answer.toJson()).isTrue();
      }
      assertThat(lab.opened("node-1", "off-a", "in-b", "direct"))
          .as("what the pods asked for still holds")
          .isEqualTo(direct);
      Waiting.until("pods to be enrolled again", () -> lab.isEnrolled("off-a"));
    } finally {
      lab.lab("control", "start").ok();
    }
    lab.lab("agent", "node-1", "upgrade").ok();
  }

  @Test
  void anAgentPractisesWhileTheFormerOneServesAndNotWhereNobodyDoes() {
    lab.lab("agent", "node-1", "upgrade").ok();
    List<String> log = log("node-1");
    int practised = lastOf(log, "INFO agent: practised calls=");
    assertThat(practised).isNotNegative();
    assertThat(lastOf(log, "INFO agent: ready")).isGreaterThan(practised);
    Matcher calls = CALLS.matcher(log.get(practised));
    assertThat(calls.find()).isTrue();
    assertThat(Integer.parseInt(calls.group(1))).isGreaterThan(100);
    lab.lab("agent", "node-1", "restart").ok();
    List<String> later = log("node-1");
    assertThat(lastOf(later, "INFO agent: ready")).isGreaterThan(log.size());
    assertThat(lastOf(later, "INFO agent: practised")).isEqualTo(practised);
  }

  @Test
  void joiningIsTestedAlsoByAnAgentThatIsNeverAtLeisure() {
    lab.lab("agent", "node-1", "restart").ok();
    int ready = lastOf(log("node-1"), "INFO agent: ready");
    try (var load = lab.load("load", "-c", "16", "http://web-far/")) {
      Waiting.within(
          15,
          "the self-test of joining",
          () -> lastOf(log("node-1"), "INFO capture: sockets may be joined") > ready);
      assertThat(load.end()).containsPattern(REQUESTS);
    }
  }

  /** Together they were a fifth of a start. */
  @Test
  void anAgentNeitherCopiesItsLibrariesNorStartsTheFlightRecorder() throws IOException {
    long pid = agent(lab, "node-1").get("pid").integer();
    assertThat(Files.readAllLines(Path.of("/proc/" + pid + "/maps")))
        .filteredOn(line -> line.contains("libnetty"))
        .isNotEmpty()
        .noneMatch(line -> line.endsWith("(deleted)"));
    assertThat(loaded(pid, "io.netty.buffer.ByteBuf")).isTrue();
    assertThat(loaded(pid, "jdk.jfr.Event")).isFalse();
  }

  private static boolean loaded(long pid, String type) throws IOException {
    Path jcmd = Path.of(System.getProperty("java.home"), "bin", "jcmd");
    Process asked =
        new ProcessBuilder(jcmd.toString(), Long.toString(pid), "VM.class_hierarchy", "-s", type)
            .redirectErrorStream(true)
            .start();
    String answer = new String(asked.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertThat(answer).startsWith(pid + ":").doesNotContain("Exception");
    return answer.contains("|--" + type + "/");
  }

  @Test
  void whereTheFormerAgentDiesTheOneThatPractisesServesAtOnce() {
    long former = agent(lab, "node-1").get("pid").integer();
    CompletableFuture<WeirCommand.Outcome> upgrade =
        later(() -> lab.lab("agent", "node-1", "upgrade"));
    Waiting.until("the next agent to practise", UpgradeIT::somebodyPractises);
    Json next = youngest();
    assertThat(next.get("ready").isTrue()).as("ready, beside one that serves").isFalse();
    assertThat(next.get("notReady").toJson()).contains("not accepted yet");
    assertThat(ProcessHandle.of(former).orElseThrow().destroyForcibly()).isTrue();
    Waiting.until(
        "somebody to serve",
        () -> {
          Json answer = lab.one("off-a", Cases.of("talk", lab.ip("in-b", "v4"), 8080));
          return answer.get("echoed").isTrue();
        });
    assertThat(upgrade.join().ok().status()).isZero();
    assertThat(agent(lab, "node-1").get("pid").integer()).isNotEqualTo(former);
    Waiting.until("the practice to end", () -> !somebodyPractises());
  }

  /** What the agent of node-1 that was started last says of itself. */
  private static Json youngest() {
    Path folder = Path.of("/run/weir-lab", lab.name(), "nodes/node-1");
    try (Stream<Path> all = Files.list(folder)) {
      Path socket =
          all.filter(each -> DOOR.matcher(each.getFileName().toString()).matches())
              .max(Comparator.comparingInt(UpgradeIT::number))
              .orElseThrow();
      return Json.parse(AdminDoor.get(socket, "/status"));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static int number(Path door) {
    return Integer.parseInt(DOOR.matcher(door.getFileName().toString()).replaceAll("$1"));
  }

  /** Whether an agent, of any lab, does. */
  private static boolean somebodyPractises() {
    return ProcessHandle.allProcesses()
        .anyMatch(process -> {
          try (Stream<Path> threads = Files.list(Path.of("/proc/" + process.pid() + "/task"))) {
            return threads.anyMatch(UpgradeIT::isPractising);
          } catch (IOException | UncheckedIOException e) {
            // It has ended since.
            return false;
          }
        });
  }

  private static boolean isPractising(Path thread) {
    try {
      return Files.readString(thread.resolve("comm")).startsWith("practice-caller");
    } catch (IOException e) {
      return false;
    }
  }

  private static List<String> log(String node) {
    try {
      return Files.readAllLines(Path.of("/run/weir-lab", lab.name(), "nodes", node, "agent.log"));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static int lastOf(List<String> lines, String text) {
    for (int i = lines.size() - 1; i >= 0; i--) {
      if (lines.get(i).contains(text)) {
        return i;
      }
    }
    return -1;
  }

  private static <T> CompletableFuture<T> later(Supplier<T> work) {
    return CompletableFuture.supplyAsync(work, task -> Thread.ofVirtual().start(task));
  }

  private static Json node(Lab lab, String node) {
    return lab.status().get("nodes").items().stream()
        .filter(each -> each.get("name").text().equals(node))
        .findFirst()
        .orElseThrow();
  }

  private static Json agent(Lab lab, String node) {
    return node(lab, node).get("agent");
  }

  private static List<Json> draining(Lab lab) {
    return lab.status().get("nodes").items().stream()
        .flatMap(node -> node.get("draining").items().stream())
        .toList();
  }

  private static boolean isAlive(long pid) {
    return ProcessHandle.of(pid).isPresent();
  }
}
