package dev.weir.e2e;

import static org.assertj.core.api.Assertions.assertThat;

import dev.weir.testing.NeedsKernel;
import org.junit.jupiter.api.Test;

/** The first thing that a newcomer types. */
@NeedsKernel
final class DemoIT {
  @Test
  void theDemoServesItsLoadWithoutAFailureOnBothNodes() {
    WeirCommand.Outcome demo = WeirCommand.run("demo", "--for", "6s").ok();
    assertThat(demo.out())
        .containsPattern("(?m)[1-9][0-9,]* requests served")
        .containsPattern("(?m)\\b0 failed");
    assertThat(demo.out()).contains("node-1").contains("node-2");
  }
}
