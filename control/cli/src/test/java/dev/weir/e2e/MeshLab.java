package dev.weir.e2e;

import dev.weir.testing.NeedsKernel;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.extension.ConditionEvaluationResult;
import org.junit.jupiter.api.extension.ExecutionCondition;
import org.junit.jupiter.api.extension.ExtensionContext;
import org.junit.jupiter.api.extension.ParameterContext;
import org.junit.jupiter.api.extension.ParameterResolver;
import org.junit.jupiter.api.extension.TestWatcher;

/**
 * One lab for all classes that ask for it, up at first use, down at the end; tells the agents' own
 * logs when a test fails.
 */
final class MeshLab implements ParameterResolver, ExecutionCondition, TestWatcher {
  private static final ExtensionContext.Namespace KEY =
      ExtensionContext.Namespace.create(MeshLab.class);

  private static Lab lab(ExtensionContext context) {
    return context
        .getRoot()
        .getStore(KEY)
        .computeIfAbsent(
            "lab",
            key ->
                Lab.up(
                    "e2e",
                    String.join(
                        "---\n",
                        Lab.yaml("mesh.yaml"),
                        Lab.yaml("introduced.yaml"),
                        Lab.yaml("sticky.yaml")),
                    "--nodes",
                    "2"),
            Lab.class);
  }

  @Override
  public ConditionEvaluationResult evaluateExecutionCondition(ExtensionContext context) {
    return new NeedsKernel.Condition().evaluateExecutionCondition(context);
  }

  @Override
  public boolean supportsParameter(ParameterContext parameter, ExtensionContext context) {
    return parameter.getParameter().getType() == Lab.class;
  }

  @Override
  public Object resolveParameter(ParameterContext parameter, ExtensionContext context) {
    return lab(context);
  }

  @Override
  public void testFailed(ExtensionContext context, @Nullable Throwable cause) {
    System.err.println(
        context.getDisplayName() + " failed; the agents said last:\n" + lab(context).logs());
  }
}
