package dev.weir.agent.capture;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.List;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.Size;

final class AliasTableTest {
  @Property(tries = 200)
  void everyEndpointGetsItsShare(
      @ForAll @Size(min = 1, max = 40) List<@IntRange(min = 0, max = 1000) Integer> given) {
    int[] weights = given.stream().mapToInt(Integer::intValue).toArray();
    AliasTable table = AliasTable.of(weights);
    double[] share = new double[weights.length];
    double total = 0;
    for (int slot = 0; slot < weights.length; slot++) {
      // As the program reads it: below the threshold the slot itself, else its alias; 65535 always
      // itself.
      double own = table.threshold(slot) == 65_535 ? 1.0 : table.threshold(slot) / 65_536.0;
      share[slot] += own / weights.length;
      share[table.alias(slot)] += (1 - own) / weights.length;
      total += weights[slot];
    }
    for (int i = 0; i < weights.length; i++) {
      double expected = total == 0 ? 1.0 / weights.length : weights[i] / total;
      assertThat(share[i]).isCloseTo(expected, within(0.001));
    }
  }
}
