package dev.weir.cli;

/** What {@code -o} takes. */
enum Format {
  table,
  wide,
  json,
  yaml
}
