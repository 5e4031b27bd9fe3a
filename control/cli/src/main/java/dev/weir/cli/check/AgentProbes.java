package dev.weir.cli.check;

import dev.weir.api.json.Json;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/**
 * What only the agent can say: its own self-test on this kernel, in its own throwaway namespaces.
 */
final class AgentProbes {
  private static final long PATIENCE_SECONDS = 60;

  private AgentProbes() {}

  static List<Probe> all() {
    SelfTest test = new SelfTest();
    return List.of(
        new Probe(
            "WEIR-A001",
            "agent",
            "Weir's programs load",
            true,
            "see the agent's message; 'weir run agent --self-test-only' repeats it",
            test::loads),
        new Probe(
            "WEIR-A002",
            "agent",
            "joining self-test",
            false,
            "joining is off on this kernel: pods that ask for it get the direct path",
            test::joining),
        new Probe("WEIR-A003", "agent", "transport", false, "", test::transport));
  }

  /** Runs the agent once for all questions. */
  private static final class SelfTest {
    private @Nullable Json answer;

    Finding loads() throws IOException {
      List<Json> checks = answer().get("checks").items();
      return Finding.ok(checks.isEmpty() ? "loaded" : "loaded; " + checks.size() + " checks ran");
    }

    Finding joining() throws IOException {
      Json joining = answer().get("joining");
      List<String> failed =
          answer().get("checks").items().stream()
              .filter(check -> !check.get("passed").isTrue())
              .map(check -> check.get("name").text() + " (" + check.get("detail").text() + ")")
              .toList();
      if (!joining.get("state").text().equals("on")) {
        String reason = joining.get("reason").text();
        return Finding.missing(failed.isEmpty() ? reason : "failed: " + String.join(", ", failed));
      }
      List<String> passed =
          answer().get("checks").items().stream().map(check -> check.get("name").text()).toList();
      return Finding.ok(passed.isEmpty() ? "on" : "passed: " + String.join(", ", passed));
    }

    Finding transport() throws IOException {
      return Finding.note(answer().get("transport").text());
    }

    private Json answer() throws IOException {
      if (answer == null) {
        answer = run();
      }
      if (answer.isNull()) {
        throw new IOException("the agent's self-test did not run: see WEIR-A001");
      }
      return answer;
    }

    private Json run() throws IOException {
      answer = Json.Nothing.NOTHING;
      String home = System.getenv("WEIR_HOME");
      if (home == null) {
        throw new IOException("WEIR_HOME is not set: run through the weir launcher");
      }
      Path out = Files.createTempFile("weir-check-", ".out");
      Path err = Files.createTempFile("weir-check-", ".err");
      try {
        Process agent =
            new ProcessBuilder(home + "/weir", "run", "agent", "--self-test-only")
                .redirectInput(ProcessBuilder.Redirect.from(Path.of("/dev/null").toFile()))
                .redirectOutput(out.toFile())
                .redirectError(err.toFile())
                .start();
        boolean ended;
        try {
          ended = agent.waitFor(PATIENCE_SECONDS, TimeUnit.SECONDS);
        } catch (InterruptedException e) {
          Thread.currentThread().interrupt();
          throw new IOException("interrupted", e);
        } finally {
          agent.destroyForcibly();
        }
        if (!ended) {
          throw new IOException(
              "the agent's self-test did not end within " + PATIENCE_SECONDS + " s");
        }
        String text = Files.readString(out, StandardCharsets.UTF_8);
        int start = text.indexOf('{');
        if (start < 0) {
          throw new IOException(lastLine(err, agent.exitValue()));
        }
        return Json.parse(text.substring(start));
      } finally {
        Files.delete(out);
        Files.delete(err);
      }
    }

    private static String lastLine(Path err, int status) {
      try {
        return Files.readAllLines(err).stream()
            .filter(line -> !line.isBlank())
            .reduce((_, last) -> last)
            .map(line -> line.startsWith("weir: ") ? line.substring("weir: ".length()) : line)
            .orElse("the agent ended with status " + status);
      } catch (IOException e) {
        return "the agent ended with status "
            + status
            + ", and its message cannot be read: "
            + e.getMessage();
      }
    }
  }
}
