package dev.weir.bench;

import java.io.IOException;
import java.nio.charset.StandardCharsets;

/** The files beside the classes. */
final class Resources {
  private Resources() {}

  static String text(String name) throws IOException {
    try (var in = Resources.class.getResourceAsStream(name)) {
      if (in == null) {
        throw new IOException(name + " is missing from the jar");
      }
      return new String(in.readAllBytes(), StandardCharsets.UTF_8);
    }
  }
}
