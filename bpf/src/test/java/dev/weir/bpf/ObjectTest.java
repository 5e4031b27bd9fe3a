package dev.weir.bpf;

import static org.assertj.core.api.Assertions.assertThat;

import dev.weir.ffi.Bpf.BpfObject;
import dev.weir.testing.NeedsKernel;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** The object as this kernel's verifier takes it. */
@NeedsKernel
class ObjectTest {
  // Verifier log level 4: one line of statistics a program, and whatever it has to complain of.
  private static final int STATISTICS = 4;

  @Test
  void theVerifierTakesEveryProgramAndHasNothingToSay() {
    try (BpfObject object = Loaded.KERNEL.bpf().open(Programs.object(), Programs.OBJECT)) {
      object.logLevel(STATISTICS);
      object.load();
      assertThat(object.programNames())
          .containsExactlyInAnyOrderElementsOf(
              Stream.concat(
                      Programs.CGROUP.stream().map(Programs.CgroupProgram::name),
                      Stream.of(Programs.JOIN, Programs.INGRESS, Programs.EGRESS))
                  .toList());
      assertThat(object.mapNames()).containsAll(Programs.MAPS);
      object
          .verifierLogs()
          .forEach((program, log) ->
              assertThat(log.lines().filter(ObjectTest::complains).toList()).as(program).isEmpty());
    }
  }

  private static boolean complains(String line) {
    return List.of("verification time", "stack depth", "processed ").stream()
        .noneMatch(line::startsWith);
  }
}
