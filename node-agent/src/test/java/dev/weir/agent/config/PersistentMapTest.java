package dev.weir.agent.config;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import org.junit.jupiter.api.Test;

class PersistentMapTest {
  /** A key whose hash is chosen, so that paths and whole hashes collide. */
  record Key(int number, int hash) {
    @Override
    public int hashCode() {
      return hash;
    }
  }

  record Step(Key key, boolean put, int value) {}

  @Property(tries = 500)
  void itHoldsWhatAHashMapHoldsAfterAnySteps(@ForAll("steps") List<Step> steps) {
    PersistentMap<Key, Integer> map = PersistentMap.empty();
    Map<Key, Integer> model = new HashMap<>();
    for (Step step : steps) {
      if (step.put) {
        map = map.with(step.key, step.value);
        model.put(step.key, step.value);
      } else {
        map = map.without(step.key);
        model.remove(step.key);
      }
      assertThat(map.size()).isEqualTo(model.size());
    }
    Map<Key, Integer> seen = new HashMap<>();
    map.forEach(seen::put);
    assertThat(seen).isEqualTo(model);
    for (Step step : steps) {
      assertThat(map.get(step.key)).isEqualTo(model.get(step.key));
    }
  }

  @Provide
  Arbitrary<List<Step>> steps() {
    Arbitrary<Key> keys =
        Arbitraries.integers()
            .between(0, 60)
            .map(number ->
                new Key(number, number % 3 == 0 ? 7 : number % 3 == 1 ? number << 30 : number));
    return keys.flatMap(key ->
            Arbitraries.of(true, true, false)
                .flatMap(put -> Arbitraries.integers().map(value -> new Step(key, put, value))))
        .list()
        .ofMaxSize(200);
  }

  @Test
  void aChangeLeavesTheMapBeforeItWhole() {
    PersistentMap<String, Integer> before = PersistentMap.empty();
    for (int i = 0; i < 10_000; i++) {
      before = before.with("key-" + i, i);
    }
    PersistentMap<String, Integer> after = before.with("key-5", -1).without("key-6");
    assertThat(before.get("key-5")).isEqualTo(5);
    assertThat(before.get("key-6")).isEqualTo(6);
    assertThat(after.get("key-5")).isEqualTo(-1);
    assertThat(after.get("key-6")).isNull();
    assertThat(after.size()).isEqualTo(9_999);
  }
}
