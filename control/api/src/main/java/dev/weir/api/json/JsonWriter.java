package dev.weir.api.json;

/** Writes values so that the text is safe inside HTML too: {@code <} and {@code >} are escaped. */
final class JsonWriter {
  private static final double EXACT_INTEGERS = 9.007199254740992E15;

  private JsonWriter() {}

  static void write(Json value, StringBuilder out, int indent, int depth) {
    switch (value) {
      case Json.Text text -> string(text.value(), out);
      case Json.Num number -> number(number.value(), out);
      case Json.Bool bool -> out.append(bool.value());
      case Json.Nothing _ -> out.append("null");
      case Json.Array array -> {
        out.append('[');
        String separator = "";
        for (Json item : array.values()) {
          out.append(separator);
          line(out, indent, depth + 1);
          write(item, out, indent, depth + 1);
          separator = ",";
        }
        if (!array.values().isEmpty()) {
          line(out, indent, depth);
        }
        out.append(']');
      }
      case Json.Fields object -> {
        out.append('{');
        String separator = "";
        for (var field : object.fields().entrySet()) {
          out.append(separator);
          line(out, indent, depth + 1);
          string(field.getKey(), out);
          out.append(indent < 0 ? ":" : ": ");
          write(field.getValue(), out, indent, depth + 1);
          separator = ",";
        }
        if (!object.fields().isEmpty()) {
          line(out, indent, depth);
        }
        out.append('}');
      }
    }
  }

  private static void line(StringBuilder out, int indent, int depth) {
    if (indent >= 0) {
      out.append('\n').repeat(' ', indent * depth);
    }
  }

  private static void number(double value, StringBuilder out) {
    if (value == Math.rint(value) && Math.abs(value) < EXACT_INTEGERS) {
      out.append((long) value);
    } else if (Double.isFinite(value)) {
      out.append(value);
    } else {
      out.append("null");
    }
  }

  private static void string(String text, StringBuilder out) {
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
          if (c < ' ' || c == '<' || c == '>' || c == 0x7f || c == '\u2028' || c == '\u2029') {
            out.append("\\u")
                .append(Character.forDigit(c >> 12, 16))
                .append(Character.forDigit(c >> 8 & 15, 16));
            out.append(Character.forDigit(c >> 4 & 15, 16)).append(Character.forDigit(c & 15, 16));
          } else {
            out.append(c);
          }
        }
      }
    }
    out.append('"');
  }
}
