package dev.weir.bench;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;

/** Figures for people (a block a metric, each variant against no mesh) and for programs (JSON). */
final class Table {
  private static final String BASELINE = "no mesh";

  private Table() {}

  static String json(List<Figure> figures) {
    return figures.stream().map(Figure::json).collect(Collectors.joining(",\n ", "[", "]"));
  }

  static String text(List<Figure> figures) {
    Map<String, List<Figure>> byMetric =
        figures.stream()
            .collect(
                Collectors.groupingBy(Figure::metric, LinkedHashMap::new, Collectors.toList()));
    StringBuilder out = new StringBuilder();
    byMetric.forEach((metric, rows) -> {
      double baseline =
          rows.stream()
              .filter(row -> row.variant().equals(BASELINE))
              .mapToDouble(Figure::median)
              .findFirst()
              .orElse(0);
      out.append(
          "%s (%s, %d rounds)%n"
              .formatted(metric, rows.getFirst().unit(), rows.getFirst().rounds()));
      for (Figure row : rows) {
        out.append(
            String.format(
                Locale.ROOT,
                "  %-26s %9s  (%s .. %s)%s%n",
                row.variant(),
                Figure.number(row.median()),
                Figure.number(row.min()),
                Figure.number(row.max()),
                baseline > 0
                    ? String.format(Locale.ROOT, "  %.2fx", row.median() / baseline)
                    : ""));
      }
    });
    return out.toString().stripTrailing();
  }
}
