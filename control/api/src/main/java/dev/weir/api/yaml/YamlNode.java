package dev.weir.api.yaml;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** One node of a document. */
public sealed interface YamlNode {
  Location where();

  /** What it is, as an error names it. */
  String what();

  /** Keys in the order of the file. */
  record Mapping(Location where, Map<String, Entry> entries) implements YamlNode {
    public Mapping {
      entries = Collections.unmodifiableMap(new LinkedHashMap<>(entries));
    }

    @Override
    public String what() {
      return "a mapping";
    }

    // An alias may stand for a large tree many times over: never print or hash through it.
    @Override
    public String toString() {
      return "Mapping[" + where + ", " + entries.keySet() + "]";
    }
  }

  /** A value and the place of its key. */
  record Entry(Location where, YamlNode value) {}

  /** Items in the order of the file. */
  record Sequence(Location where, List<YamlNode> items) implements YamlNode {
    public Sequence {
      items = List.copyOf(items);
    }

    @Override
    public String what() {
      return "a list";
    }

    @Override
    public String toString() {
      return "Sequence[" + where + ", " + items.size() + " items]";
    }
  }

  /** A single value. {@code text} is what stands in the file, without quotes. */
  record Scalar(Location where, Type type, String text) implements YamlNode {
    @Override
    public String what() {
      return switch (type) {
        case TEXT -> "the text '" + shortened() + "'";
        case INTEGER, DECIMAL -> "the number " + shortened();
        case BOOLEAN -> "the boolean " + text;
        case NULL -> "nothing";
      };
    }

    private String shortened() {
      return text.length() <= 60 ? text : text.substring(0, 57) + "...";
    }
  }

  /** What a scalar is by its form. */
  enum Type {
    TEXT,
    INTEGER,
    DECIMAL,
    BOOLEAN,
    NULL
  }
}
