package dev.weir.api.kube;

import dev.weir.api.model.ApplicationTunnel;
import dev.weir.api.model.Cidr;
import dev.weir.api.model.FastPath;
import dev.weir.api.model.OnAgentLoss;
import dev.weir.api.model.PortRange;
import dev.weir.api.yaml.Fields;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** The annotations that Weir gives a meaning, where they may stand and what they may say. */
public final class Annotations {
  public static final String PREFIX = "weir.dev/";
  public static final String MESH = "weir.dev/mesh";
  public static final String FAST_PATH = "weir.dev/fast-path";
  public static final String LAYER7 = "weir.dev/layer7";
  public static final String ON_AGENT_LOSS = "weir.dev/on-agent-loss";
  public static final String EXCLUDE_INBOUND_PORTS = "weir.dev/exclude-inbound-ports";
  public static final String EXCLUDE_OUTBOUND_PORTS = "weir.dev/exclude-outbound-ports";
  public static final String EXCLUDE_OUTBOUND_CIDRS = "weir.dev/exclude-outbound-cidrs";
  public static final String WEIGHT = "weir.dev/weight";
  public static final String APPLICATION_TUNNEL = "weir.dev/application-tunnel";
  public static final String STATUS = "weir.dev/status";

  /** What {@link #STATUS} says once the node's agent serves the pod. */
  public static final String ENROLLED = "enrolled";

  private static final int MAX_WEIGHT = 1000;

  private static final Map<String, Set<String>> KINDS = kinds();

  private Annotations() {}

  private static Map<String, Set<String>> kinds() {
    Map<String, Set<String>> kinds = new LinkedHashMap<>();
    kinds.put(MESH, Set.of("Namespace", "Pod"));
    kinds.put(FAST_PATH, Set.of("Namespace", "Pod"));
    kinds.put(LAYER7, Set.of("Namespace", "Service"));
    kinds.put(ON_AGENT_LOSS, Set.of("Namespace", "Pod"));
    kinds.put(EXCLUDE_INBOUND_PORTS, Set.of("Pod"));
    kinds.put(EXCLUDE_OUTBOUND_PORTS, Set.of("Pod"));
    kinds.put(EXCLUDE_OUTBOUND_CIDRS, Set.of("Pod"));
    kinds.put(WEIGHT, Set.of("Pod"));
    kinds.put(APPLICATION_TUNNEL, Set.of("Pod"));
    kinds.put(STATUS, Set.of("Pod"));
    return kinds;
  }

  /**
   * What is wrong with an annotation on an object of a kind, or null if nothing is. Foreign keys
   * are never wrong.
   */
  public static @Nullable String problem(String kind, String key, String value) {
    if (!key.startsWith(PREFIX)) {
      return null;
    }
    Set<String> kinds = KINDS.get(key);
    if (kinds == null) {
      String guess = Fields.closest(key, KINDS.keySet());
      return "unknown annotation "
          + key
          + (guess == null ? "; remove it" : "; did you mean " + guess + "?");
    }
    if (!kinds.contains(kind)) {
      String hint =
          kinds.contains("Pod") && TEMPLATED.contains(kind)
              ? "; put it under spec.template.metadata.annotations"
              : " (expected on: " + String.join(", ", kinds.stream().sorted().toList()) + ")";
      return key + " has no effect on a " + kind + hint;
    }
    try {
      switch (key) {
        case MESH -> mesh(value);
        case FAST_PATH -> fastPath(value);
        case LAYER7 -> choice(LAYER7, value, Map.of("auto", true, "policy", true, "off", true));
        case ON_AGENT_LOSS -> onAgentLoss(value);
        case EXCLUDE_INBOUND_PORTS, EXCLUDE_OUTBOUND_PORTS -> ports(key, value);
        case EXCLUDE_OUTBOUND_CIDRS -> cidrs(value);
        case WEIGHT -> weight(value);
        case APPLICATION_TUNNEL -> applicationTunnel(value);
        default -> {}
      }
    } catch (AnnotationException e) {
      return e.getMessage();
    }
    return null;
  }

  /** What is wrong with a label, or null: only {@link #MESH} works as one. */
  public static @Nullable String labelProblem(String kind, String key, String value) {
    if (!key.startsWith(PREFIX)) {
      return null;
    }
    if (key.equals(MESH)) {
      return problem(kind, key, value);
    }
    return KINDS.containsKey(key)
        ? key + " is an annotation, not a label; move it to metadata.annotations"
        : problem(kind, key, value);
  }

  private static final Set<String> TEMPLATED =
      Set.of("Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Job");

  static boolean mesh(String value) {
    return choice(MESH, value, Map.of("enabled", true, "disabled", false));
  }

  static FastPath fastPath(String value) {
    return choice(
        FAST_PATH,
        value,
        Map.of("direct", FastPath.DIRECT, "joined", FastPath.JOINED, "off", FastPath.OFF));
  }

  static OnAgentLoss onAgentLoss(String value) {
    return choice(
        ON_AGENT_LOSS, value, Map.of("closed", OnAgentLoss.CLOSED, "open", OnAgentLoss.OPEN));
  }

  static List<PortRange> ports(String key, String value) {
    List<PortRange> ranges = new ArrayList<>();
    for (String part : parts(value)) {
      int dash = part.indexOf('-');
      int first = port(key, part, dash < 0 ? part : part.substring(0, dash));
      int last = dash < 0 ? first : port(key, part, part.substring(dash + 1));
      if (first > last) {
        throw new AnnotationException(
            key + ": the range '" + part + "' runs backwards; write " + last + "-" + first);
      }
      ranges.add(new PortRange(first, last));
    }
    return ranges;
  }

  private static int port(String key, String part, String text) {
    int number = number(text, 65535);
    if (number < 1) {
      throw new AnnotationException(
          key + ": '" + part + "' is no port or range of ports (expected: such as 22,9000-9010)");
    }
    return number;
  }

  static List<Cidr> cidrs(String value) {
    List<Cidr> cidrs = new ArrayList<>();
    for (String part : parts(value)) {
      try {
        cidrs.add(Cidr.parse(part));
      } catch (IllegalArgumentException e) {
        throw new AnnotationException(EXCLUDE_OUTBOUND_CIDRS + ": " + e.getMessage());
      }
    }
    return cidrs;
  }

  static int weight(String value) {
    int weight = number(value.strip(), MAX_WEIGHT);
    if (weight < 1) {
      throw new AnnotationException(
          WEIGHT + " is '" + value + "' (expected: a whole number from 1 to " + MAX_WEIGHT + ")");
    }
    return weight;
  }

  static ApplicationTunnel applicationTunnel(String value) {
    if (value.equals("proxy")) {
      return new ApplicationTunnel(0);
    }
    int port = value.startsWith("proxy/") ? number(value.substring(6), 65535) : -1;
    if (port < 1) {
      throw new AnnotationException(
          APPLICATION_TUNNEL + " is '" + value + "' (expected: proxy, or proxy/PORT)");
    }
    return new ApplicationTunnel(port);
  }

  private static List<String> parts(String value) {
    if (value.isBlank()) {
      return List.of();
    }
    List<String> parts = new ArrayList<>();
    for (String part : value.split(",", -1)) {
      parts.add(part.strip());
    }
    return parts;
  }

  /** A number without sign up to {@code max}; -1 for anything else. */
  private static int number(String text, int max) {
    if (text.isEmpty() || text.length() > 5 || !text.chars().allMatch(c -> c >= '0' && c <= '9')) {
      return -1;
    }
    int number = Integer.parseInt(text);
    return number <= max ? number : -1;
  }

  private static <T> T choice(String key, String value, Map<String, T> words) {
    T chosen = words.get(value);
    if (chosen == null) {
      throw new AnnotationException(
          key
              + " is '"
              + value
              + "' (expected: "
              + String.join(", ", words.keySet().stream().sorted().toList())
              + ")");
    }
    return chosen;
  }
}
