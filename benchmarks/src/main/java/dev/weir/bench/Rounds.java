package dev.weir.bench;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/** What is compared takes turns. */
final class Rounds {
  private Rounds() {}

  /**
   * The order of a round, of which the first is 1: each begins with the next, so that nobody is
   * always first or always behind the same one, on a machine that warms up or is given less.
   */
  static <T> List<T> order(int round, List<T> all) {
    List<T> order = new ArrayList<>(all);
    Collections.rotate(order, 1 - round);
    return order;
  }
}
