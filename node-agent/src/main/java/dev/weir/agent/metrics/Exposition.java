package dev.weir.agent.metrics;

/** Writes the Prometheus text format 0.0.4: families, each with its samples. */
public final class Exposition {
  /** What a family's numbers mean. */
  public enum Kind {
    COUNTER("counter"),
    GAUGE("gauge");

    private final String word;

    Kind(String word) {
      this.word = word;
    }
  }

  private final StringBuilder text = new StringBuilder(16 * 1024);

  /** Begins a family; its samples follow. */
  public void family(String name, Kind kind, String help) {
    text.append("# HELP ").append(name).append(' ').append(help).append('\n');
    text.append("# TYPE ").append(name).append(' ').append(kind.word).append('\n');
  }

  /** {@code labels} as {@link #labels} makes them. */
  public void sample(String name, String labels, long value) {
    text.append(name);
    if (!labels.isEmpty()) {
      text.append('{').append(labels).append('}');
    }
    text.append(' ').append(value).append('\n');
  }

  /** A family of one number. */
  public void single(String name, Kind kind, String help, long value) {
    family(name, kind, help);
    sample(name, "", value);
  }

  /** Name and value in turn, values escaped. */
  public static String labels(String... namesAndValues) {
    StringBuilder out = new StringBuilder(32 * namesAndValues.length);
    for (int i = 0; i + 1 < namesAndValues.length; i += 2) {
      if (i > 0) {
        out.append(',');
      }
      out.append(namesAndValues[i]).append("=\"");
      String value = namesAndValues[i + 1];
      for (int c = 0; c < value.length(); c++) {
        switch (value.charAt(c)) {
          case '\\' -> out.append("\\\\");
          case '"' -> out.append("\\\"");
          case '\n' -> out.append("\\n");
          default -> out.append(value.charAt(c));
        }
      }
      out.append('"');
    }
    return out.toString();
  }

  @Override
  public String toString() {
    return text.toString();
  }
}
