package dev.weir.control.log;

import java.time.Instant;

/**
 * Lets so many lines a second through: what strangers can cause must not fill a disk. Counters go
 * on. Any thread.
 */
public final class Brake {
  private final int mostASecond;
  private long second;
  private int lines;

  public Brake(int mostASecond) {
    this.mostASecond = mostASecond;
  }

  public synchronized boolean lets(Instant now) {
    if (now.getEpochSecond() != second) {
      second = now.getEpochSecond();
      lines = 0;
    }
    return ++lines <= mostASecond;
  }
}
