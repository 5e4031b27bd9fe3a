package dev.weir.agent.capture;

import java.util.ArrayDeque;

/**
 * Vose's alias method: one random slot and one random threshold pick an index with the given
 * weights in constant time, which is what a BPF program can do without a loop. A slot stands for
 * itself where the random 16 bits are below its threshold, else for its alias; 65535 always stands
 * for itself.
 */
final class AliasTable {
  private static final int ALWAYS = 65_535;

  private final int[] thresholds;
  private final int[] aliases;

  private AliasTable(int[] thresholds, int[] aliases) {
    this.thresholds = thresholds;
    this.aliases = aliases;
  }

  static AliasTable of(int[] weights) {
    int n = weights.length;
    long total = 0;
    for (int weight : weights) {
      total += Math.max(0, weight);
    }
    int[] thresholds = new int[n];
    int[] aliases = new int[n];
    double[] scaled = new double[n];
    ArrayDeque<Integer> small = new ArrayDeque<>();
    ArrayDeque<Integer> large = new ArrayDeque<>();
    for (int i = 0; i < n; i++) {
      // All weights zero: everybody alike, rather than nobody.
      scaled[i] = total == 0 ? 1.0 : (double) Math.max(0, weights[i]) * n / total;
      (scaled[i] < 1.0 ? small : large).add(i);
    }
    while (!small.isEmpty() && !large.isEmpty()) {
      int less = small.remove();
      int more = large.remove();
      thresholds[less] = (int) Math.round(scaled[less] * ALWAYS);
      aliases[less] = more;
      scaled[more] -= 1.0 - scaled[less];
      (scaled[more] < 1.0 ? small : large).add(more);
    }
    // What is left is 1 but for rounding.
    for (int i : small) {
      thresholds[i] = ALWAYS;
      aliases[i] = i;
    }
    for (int i : large) {
      thresholds[i] = ALWAYS;
      aliases[i] = i;
    }
    return new AliasTable(thresholds, aliases);
  }

  int size() {
    return thresholds.length;
  }

  int threshold(int slot) {
    return thresholds[slot];
  }

  int alias(int slot) {
    return aliases[slot];
  }
}
