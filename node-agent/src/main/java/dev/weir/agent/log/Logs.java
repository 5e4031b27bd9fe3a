package dev.weir.agent.log;

import java.io.PrintStream;
import java.time.InstantSource;
import java.time.temporal.ChronoUnit;
import org.jspecify.annotations.Nullable;

/** The process's log: where lines go and how much is said, which may change while it runs. */
public final class Logs {
  private final PrintStream out;
  private final InstantSource clock;
  private volatile Level level;

  public Logs(PrintStream out, InstantSource clock, Level level) {
    this.out = out;
    this.clock = clock;
    this.level = level;
  }

  public Log room(String name) {
    return new Log(this, name);
  }

  public Level level() {
    return level;
  }

  public void level(Level now) {
    level = now;
  }

  void write(Level at, String room, String message, @Nullable Object[] keysAndValues) {
    StringBuilder line = new StringBuilder(160);
    line.append(clock.instant().truncatedTo(ChronoUnit.MILLIS)).append(' ').append(at).append(' ');
    line.append(room).append(": ");
    appendClean(line, message);
    for (int i = 0; i + 1 < keysAndValues.length; i += 2) {
      line.append(' ').append(keysAndValues[i]).append('=');
      String value = String.valueOf(keysAndValues[i + 1]);
      boolean quoted = value.isEmpty() || value.indexOf(' ') >= 0;
      if (quoted) {
        line.append('"');
      }
      appendClean(line, value);
      if (quoted) {
        line.append('"');
      }
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
