package dev.weir.api.json;

import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** A JSON value. */
public sealed interface Json {

  record Text(String value) implements Json {}

  record Num(double value) implements Json {}

  record Bool(boolean value) implements Json {}

  enum Nothing implements Json {
    NOTHING
  }

  record Array(List<Json> values) implements Json {
    public Array {
      values = List.copyOf(values);
    }
  }

  /** Keeps the order of its fields. */
  record Fields(Map<String, Json> fields) implements Json {
    public Fields {
      fields = Collections.unmodifiableMap(new LinkedHashMap<>(fields));
    }
  }

  /** Throws {@link JsonException} that says where and what. */
  static Json parse(String text) {
    return new JsonParser(text).document();
  }

  static Json of(String value) {
    return new Text(value);
  }

  static Json of(double value) {
    return new Num(value);
  }

  static Json of(boolean value) {
    return new Bool(value);
  }

  static Json of(List<Json> values) {
    return new Array(values);
  }

  static Builder object() {
    return new Builder();
  }

  /**
   * The field, or {@link Nothing} where this is no object or has no such field: a reader asks down
   * a path without asking at each step.
   */
  default Json get(String field) {
    return this instanceof Fields object
        ? object.fields.getOrDefault(field, Nothing.NOTHING)
        : Nothing.NOTHING;
  }

  /** The elements, empty where this is no array. */
  default List<Json> items() {
    return this instanceof Array array ? array.values : List.of();
  }

  /** The fields, empty where this is no object. */
  default Map<String, Json> fieldsByName() {
    return this instanceof Fields object ? object.fields : Map.of();
  }

  default boolean isNull() {
    return this instanceof Nothing;
  }

  /** The text, or a scalar as it would be printed; empty for null. */
  default String text() {
    return switch (this) {
      case Text text -> text.value;
      case Nothing _ -> "";
      default -> toJson();
    };
  }

  default double number() {
    return number(0);
  }

  default double number(double otherwise) {
    return this instanceof Num number ? number.value : otherwise;
  }

  default long integer() {
    return (long) number();
  }

  default boolean isTrue() {
    return this instanceof Bool bool && bool.value;
  }

  /** Compact, one line. */
  default String toJson() {
    StringBuilder out = new StringBuilder();
    JsonWriter.write(this, out, -1, 0);
    return out.toString();
  }

  /** Indented by two. */
  default String toPrettyJson() {
    StringBuilder out = new StringBuilder();
    JsonWriter.write(this, out, 2, 0);
    return out.toString();
  }

  /** An object in the making. */
  final class Builder {
    private final Map<String, Json> fields = new LinkedHashMap<>();

    private Builder() {}

    public Builder with(String name, Json value) {
      fields.put(name, value);
      return this;
    }

    public Builder with(String name, String value) {
      return with(name, Json.of(value));
    }

    public Builder with(String name, double value) {
      return with(name, Json.of(value));
    }

    /** Whole to 2^53, as for every reader of JSON. */
    public Builder with(String name, long value) {
      return with(name, Json.of((double) value));
    }

    public Builder with(String name, boolean value) {
      return with(name, Json.of(value));
    }

    public Builder with(String name, List<String> values) {
      List<Json> texts = new ArrayList<>(values.size());
      values.forEach(value -> texts.add(Json.of(value)));
      return with(name, Json.of(texts));
    }

    public Json build() {
      return new Fields(fields);
    }
  }
}
