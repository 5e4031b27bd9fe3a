package dev.weir.cli;

import java.util.Comparator;
import java.util.List;
import java.util.Locale;

/** The edges of a lab, drawn over what was drawn a moment ago. */
final class LiveView {
  private final Output output;
  private int drawn;
  private long lastServed = -1;
  private long lastNanos;

  LiveView(Output output) {
    this.output = output;
  }

  void show(List<Edge> edges, LoadCounts counts) {
    List<Edge> sorted =
        edges.stream()
            .sorted(
                Comparator.comparing(Edge::source)
                    .thenComparing(Edge::destination)
                    .thenComparing(Edge::path))
            .toList();
    String text = EdgesCommand.table(sorted, false, output).text() + "\n" + summary(counts) + "\n";
    if (drawn > 0) {
      output.out().print("\u001b[" + drawn + "A\u001b[J");
    }
    output.out().print(text);
    output.flush();
    drawn = (int) text.lines().count();
  }

  private String summary(LoadCounts counts) {
    long now = System.nanoTime();
    String rate = "";
    if (lastServed >= 0 && counts.served() > lastServed) {
      rate =
          String.format(
              Locale.ROOT, " (%.0f/s)", (counts.served() - lastServed) * 1e9 / (now - lastNanos));
    }
    lastServed = counts.served();
    lastNanos = now;
    String failed =
        counts.failed() == 0 ? output.green("0 failed") : output.red(counts.failed() + " failed");
    return output.bold(counts.served() + " requests served")
        + rate
        + ", "
        + failed
        + output.faint("   Ctrl-C ends");
  }
}
