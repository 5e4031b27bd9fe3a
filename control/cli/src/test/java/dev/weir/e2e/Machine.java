package dev.weir.e2e;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.extension.ConditionEvaluationResult;

/**
 * What the tests need of the machine: skipped with the reason where it is missing, a failure in CI.
 */
final class Machine {
  private Machine() {}

  static ConditionEvaluationResult needed() {
    List<String> missing = new ArrayList<>();
    if (!"root".equals(System.getProperty("user.name"))) {
      missing.add("root");
    }
    if (!Files.exists(Path.of("/sys/kernel/btf/vmlinux"))) {
      missing.add("BTF (/sys/kernel/btf/vmlinux)");
    }
    try {
      if (Files.readAllLines(Path.of("/proc/self/mountinfo")).stream()
          .noneMatch(line -> line.contains(" - cgroup2 "))) {
        missing.add("a cgroup2 mount");
      }
    } catch (java.io.IOException e) {
      missing.add("/proc/self/mountinfo: " + e.getMessage());
    }
    if (missing.isEmpty()) {
      return ConditionEvaluationResult.enabled("the machine has what is needed");
    }
    String reason = "this machine lacks " + String.join(", ", missing);
    if ("true".equals(System.getenv("CI"))) {
      throw new AssertionError(reason);
    }
    return ConditionEvaluationResult.disabled(reason);
  }
}
