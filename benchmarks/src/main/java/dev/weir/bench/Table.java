package dev.weir.bench;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;

/**
 * Figures for people (a block a metric, each variant against those to compare with) and for
 * programs (JSON).
 */
final class Table {
  /** What others are compared with, where it was measured. */
  private static final List<String> BASELINES = List.of("no mesh", "Envoy pair", "alone");

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
                ratios(row, rows)));
      }
    });
    return out.toString().stripTrailing();
  }

  private static String ratios(Figure row, List<Figure> rows) {
    StringBuilder out = new StringBuilder();
    for (String baseline : BASELINES) {
      rows.stream()
          .filter(each -> each.variant().equals(baseline) && each.median() > 0)
          .filter(each -> !each.variant().equals(row.variant()))
          .forEach(each ->
              out.append(
                  String.format(
                      Locale.ROOT, "  %.2fx of %s", row.median() / each.median(), baseline)));
    }
    return out.toString();
  }
}
