package dev.weir.api.yaml;

import java.math.BigInteger;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * Reads one mapping field by field and knows afterwards which of its keys nobody asked for. A field
 * whose value is null counts as absent, as in Kubernetes.
 */
public final class Fields {
  private final String path;
  private final YamlNode.Mapping mapping;
  private final Set<String> known = new LinkedHashSet<>();

  private Fields(String path, YamlNode.Mapping mapping) {
    this.path = path;
    this.mapping = mapping;
  }

  /**
   * Opens a node that must be a mapping.
   *
   * @param path how errors call it, such as {@code spec.containers[0]}; empty for a whole document
   */
  public static Fields of(String path, YamlNode node) {
    if (node instanceof YamlNode.Mapping mapping) {
      return new Fields(path, mapping);
    }
    throw new YamlException(
        node.where(),
        (path.isEmpty() ? "the document" : path) + " must be a mapping, not " + node.what());
  }

  public Location where() {
    return mapping.where();
  }

  /** Where a field's value stands, or the mapping if it is absent. */
  public Location where(String name) {
    YamlNode value = optional(name);
    return value == null ? mapping.where() : value.where();
  }

  /** The full name of a field, as errors call it. */
  public String path(String name) {
    return path.isEmpty() ? name : path + "." + name;
  }

  public boolean has(String name) {
    return optional(name) != null;
  }

  /** Whether the key stands there, even with nothing behind it. */
  public boolean names(String name) {
    known.add(name);
    return mapping.entries().containsKey(name);
  }

  /** An error about the mapping itself. */
  public YamlException wrongWhole(String problem) {
    return new YamlException(
        mapping.where(), (path.isEmpty() ? "the document" : path) + " " + problem);
  }

  /** An error about one field. */
  public YamlException wrong(String name, String problem) {
    return new YamlException(where(name), path(name) + " " + problem);
  }

  /** Accepts fields that exist and need no reading. */
  public Fields ignore(String... names) {
    known.addAll(List.of(names));
    return this;
  }

  /** Ends the reading: a key that was neither read nor ignored is an error. */
  public void done() {
    for (Map.Entry<String, YamlNode.Entry> entry : mapping.entries().entrySet()) {
      if (!known.contains(entry.getKey())) {
        String guess = closest(entry.getKey(), known);
        throw new YamlException(
            entry.getValue().where(),
            "unknown field '"
                + path(entry.getKey())
                + "'"
                + (guess == null ? "; remove it" : "; did you mean '" + guess + "'?"));
      }
    }
  }

  public @Nullable YamlNode optional(String name) {
    known.add(name);
    YamlNode.Entry entry = mapping.entries().get(name);
    if (entry == null
        || (entry.value() instanceof YamlNode.Scalar scalar
            && scalar.type() == YamlNode.Type.NULL)) {
      return null;
    }
    return entry.value();
  }

  public YamlNode required(String name) {
    YamlNode value = optional(name);
    if (value == null) {
      // A misspelt key is the likelier mistake than a missing one.
      for (Map.Entry<String, YamlNode.Entry> entry : mapping.entries().entrySet()) {
        if (!known.contains(entry.getKey()) && closest(entry.getKey(), Set.of(name)) != null) {
          throw new YamlException(
              entry.getValue().where(),
              "unknown field '" + path(entry.getKey()) + "'; did you mean '" + name + "'?");
        }
      }
      throw new YamlException(mapping.where(), path(name) + " is missing");
    }
    return value;
  }

  public String text(String name) {
    return text(name, required(name));
  }

  public String text(String name, String absent) {
    YamlNode value = optional(name);
    return value == null ? absent : text(name, value);
  }

  private String text(String name, YamlNode node) {
    return text(node, path(name));
  }

  private static String text(YamlNode node, String path) {
    if (node instanceof YamlNode.Scalar scalar) {
      return switch (scalar.type()) {
        case TEXT -> scalar.text();
        case INTEGER, DECIMAL, BOOLEAN ->
            throw new YamlException(
                node.where(),
                path
                    + " must be a text, not "
                    + node.what()
                    + "; put it in quotes: \""
                    + scalar.text()
                    + "\"");
        case NULL -> throw new YamlException(node.where(), path + " must be a text, not nothing");
      };
    }
    throw new YamlException(node.where(), path + " must be a text, not " + node.what());
  }

  public boolean flag(String name, boolean absent) {
    YamlNode value = optional(name);
    if (value == null) {
      return absent;
    }
    if (value instanceof YamlNode.Scalar scalar && scalar.type() == YamlNode.Type.BOOLEAN) {
      return scalar.text().toLowerCase(Locale.ROOT).equals("true");
    }
    throw new YamlException(
        value.where(), path(name) + " must be true or false, not " + value.what());
  }

  public int integer(String name, int absent, int min, int max) {
    return Math.toIntExact(longInteger(name, absent, min, max));
  }

  public long longInteger(String name, long absent, long min, long max) {
    YamlNode value = optional(name);
    return value == null ? absent : integer(value, path(name), min, max);
  }

  public int integer(String name, int min, int max) {
    return Math.toIntExact(integer(required(name), path(name), min, max));
  }

  private static long integer(YamlNode node, String path, long min, long max) {
    if (node instanceof YamlNode.Scalar scalar && scalar.type() == YamlNode.Type.INTEGER) {
      BigInteger number = number(scalar.text());
      if (number.compareTo(BigInteger.valueOf(min)) >= 0
          && number.compareTo(BigInteger.valueOf(max)) <= 0) {
        return number.longValueExact();
      }
    }
    throw new YamlException(
        node.where(),
        path + " must be a whole number from " + min + " to " + max + ", not " + node.what());
  }

  private static BigInteger number(String text) {
    String digits = text.startsWith("+") ? text.substring(1) : text;
    if (digits.startsWith("0x")) {
      return new BigInteger(digits.substring(2), 16);
    }
    if (digits.startsWith("0o")) {
      return new BigInteger(digits.substring(2), 8);
    }
    // Kubernetes reads YAML 1.1, where 0644 is octal: file modes are written so.
    if (digits.length() > 1
        && digits.startsWith("0")
        && digits.chars().allMatch(c -> c >= '0' && c <= '7')) {
      return new BigInteger(digits, 8);
    }
    return new BigInteger(digits);
  }

  /** One of a few words. */
  public <T> T choice(String name, T absent, Map<String, T> words) {
    YamlNode value = optional(name);
    if (value == null) {
      return absent;
    }
    String text = text(name, value);
    T chosen = words.get(text);
    if (chosen == null) {
      throw new YamlException(
          value.where(),
          path(name)
              + " is '"
              + text
              + "' (expected: "
              + String.join(", ", new java.util.TreeSet<>(words.keySet()))
              + ")");
    }
    return chosen;
  }

  /** A mapping of texts to texts; empty if absent. */
  public Map<String, String> texts(String name) {
    YamlNode value = optional(name);
    if (value == null) {
      return Map.of();
    }
    Map<String, String> texts = new LinkedHashMap<>();
    mappingOf(name, value)
        .entries()
        .forEach(
            (key, entry) -> texts.put(key, text(entry.value(), path(name) + "['" + key + "']")));
    return texts;
  }

  private YamlNode.Mapping mappingOf(String name, YamlNode value) {
    if (value instanceof YamlNode.Mapping m) {
      return m;
    }
    throw new YamlException(value.where(), path(name) + " must be a mapping, not " + value.what());
  }

  /** A list of texts; empty if absent. */
  public List<String> textList(String name) {
    List<String> texts = new ArrayList<>();
    List<YamlNode> items = items(name);
    for (int i = 0; i < items.size(); i++) {
      texts.add(text(items.get(i), path(name) + "[" + i + "]"));
    }
    return texts;
  }

  /** A list of whole numbers; empty if absent. */
  public List<Integer> integers(String name, int min, int max) {
    List<Integer> numbers = new ArrayList<>();
    List<YamlNode> items = items(name);
    for (int i = 0; i < items.size(); i++) {
      numbers.add(Math.toIntExact(integer(items.get(i), path(name) + "[" + i + "]", min, max)));
    }
    return numbers;
  }

  /** A nested mapping, or null if absent. */
  public @Nullable Fields child(String name) {
    YamlNode value = optional(name);
    return value == null ? null : of(path(name), value);
  }

  /** A nested mapping that must be there. */
  public Fields requiredChild(String name) {
    return of(path(name), required(name));
  }

  /** A list of mappings, each read by {@code read}; empty if absent. */
  public <T> List<T> list(String name, Function<Fields, T> read) {
    List<T> list = new ArrayList<>();
    List<YamlNode> items = items(name);
    for (int i = 0; i < items.size(); i++) {
      list.add(read.apply(of(path(name) + "[" + i + "]", items.get(i))));
    }
    return list;
  }

  /** A list's nodes; none if absent. */
  public List<YamlNode> items(String name) {
    YamlNode value = optional(name);
    if (value == null) {
      return List.of();
    }
    if (value instanceof YamlNode.Sequence sequence) {
      return sequence.items();
    }
    throw new YamlException(value.where(), path(name) + " must be a list, not " + value.what());
  }

  /** The known word nearest to a misspelt one, or null if none is near. */
  public static @Nullable String closest(String word, Collection<String> known) {
    String best = null;
    int bestDistance = Math.max(1, word.length() / 3) + 1;
    for (String candidate : known) {
      int distance = distance(word.toLowerCase(Locale.ROOT), candidate.toLowerCase(Locale.ROOT));
      if (distance < bestDistance) {
        bestDistance = distance;
        best = candidate;
      }
    }
    return best;
  }

  /** Edits (insert, drop, change, swap of neighbours) from one word to the other. */
  private static int distance(String a, String b) {
    int[][] cost = new int[a.length() + 1][b.length() + 1];
    for (int i = 0; i <= a.length(); i++) {
      for (int j = 0; j <= b.length(); j++) {
        if (i == 0 || j == 0) {
          cost[i][j] = i + j;
          continue;
        }
        int change = a.charAt(i - 1) == b.charAt(j - 1) ? 0 : 1;
        int least =
            Math.min(Math.min(cost[i - 1][j] + 1, cost[i][j - 1] + 1), cost[i - 1][j - 1] + change);
        if (i > 1
            && j > 1
            && a.charAt(i - 1) == b.charAt(j - 2)
            && a.charAt(i - 2) == b.charAt(j - 1)) {
          least = Math.min(least, cost[i - 2][j - 2] + 1);
        }
        cost[i][j] = least;
      }
    }
    return cost[a.length()][b.length()];
  }
}
