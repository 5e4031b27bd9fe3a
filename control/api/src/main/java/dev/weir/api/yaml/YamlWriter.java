package dev.weir.api.yaml;

import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;

/**
 * Prints maps, lists, texts, numbers and booleans as block YAML. A text that could be read as
 * anything else is quoted as JSON does, so what was written is what will be read, by YAML 1.1
 * readers too.
 */
public final class YamlWriter {
  private static final Pattern PLAIN = Pattern.compile("[A-Za-z/][A-Za-z0-9_./-]*");

  /** Words that some YAML version takes for a boolean or null. */
  private static final Pattern RESERVED = Pattern.compile("(?i)y|n|yes|no|on|off|true|false|null");

  private final StringBuilder out;

  private YamlWriter(StringBuilder out) {
    this.out = out;
  }

  /** Appends one document, with the {@code ---} before it. */
  public static void document(StringBuilder out, Map<String, ?> root) {
    out.append("---\n");
    if (root.isEmpty()) {
      out.append("{}\n");
    }
    new YamlWriter(out).mapping(root, 0, false);
  }

  private void mapping(Map<?, ?> mapping, int indent, boolean inItem) {
    boolean first = inItem;
    for (Map.Entry<?, ?> entry : mapping.entrySet()) {
      if (!first) {
        out.repeat(' ', indent);
      }
      first = false;
      text(String.valueOf(entry.getKey()));
      out.append(':');
      value(entry.getValue(), indent);
    }
  }

  private void value(Object value, int indent) {
    switch (value) {
      case Map<?, ?> map when !map.isEmpty() -> {
        out.append('\n');
        mapping(map, indent + 2, false);
      }
      case List<?> list when !list.isEmpty() -> {
        out.append('\n');
        for (Object item : list) {
          out.repeat(' ', indent).append('-');
          if (item instanceof Map<?, ?> map && !map.isEmpty()) {
            out.append(' ');
            mapping(map, indent + 2, true);
          } else {
            value(item, indent + 2);
          }
        }
      }
      default -> {
        out.append(' ');
        scalar(value);
        out.append('\n');
      }
    }
  }

  private void scalar(Object value) {
    switch (value) {
      case Map<?, ?> empty -> out.append("{}");
      case List<?> empty -> out.append("[]");
      case Number number -> out.append(number);
      case Boolean flag -> out.append(flag);
      case String text -> text(text);
      default ->
          throw new IllegalArgumentException(
              "cannot write "
                  + value.getClass()
                  + " as YAML (expected: map, list, text, number or boolean)");
    }
  }

  private void text(String text) {
    if (PLAIN.matcher(text).matches() && !RESERVED.matcher(text).matches()) {
      out.append(text);
      return;
    }
    quote(out, text);
  }

  /** Appends a text as a JSON string. */
  public static void quote(StringBuilder out, String text) {
    out.append('"');
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      switch (c) {
        case '"' -> out.append("\\\"");
        case '\\' -> out.append("\\\\");
        case '\n' -> out.append("\\n");
        case '\r' -> out.append("\\r");
        case '\t' -> out.append("\\t");
        default -> {
          // Control characters, and what YAML would fold or refuse, such as NEL, line separators, a
          // byte order mark.
          if (c < 0x20
              || (c >= 0x7f && c <= 0xa0)
              || c == 0x2028
              || c == 0x2029
              || c >= 0xfeff
              || lone(text, i)) {
            out.append("\\u");
            for (int shift = 12; shift >= 0; shift -= 4) {
              out.append(Character.forDigit((c >> shift) & 0xf, 16));
            }
          } else {
            out.append(c);
          }
        }
      }
    }
    out.append('"');
  }

  private static boolean lone(String text, int i) {
    char c = text.charAt(i);
    if (Character.isHighSurrogate(c)) {
      return i + 1 == text.length() || !Character.isLowSurrogate(text.charAt(i + 1));
    }
    return Character.isLowSurrogate(c)
        && (i == 0 || !Character.isHighSurrogate(text.charAt(i - 1)));
  }
}
