package dev.weir.lab;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import org.junit.jupiter.api.Test;

class SweepTest {
  @Test
  void aNameBelongsToTheLabWithTheLongestNameThatItBeginsWith() {
    List<String> names =
        List.of(
            "weir-a-node-1", "weir-a-b-node-1", "weir-a-b-default.p", "weir-ab-node-1", "other");
    assertThat(Sweep.ownedBy("a", names, List.of("a", "a-b"))).containsExactly("weir-a-node-1");
    assertThat(Sweep.ownedBy("a-b", names, List.of("a", "a-b")))
        .containsExactly("weir-a-b-node-1", "weir-a-b-default.p");
    assertThat(Sweep.ownedBy("ab", names, List.of("a"))).containsExactly("weir-ab-node-1");
  }
}
