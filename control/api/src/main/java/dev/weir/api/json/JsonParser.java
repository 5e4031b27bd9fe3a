package dev.weir.api.json;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** RFC 8259, with a bound on depth so that nesting cannot end the stack. */
final class JsonParser {
  private static final int MAX_DEPTH = 64;

  private final String text;
  private int at;

  JsonParser(String text) {
    this.text = text;
  }

  Json document() {
    Json value = value(0);
    skipSpace();
    if (at < text.length()) {
      throw unexpected("the end");
    }
    return value;
  }

  private Json value(int depth) {
    if (depth > MAX_DEPTH) {
      throw new JsonException(at, "nested deeper than " + MAX_DEPTH);
    }
    skipSpace();
    if (at == text.length()) {
      throw unexpected("a value");
    }
    return switch (text.charAt(at)) {
      case '{' -> object(depth);
      case '[' -> array(depth);
      case '"' -> new Json.Text(string());
      case 't' -> literal("true", new Json.Bool(true));
      case 'f' -> literal("false", new Json.Bool(false));
      case 'n' -> literal("null", Json.Nothing.NOTHING);
      default -> number();
    };
  }

  private Json object(int depth) {
    Map<String, Json> fields = new LinkedHashMap<>();
    at++;
    if (take('}')) {
      return new Json.Fields(fields);
    }
    do {
      skipSpace();
      if (at == text.length() || text.charAt(at) != '"') {
        throw unexpected("a field name");
      }
      int start = at;
      String name = string();
      expect(':');
      if (fields.put(name, value(depth + 1)) != null) {
        throw new JsonException(start, "field '%s' stands twice".formatted(name));
      }
    } while (take(','));
    expect('}');
    return new Json.Fields(fields);
  }

  private Json array(int depth) {
    List<Json> values = new ArrayList<>();
    at++;
    if (take(']')) {
      return new Json.Array(values);
    }
    do {
      values.add(value(depth + 1));
    } while (take(','));
    expect(']');
    return new Json.Array(values);
  }

  private String string() {
    StringBuilder out = new StringBuilder();
    at++;
    while (true) {
      if (at == text.length()) {
        throw unexpected("a closing quote");
      }
      char c = text.charAt(at++);
      if (c == '"') {
        return out.toString();
      }
      if (c < ' ') {
        throw new JsonException(at - 1, "a control character inside a string");
      }
      out.append(c == '\\' ? escape() : c);
    }
  }

  private char escape() {
    if (at == text.length()) {
      throw unexpected("an escape");
    }
    char c = text.charAt(at++);
    return switch (c) {
      case '"', '\\', '/' -> c;
      case 'b' -> '\b';
      case 'f' -> '\f';
      case 'n' -> '\n';
      case 'r' -> '\r';
      case 't' -> '\t';
      case 'u' -> hex();
      default -> throw new JsonException(at - 1, "no such escape: \\" + c);
    };
  }

  private char hex() {
    int code = 0;
    for (int i = 0; i < 4; i++, at++) {
      int digit = at < text.length() ? Character.digit(text.charAt(at), 16) : -1;
      if (digit < 0) {
        throw unexpected("four hexadecimal digits");
      }
      code = code << 4 | digit;
    }
    return (char) code;
  }

  private Json number() {
    int start = at;
    if (at < text.length() && text.charAt(at) == '-') {
      at++;
    }
    int whole = digits();
    if (whole == 0 || (whole > 1 && text.charAt(at - whole) == '0')) {
      at = start;
      throw unexpected("a value");
    }
    if (at < text.length() && text.charAt(at) == '.') {
      at++;
      if (digits() == 0) {
        throw unexpected("a digit");
      }
    }
    if (at < text.length() && (text.charAt(at) | 0x20) == 'e') {
      at++;
      if (at < text.length() && (text.charAt(at) == '+' || text.charAt(at) == '-')) {
        at++;
      }
      if (digits() == 0) {
        throw unexpected("a digit");
      }
    }
    return new Json.Num(Double.parseDouble(text.substring(start, at)));
  }

  private int digits() {
    int start = at;
    while (at < text.length() && text.charAt(at) >= '0' && text.charAt(at) <= '9') {
      at++;
    }
    return at - start;
  }

  private Json literal(String word, Json value) {
    if (!text.startsWith(word, at)) {
      throw unexpected("a value");
    }
    at += word.length();
    return value;
  }

  private boolean take(char c) {
    skipSpace();
    if (at < text.length() && text.charAt(at) == c) {
      at++;
      return true;
    }
    return false;
  }

  private void expect(char c) {
    if (!take(c)) {
      throw unexpected("'" + c + "'");
    }
  }

  private void skipSpace() {
    while (at < text.length() && " \t\r\n".indexOf(text.charAt(at)) >= 0) {
      at++;
    }
  }

  private JsonException unexpected(String expected) {
    String found = at < text.length() ? "'" + text.charAt(at) + "'" : "the end";
    return new JsonException(at, found + " (expected: " + expected + ")");
  }
}
