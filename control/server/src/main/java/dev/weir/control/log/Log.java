package dev.weir.control.log;

import java.io.PrintStream;
import java.time.InstantSource;
import java.time.temporal.ChronoUnit;

/** A room's log; what follows the message are keys and values in turn. */
public final class Log {
  private final PrintStream out;
  private final InstantSource clock;
  private final String room;

  public Log(PrintStream out, InstantSource clock, String room) {
    this.out = out;
    this.clock = clock;
    this.room = room;
  }

  /** The same log under another room's name. */
  public Log room(String name) {
    return new Log(out, clock, name);
  }

  public void error(String message, Object... keysAndValues) {
    write("ERROR", message, keysAndValues);
  }

  public void warn(String message, Object... keysAndValues) {
    write("WARN", message, keysAndValues);
  }

  public void info(String message, Object... keysAndValues) {
    write("INFO", message, keysAndValues);
  }

  private void write(String level, String message, Object[] keysAndValues) {
    StringBuilder line = new StringBuilder(160);
    line.append(clock.instant().truncatedTo(ChronoUnit.MILLIS));
    line.append(' ').append(level).append(' ').append(room).append(": ");
    appendClean(line, message);
    for (int i = 0; i + 1 < keysAndValues.length; i += 2) {
      String value = String.valueOf(keysAndValues[i + 1]);
      boolean quoted = value.isEmpty() || value.indexOf(' ') >= 0;
      line.append(' ').append(keysAndValues[i]).append('=').append(quoted ? "\"" : "");
      appendClean(line, value);
      line.append(quoted ? "\"" : "");
    }
    // One call, so that lines of two threads do not mix.
    out.println(line);
  }

  // Names and errors come from outside: what they hold must not make a second line.
  private static void appendClean(StringBuilder line, String text) {
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      line.append(c < ' ' || c == 127 ? ' ' : c);
    }
  }
}
