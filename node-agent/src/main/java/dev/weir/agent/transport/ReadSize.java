package dev.weir.agent.transport;

/**
 * How much a connection is read at once, learnt from what it brought: one that moves little reads
 * into little, one that streams into what a core's cache takes in.
 */
public final class ReadSize {
  private static final int LEAST = 1_024;
  private static final int FIRST = 2_048;
  private static final int MOST = 128 * 1_024;

  // Reads that found a quarter of what was guessed, one after the other, until less is guessed.
  private static final int PATIENCE = 2;

  private int guess = FIRST;
  private int small;

  public int guess() {
    return guess;
  }

  /** What a read brought of what there was room for. */
  public void was(int bytes, int room) {
    if (bytes == room && room >= guess) {
      guess = Math.min(MOST, 4 * guess);
      small = 0;
    } else if (bytes > guess / 4) {
      small = 0;
    } else if (++small >= PATIENCE) {
      guess = Math.max(LEAST, guess / 2);
      small = 0;
    }
  }
}
