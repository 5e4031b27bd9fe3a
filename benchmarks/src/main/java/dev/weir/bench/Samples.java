package dev.weir.bench;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** What each variant scored in each round, in the order in which metrics and variants appeared. */
final class Samples {
  record Metric(String name, String unit) {}

  private final Map<Metric, Map<String, List<Double>>> values = new LinkedHashMap<>();

  void add(Metric metric, String variant, double value) {
    values
        .computeIfAbsent(metric, m -> new LinkedHashMap<>())
        .computeIfAbsent(variant, v -> new ArrayList<>())
        .add(value);
  }

  List<Figure> figures() {
    List<Figure> figures = new ArrayList<>();
    values.forEach((metric, byVariant) ->
        byVariant.forEach((variant, rounds) ->
            figures.add(Figure.of(metric.name, metric.unit, variant, rounds))));
    return figures;
  }
}
