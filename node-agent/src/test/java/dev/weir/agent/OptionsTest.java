package dev.weir.agent;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.weir.agent.identity.LineOptions;
import java.net.InetAddress;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
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
          "http://h:1",
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
        "--xds h:1            | --xds: given twice",
        "--xds-root /r        | --xds-root: http://h:1 is plaintext, so there is nobody to trust",
        "--ca-root /r         | --ca-root: needs --ca, or --xds HOST:PORT with TLS",
        "--token /t           | --token: needs --ca, or --xds HOST:PORT with TLS",
        "--ca h               | --ca h: expected HOST:PORT",
        "--ca http://h:1      | --ca http://h:1: expected HOST:PORT; certificates are asked for by TLS",
        "--ca h:0             | --ca port 0: expected a number from 1 to 65535",
        "--ca h:1             | --ca: needs --ca-root and --token",
        "--ca h:1 --token /t  | --ca: needs --ca-root and --token",
        "--crl /c             | --crl: needs --ca, which is missing",
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

  private static Options secure(String xds, String... more) {
    List<String> all =
        new ArrayList<>(
            List.of("--node", "n", "--zds", "/z", "--cgroup", "/c", "--bpffs", "/b", "--xds", xds));
    all.addAll(List.of("--dns-upstream", "10.96.0.10"));
    all.addAll(List.of(more));
    return Options.parse(all, 2);
  }

  @Test
  void aControlPlaneIsCalledByTLSUnlessItIsSaidToBePlain() {
    LineOptions line = new LineOptions.Secure("h:15012", Path.of("/r"), Path.of("/t"));
    Options shared = secure("h:15012", "--ca", "h:15012", "--ca-root", "/r", "--token", "/t");
    assertThat(shared.xds()).isEqualTo(line);
    assertThat(shared.identity()).isNotNull();
    assertThat(Objects.requireNonNull(shared.identity()).line()).isEqualTo(line);
    assertThat(secure("h:15012", "--xds-root", "/r", "--token", "/t").xds()).isEqualTo(line);
    assertThat(secure("h:15012", "--xds-root", "/r", "--ca-root", "/other", "--token", "/t").xds())
        .isEqualTo(line);
    assertThat(parse().xds()).isEqualTo(new LineOptions.Plain("h:1"));
    LineOptions v6 = secure("[fd00::1]:7", "--xds-root", "/r", "--token", "/t").xds();
    assertThat(v6.host()).isEqualTo("fd00::1");
    assertThat(v6.port()).isEqualTo(7);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "h:1                      | --xds h:1: needs --xds-root or --ca-root: whom to trust; http://h:1 is plaintext",
        "h:1 --token /t           | --xds h:1: needs --xds-root or --ca-root: whom to trust",
        "h:1 --xds-root /r        | --xds h:1: needs --token: what to show",
        "h                        | --xds h: expected HOST:PORT, or http://HOST:PORT without TLS",
        ":1                       | --xds :1: expected HOST:PORT",
        "https://h:1              | --xds https://h:1: expected HOST:PORT",
        "http://h                 | --xds http://h: expected HOST:PORT",
        "fd00::1:7                | --xds fd00::1:7: expected HOST:PORT",
        "[]:7                     | --xds []:7: expected HOST:PORT",
        "h:0                      | --xds port 0: expected a number from 1 to 65535",
        "h:65536                  | --xds port 65536: expected a number from 1 to 65535",
        "h:x                      | --xds port x: expected a number from 1 to 65535",
        "h:1 --xds-root           | --xds-root: needs a value",
      })
  void aBadLineToTheControlPlaneIsToldInOneLine(String arguments, String message) {
    String[] all = arguments.split(" ", -1);
    assertThatThrownBy(() -> secure(all[0], Arrays.copyOfRange(all, 1, all.length)))
        .isInstanceOf(Options.UsageException.class)
        .hasMessageContaining(message)
        .message()
        .doesNotContain("\n");
  }
}
