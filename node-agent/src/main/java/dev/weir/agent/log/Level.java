package dev.weir.agent.log;

import java.util.Locale;
import java.util.Optional;

/** How much is said; each level includes those before it. */
public enum Level {
  ERROR,
  WARN,
  INFO,
  DEBUG;

  /** By its name in any case; empty for any other word. */
  public static Optional<Level> parse(String text) {
    for (Level level : values()) {
      if (level.name().equals(text.toUpperCase(Locale.ROOT))) {
        return Optional.of(level);
      }
    }
    return Optional.empty();
  }
}
