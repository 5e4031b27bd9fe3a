package dev.weir.bench;

import dev.weir.api.json.Json;
import java.io.IOException;
import java.util.HashMap;
import java.util.Map;

/** How many connections have gone each way so far, as {@code weir edges} counts them. */
record Paths(Map<String, Long> opened) {
  /** Between two pods of the mesh on two nodes. */
  static final String BETWEEN_NODES = "tunnel";

  static Paths read(Weir weir) throws IOException {
    Map<String, Long> opened = new HashMap<>();
    for (Json edge : Json.parse(weir.run("edges", "--lab", weir.lab(), "-o", "json")).items()) {
      opened.merge(edge.get("path").text(), edge.get("opened").integer(), Long::sum);
    }
    return new Paths(opened);
  }

  private long on(String path) {
    return opened.getOrDefault(path, 0L);
  }

  /**
   * Opens connections until one goes the way that is wanted: the first ones may still ask the
   * agent.
   */
  static void awaitPath(Weir weir, String path, Status.Condition openOne) throws IOException {
    if (path.equals("none")) {
      return;
    }
    Status.await(
        "a connection that goes " + path,
        () -> {
          long before = read(weir).on(path);
          openOne.holds();
          return read(weir).on(path) > before;
        });
  }

  void assertOnly(Paths before, String path, String variant) throws IOException {
    for (String each : opened.keySet()) {
      long more = on(each) - before.on(each);
      if (more > 0 && !each.equals(path)) {
        throw new IOException(
            "%s: %d connections went %s (expected: %s)".formatted(variant, more, each, path));
      }
    }
    if (!path.equals("none") && on(path) == before.on(path)) {
      throw new IOException("%s: no connection went %s".formatted(variant, path));
    }
  }
}
