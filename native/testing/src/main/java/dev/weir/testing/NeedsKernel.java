package dev.weir.testing;

import java.lang.annotation.ElementType;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.extension.ConditionEvaluationResult;
import org.junit.jupiter.api.extension.ExecutionCondition;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.extension.ExtensionContext;

/**
 * Needs root, BTF and cgroup2. With CI=true their lack is a failure: a test that quietly skips
 * proves nothing.
 */
@Target(ElementType.TYPE)
@Retention(RetentionPolicy.RUNTIME)
@ExtendWith(NeedsKernel.Condition.class)
public @interface NeedsKernel {

  final class Condition implements ExecutionCondition {
    @Override
    public ConditionEvaluationResult evaluateExecutionCondition(ExtensionContext context) {
      List<String> missing = new ArrayList<>();
      if (!Files.isWritable(Path.of("/proc/sys/kernel/hostname"))
          || !"root".equals(System.getProperty("user.name"))) {
        missing.add("root");
      }
      if (!Files.exists(Path.of("/sys/kernel/btf/vmlinux"))) {
        missing.add("BTF (/sys/kernel/btf/vmlinux)");
      }
      if (Cgroup2.root().isEmpty()) {
        missing.add("cgroup2 (no such mount in /proc/self/mountinfo)");
      }
      if (missing.isEmpty()) {
        return ConditionEvaluationResult.enabled("kernel is there");
      }
      String reason = "this machine lacks " + String.join(", ", missing);
      if ("true".equals(System.getenv("CI"))) {
        throw new IllegalStateException(reason);
      }
      return ConditionEvaluationResult.disabled(reason);
    }
  }
}
