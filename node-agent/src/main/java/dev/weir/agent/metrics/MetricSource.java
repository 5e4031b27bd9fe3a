package dev.weir.agent.metrics;

/** A room with numbers of its own; asked at each scrape, on the admin thread. */
@FunctionalInterface
public interface MetricSource {
  void write(Exposition out);
}
