package dev.weir.lab;

import java.time.Instant;
import java.time.temporal.ChronoUnit;

/** One line to stderr, which is the lab's log file. Any thread. */
final class Log {
  private Log() {}

  static void info(String message) {
    line("INFO", message);
  }

  static void warn(String message) {
    line("WARN", message);
  }

  /** For what should not happen: with its trace, for nobody can ask again. */
  static void error(String message, Throwable cause) {
    line("ERROR", message + ": " + cause);
    cause.printStackTrace();
  }

  private static void line(String level, String message) {
    System.err.println(
        Instant.now().truncatedTo(ChronoUnit.MILLIS) + " " + level + " lab: " + message);
  }
}
