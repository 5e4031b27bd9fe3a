package dev.weir.agent.log;

import org.jspecify.annotations.Nullable;

/** One room's log; what follows the message are keys and values in turn. */
public final class Log {
  private final Logs logs;
  private final String room;

  Log(Logs logs, String room) {
    this.logs = logs;
    this.room = room;
  }

  public void error(String message, @Nullable Object... keysAndValues) {
    write(Level.ERROR, message, keysAndValues);
  }

  public void warn(String message, @Nullable Object... keysAndValues) {
    write(Level.WARN, message, keysAndValues);
  }

  public void info(String message, @Nullable Object... keysAndValues) {
    write(Level.INFO, message, keysAndValues);
  }

  public void debug(String message, @Nullable Object... keysAndValues) {
    write(Level.DEBUG, message, keysAndValues);
  }

  private void write(Level level, String message, @Nullable Object[] keysAndValues) {
    if (level.compareTo(logs.level()) <= 0) {
      logs.write(level, room, message, keysAndValues);
    }
  }
}
