package dev.weir.lab;

import dev.weir.api.kube.Container;
import dev.weir.api.kube.Pod;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * A container's environment and command line as Kubernetes makes them. Desk only, for it reads
 * objects.
 */
final class ContainerEnv {
  /** {@code $(NAME)}; {@code $$(NAME)} stands for itself. */
  private static final Pattern REFERENCE =
      Pattern.compile("\\$(\\$?)\\(([A-Za-z_.-][A-Za-z0-9_.-]*)\\)");

  /** What of the machine a program needs to find its like; pods see the machine's own programs. */
  private static final List<String> INHERITED =
      List.of("PATH", "LANG", "TZ", "JAVA_HOME", "WEIR_HOME", "WEIR_JAVA_HOME");

  private ContainerEnv() {}

  /**
   * Throws where a ConfigMap, Secret or key is missing that is not optional: the container cannot
   * start before it is there.
   */
  static Map<String, String> variables(
      Pod pod, Container container, String nodeIp, Objects objects) {
    Map<String, String> env = new LinkedHashMap<>();
    for (String name : INHERITED) {
      String value = System.getenv(name);
      if (value != null) {
        env.put(name, value);
      }
    }
    env.put("HOME", "/root");
    env.put("HOSTNAME", pod.name());
    env.put("POD_NAME", pod.name());
    env.put("POD_NAMESPACE", pod.namespace());
    env.put("POD_IP", PodFields.ip(pod));
    env.put("NODE_NAME", pod.spec().nodeName());
    for (Container.EnvFrom from : container.envFrom()) {
      boolean config = from.source() == Container.EnvFrom.Source.CONFIG_MAP;
      Map<String, byte[]> files =
          config
              ? objects.configMap(pod.namespace(), from.name())
              : objects.secret(pod.namespace(), from.name());
      if (files == null && !from.optional()) {
        throw missing(config ? "ConfigMap" : "Secret", pod, from.name());
      }
      if (files != null) {
        files.forEach((key, value) ->
            env.put(from.prefix() + key, new String(value, StandardCharsets.UTF_8)));
      }
    }
    for (Container.EnvVar variable : container.env()) {
      String value =
          switch (variable.value()) {
            case Container.EnvValue.Text(String text) -> expand(text, env);
            case Container.EnvValue.Field(String path) -> PodFields.value(pod, nodeIp, path);
            // The lab limits nothing, so a container has what the machine has: all of its cores.
            case Container.EnvValue.Resource resource -> resource(resource);
            case Container.EnvValue.ConfigMapKey(String name, String key, boolean optional) ->
                key(
                    "ConfigMap",
                    pod,
                    name,
                    key,
                    optional,
                    objects.configMap(pod.namespace(), name));
            case Container.EnvValue.SecretKey(String name, String key, boolean optional) ->
                key("Secret", pod, name, key, optional, objects.secret(pod.namespace(), name));
          };
      if (value != null) {
        env.put(variable.name(), value);
      }
    }
    return env;
  }

  /** command and args, references in them replaced. */
  static List<String> commandLine(Container container, Map<String, String> env) {
    List<String> argv = new ArrayList<>();
    container.command().forEach(word -> argv.add(expand(word, env)));
    container.args().forEach(word -> argv.add(expand(word, env)));
    return argv;
  }

  private static String resource(Container.EnvValue.Resource resource) {
    return resource.resource().endsWith("cpu")
        ? Integer.toString(Runtime.getRuntime().availableProcessors())
        : resource.resource().endsWith("memory") ? Long.toString(machineMemory()) : "0";
  }

  private static long machineMemory() {
    try {
      String total = Files.readAllLines(Path.of("/proc/meminfo")).getFirst();
      return Long.parseLong(total.replaceAll("[^0-9]", "")) << 10;
    } catch (IOException e) {
      throw new LabException("/proc/meminfo: " + e.getMessage(), e);
    }
  }

  private static @Nullable String key(
      String kind,
      Pod pod,
      String name,
      String key,
      boolean optional,
      @Nullable Map<String, byte[]> files) {
    byte[] value = files == null ? null : files.get(key);
    if (value == null) {
      if (optional) {
        return null;
      }
      throw files == null
          ? missing(kind, pod, name)
          : new LabException(
              kind + " " + pod.namespace() + "/" + name + " has no key '" + key + "'");
    }
    return new String(value, StandardCharsets.UTF_8);
  }

  static LabException missing(String kind, Pod pod, String name) {
    return new LabException(kind + " " + pod.namespace() + "/" + name + " does not exist");
  }

  private static String expand(String text, Map<String, String> env) {
    Matcher matcher = REFERENCE.matcher(text);
    return matcher.replaceAll(match -> {
      String whole = match.group();
      if (!match.group(1).isEmpty()) {
        return Matcher.quoteReplacement(whole.substring(1));
      }
      return Matcher.quoteReplacement(env.getOrDefault(match.group(2), whole));
    });
  }
}
