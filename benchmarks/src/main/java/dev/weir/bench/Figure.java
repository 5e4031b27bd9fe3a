package dev.weir.bench;

import java.util.Arrays;
import java.util.List;
import java.util.Locale;

/** One figure of one variant over all rounds: the median to quote and the spread to doubt it by. */
record Figure(
    String metric, String unit, String variant, double median, double min, double max, int rounds) {

  static Figure of(String metric, String unit, String variant, List<Double> rounds) {
    double[] sorted = rounds.stream().mapToDouble(Double::doubleValue).toArray();
    Arrays.sort(sorted);
    int n = sorted.length;
    double median = n % 2 == 1 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
    return new Figure(metric, unit, variant, median, sorted[0], sorted[n - 1], n);
  }

  String json() {
    return String.format(
        Locale.ROOT,
        "{\"metric\":\"%s\",\"unit\":\"%s\",\"variant\":\"%s\",\"median\":%s,\"min\":%s,\"max\":%s,\"rounds\":%d}",
        metric,
        unit,
        variant,
        number(median),
        number(min),
        number(max),
        rounds);
  }

  static String number(double value) {
    return value >= 100
        ? String.format(Locale.ROOT, "%.0f", value)
        : String.format(Locale.ROOT, "%.2f", value);
  }
}
