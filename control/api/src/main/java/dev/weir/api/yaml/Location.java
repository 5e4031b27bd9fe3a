package dev.weir.api.yaml;

/**
 * A place in a file.
 *
 * @param document counted from 1
 * @param line of the file, counted from 1
 */
public record Location(String file, int document, int line) {
  @Override
  public String toString() {
    return file + ":" + line + (document > 1 ? " (document " + document + ")" : "");
  }
}
