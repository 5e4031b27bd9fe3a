package dev.weir.cli;

import dev.weir.lab.LabClient;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code weir lab apply, delete, scale, annotate, label}: what changes a lab's objects. */
final class LabObjectCommands {
  private LabObjectCommands() {}

  @Command(
      name = "apply",
      mixinStandardHelpOptions = true,
      description = "Add objects to a lab, or change those it has.",
      footer = {
        "",
        "Examples:",
        "  weir lab apply -f more.yaml",
        "  weir lab apply -f policy.yaml   # an AccessPolicy is in force within a second"
      })
  static final class Apply implements Callable<Integer> {
    @Mixin LabOption lab = new LabOption();
    @Mixin FileOption files = new FileOption();
    @Spec CommandSpec spec = CommandSpec.create();
    private final Output output;

    Apply(Output output) {
      this.output = output;
    }

    @Override
    public Integer call() {
      if (files.files.isEmpty()) {
        throw new ParameterException(spec.commandLine(), "nothing to apply: name YAML with -f");
      }
      lab.lab().apply(files.sources()).forEach(output::line);
      return 0;
    }
  }

  @Command(
      name = "delete",
      mixinStandardHelpOptions = true,
      description = "Take objects out of a lab: those that YAML names, or one.",
      footer = {
        "",
        "Examples:",
        "  weir lab delete -f more.yaml",
        "  weir lab delete pod/web -n shop"
      })
  static final class Delete implements Callable<Integer> {
    @Mixin LabOption lab = new LabOption();
    @Mixin FileOption files = new FileOption();
    @Mixin NamespaceOption namespace = new NamespaceOption();
    @Spec CommandSpec spec = CommandSpec.create();

    @Parameters(
        arity = "0..1",
        paramLabel = "KIND/NAME",
        converter = ObjectName.Converter.class,
        description = "One object.")
    @Nullable ObjectName object;

    private final Output output;

    Delete(Output output) {
      this.output = output;
    }

    @Override
    public Integer call() {
      if ((object == null) == files.files.isEmpty()) {
        throw new ParameterException(
            spec.commandLine(), "name either YAML with -f, or one KIND/NAME");
      }
      List<String> lines =
          object == null
              ? lab.lab().delete(files.sources())
              : lab.lab().delete(namespace.namespace, object.kind(), object.name());
      lines.forEach(output::line);
      return 0;
    }
  }

  @Command(
      name = "scale",
      mixinStandardHelpOptions = true,
      description = "Change how many pods a Deployment or StatefulSet has.",
      footer = {"", "Example:", "  weir lab scale deploy/catalog-v2 -n shop --replicas 3"})
  static final class Scale implements Callable<Integer> {
    @Mixin LabOption lab = new LabOption();
    @Mixin NamespaceOption namespace = new NamespaceOption();

    @Parameters(
        paramLabel = "KIND/NAME",
        converter = ObjectName.Converter.class,
        description = "Which one.")
    ObjectName object = new ObjectName("", "");

    @Option(names = "--replicas", paramLabel = "N", required = true, description = "How many.")
    int replicas;

    private final Output output;

    Scale(Output output) {
      this.output = output;
    }

    @Override
    public Integer call() {
      lab.lab().scale(namespace.namespace, object.kind(), object.name(), replicas);
      output.line("%s/%s scaled to %d".formatted(object.kind(), object.name(), replicas));
      return 0;
    }
  }

  @Command(
      name = "annotate",
      mixinStandardHelpOptions = true,
      description = "Set or take away annotations of an object that runs.",
      footer = {
        "",
        "Examples:",
        "  weir lab annotate pod/web -n shop weir.dev/mesh=enabled",
        "  weir lab annotate ns/shop weir.dev/fast-path=joined",
        "  weir lab annotate pod/web -n shop weir.dev/mesh-"
      })
  static final class Annotate extends Change {
    Annotate(Output output) {
      super(output, "annotated", LabClient::annotate);
    }
  }

  @Command(
      name = "label",
      mixinStandardHelpOptions = true,
      description = "Set or take away labels of an object that runs.",
      footer = {"", "Example:", "  weir lab label pod/web -n shop version=v2 canary-"})
  static final class Label extends Change {
    Label(Output output) {
      super(output, "labelled", LabClient::label);
    }
  }

  /** What annotating and labelling share. */
  abstract static class Change implements Callable<Integer> {
    interface Call {
      void on(
          LabClient lab,
          String namespace,
          String kind,
          String name,
          Map<String, Optional<String>> changes);
    }

    @Mixin LabOption lab = new LabOption();
    @Mixin NamespaceOption namespace = new NamespaceOption();
    @Spec CommandSpec spec = CommandSpec.create();

    @Parameters(
        index = "0",
        paramLabel = "KIND/NAME",
        converter = ObjectName.Converter.class,
        description = "Which object.")
    ObjectName object = new ObjectName("", "");

    @Parameters(
        index = "1..*",
        arity = "1..*",
        paramLabel = "KEY=VALUE|KEY-",
        description = "What to set, or to take away.")
    List<String> words = List.of();

    private final Output output;
    private final String done;
    private final Call call;

    Change(Output output, String done, Call call) {
      this.output = output;
      this.done = done;
      this.call = call;
    }

    @Override
    public Integer call() {
      Map<String, Optional<String>> changes = new LinkedHashMap<>();
      for (String word : words) {
        int equals = word.indexOf('=');
        if (equals > 0) {
          changes.put(word.substring(0, equals), Optional.of(word.substring(equals + 1)));
        } else if (equals < 0 && word.length() > 1 && word.endsWith("-")) {
          changes.put(word.substring(0, word.length() - 1), Optional.empty());
        } else {
          throw new ParameterException(
              spec.commandLine(), "'" + word + "' (expected: KEY=VALUE, or KEY- to take it away)");
        }
      }
      call.on(lab.lab(), namespace.namespace, object.kind(), object.name(), changes);
      output.line("%s/%s %s".formatted(object.kind(), object.name(), done));
      return 0;
    }
  }
}
