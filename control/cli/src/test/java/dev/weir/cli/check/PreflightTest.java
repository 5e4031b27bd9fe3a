package dev.weir.cli.check;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

final class PreflightTest {
  private static List<Probe> probes() {
    List<Probe> probes = new ArrayList<>(MachineProbes.all());
    probes.addAll(KernelProbes.all());
    probes.addAll(AgentProbes.all());
    return probes;
  }

  @Test
  void codesAreGivenOnceAndEveryProbeThatCanFailHints() {
    assertThat(new HashSet<>(probes().stream().map(Probe::code).toList())).hasSameSizeAs(probes());
    assertThat(probes()).allSatisfy(probe -> assertThat(probe.code()).matches("WEIR-[KMA]\\d{3}"));
    assertThat(probes().stream().filter(Probe::required))
        .allSatisfy(probe -> assertThat(probe.hint()).isNotBlank());
  }

  @Test
  void aProbeThatThrowsIsAFeatureThatLacksWithTheReason() {
    Probe.Question broken =
        () -> {
          throw new java.io.IOException("no such thing");
        };
    Feature required = new Probe("WEIR-K999", "test", "a thing", true, "get one", broken).run();
    assertThat(required.stands()).isFalse();
    assertThat(required.finding()).isEqualTo(Finding.missing("no such thing"));
    assertThat(required.hint()).isEqualTo("get one");
    Feature optional = new Probe("WEIR-K998", "test", "a thing", false, "do without", broken).run();
    assertThat(optional.stands()).isTrue();
    assertThat(optional.finding().state()).isEqualTo(Finding.State.LIMITED);
  }

  @ParameterizedTest
  @CsvSource({
    "6.18.44-fc,5,10,true",
    "5.10.0-28-amd64,5,10,true",
    "5.9.1,5,10,false",
    "4.19,5,10,false",
    "6.6-rc1,6,6,true"
  })
  void releasesCompareByTheirNumbers(String release, int major, int minor, boolean expected) {
    assertThat(KernelProbes.atLeast(release, major, minor)).isEqualTo(expected);
  }

  @Test
  void askingLeavesNothingBehind() throws Exception {
    assumeTrue(
        "root".equals(System.getProperty("user.name")) || "true".equals(System.getenv("CI")),
        "needs root: programs are loaded and attached");
    List<Feature> features = KernelProbes.all().stream().map(Probe::run).toList();
    assertThat(features).hasSizeGreaterThan(30);
    assertThat(features)
        .extracting(Feature::name)
        .contains("cgroup/connect4", "tcx ingress link", "SOCK_DESTROY");
    Path root = Mounts.cgroup2();
    try (var folders = Files.list(root)) {
      assertThat(folders.map(folder -> folder.getFileName().toString()))
          .noneMatch(name -> name.startsWith("weir-check-"));
    }
  }
}
