package dev.weir.agent;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.net.InetAddress;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

final class OptionsTest {
  private static final List<String> NEEDED =
      List.of(
          "--node",
          "n",
          "--zds",
          "/z",
          "--xds",
          "h:1",
          "--cgroup",
          "/c",
          "--bpffs",
          "/b",
          "--dns-upstream",
          "10.96.0.10");

  private static Options parse(String... more) {
    List<String> all = new ArrayList<>(NEEDED);
    all.addAll(List.of(more));
    return Options.parse(all, 2);
  }

  @Test
  void whatIsNotSaidHasADefault() {
    Options options = parse();
    assertThat(options.workers()).isEqualTo(4);
    assertThat(options.transport()).isEqualTo("auto");
    assertThat(options.clusterDomain()).isEqualTo("cluster.local");
    assertThat(options.adminSocket()).isNull();
    assertThat(options.drain()).hasSeconds(3600);
    assertThat(options.drainAlone()).hasSeconds(5);
  }

  @Test
  void aValueMayFollowAnEqualsSign() {
    assertThat(parse("--workers=4", "--node-ip=10.0.0.1,fd00::1"))
        .satisfies(options -> {
          assertThat(options.workers()).isEqualTo(4);
          assertThat(options.nodeAddresses())
              .containsExactly(InetAddress.ofLiteral("10.0.0.1"), InetAddress.ofLiteral("fd00::1"));
        });
  }

  @Test
  void aSelfTestNeedsNothingElse() {
    assertThat(Options.parse(List.of("--self-test-only"), 2).selfTestOnly()).isTrue();
  }

  @Test
  void allThatIsMissingIsNamedAtOnce() {
    assertThatThrownBy(() -> Options.parse(List.of("--node", "n", "--zds", "/z"), 2))
        .isInstanceOf(Options.UsageException.class)
        .hasMessageContaining("--xds, --cgroup, --bpffs: missing");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "--worker 3           | --worker: no such option",
        "--workers many       | --workers many: expected a number from 1 to 256",
        "--workers 0          | --workers 0: expected a number from 1 to 256",
        "--workers            | --workers: needs a value",
        "--node other         | --node: given twice",
        "--transport nio      | --transport nio: expected auto, io_uring or epoll",
        "--node-ip node-1     | --node-ip node-1: not an IP address",
        "--log-level loud     | --log-level loud: expected error, warn, info or debug",
        "--drain -1           | --drain -1: expected a number from 0 to 86400",
        "--unpaced-within 2ms | --unpaced-within 2ms: expected a number from 0 to 1000000",
      })
  void aBadOptionIsToldInOneLine(String arguments, String message) {
    assertThatThrownBy(() -> parse(arguments.split(" ", -1)))
        .isInstanceOf(Options.UsageException.class)
        .hasMessageContaining(message)
        .message()
        .doesNotContain("\n");
  }
}
