package dev.weir.e2e;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.entry;

import dev.weir.api.json.Json;
import java.util.List;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Between nodes nobody reads along, and both ends are who they say they are. */
@ExtendWith(MeshLab.class)
final class TunnelIT {
  private static final String TLS_1_3 = "0304";
  private static final String SPIFFE_ID = "d0";

  @ParameterizedTest
  @ValueSource(strings = {"v4", "v6"})
  void theWireShowsTlsAndNothingOfWhatIsSaid(String family, Lab lab) {
    String inside = "said-inside-the-mesh-over-" + family;
    String outside = "said-outside-of-the-mesh-over-" + family;
    try (Lab.Sniffer wire = lab.sniff("node-1", inside, outside)) {
      // A new agent has no tunnels yet, so its first handshakes are seen too.
      lab.lab("agent", "node-1", "restart").ok();
      try (Lab.Held tunnelled = lab.hold("in-a", lab.ip("in-c", family), 8080, family);
          Lab.Held plain = lab.hold("out-a", lab.ip("out-c", family), 8080, family)) {
        assertThat(tunnelled.say(inside)).isEqualTo(inside);
        // Who finds nothing must be able to find something.
        assertThat(plain.say(outside)).isEqualTo(outside);
      }
      Json seen = wire.stop();

      assertThat(seen.get("readable").items().stream().map(Json::text)).containsExactly(outside);
      assertThat(seen.get("hellos").integer()).as(seen.toJson()).isPositive();
      assertThat(seen.get("records").integer()).as(seen.toJson()).isPositive();
      assertThat(seen.get("versions").items().stream().map(Json::text)).containsExactly(TLS_1_3);
    }
  }

  /**
   * {@code told} listens where it is called, {@code told-aside} at a port that nobody calls; both
   * are on node-2, so one client comes from another node and one from their own.
   */
  @ParameterizedTest
  @CsvSource({
    "in-a, told, v4",
    "in-a, told, v6",
    "in-a, told-aside, v4",
    "in-a, told-aside, v6",
    "in-a, told-aside, mapped",
    "in-c, told-aside, v4"
  })
  void aProgramBehindAnApplicationTunnelHearsWhoCallsWhat(
      String client, String server, String family, Lab lab) {
    String node = client.equals("in-a") ? "node-1" : "node-2";
    String address = lab.ip(server, family);
    long before = lab.opened(node, client, server, "tunnel");
    Answers answers =
        lab.cases(
            client,
            List.of(
                Cases.of("by address", "introduced", address, 8080, family),
                Cases.of("by name", "introduced", server, 80, family)));

    for (String how : List.of("by address", "by name")) {
      Json seen = answers.get(how).get("seen");
      assertThat(seen.get("heard").text()).as(answers.all()).isEqualTo("hello");
      assertThat(seen.get("client").text()).as(how).isEqualTo(lab.ip(client, family));
      assertThat(seen.get("clientPort").integer())
          .as(how)
          .isEqualTo(answers.get(how).get("ownPort").integer());
      assertThat(seen.get("asked").text()).as(how).isEqualTo(address);
      assertThat(seen.get("askedPort").integer()).as(how).isEqualTo(8080);
      assertThat(seen.get("told").fieldsByName())
          .as("its identity, and nothing else: " + how)
          .containsExactly(entry(SPIFFE_ID, Json.of("spiffe://cluster.local/ns/e2e/sa/default")));
      assertThat(seen.get("from").text()).as(how).isIn("127.0.0.1", "::1");
    }
    Waiting.until(
        "both to be counted", () -> lab.opened(node, client, server, "tunnel") >= before + 2);
  }
}
