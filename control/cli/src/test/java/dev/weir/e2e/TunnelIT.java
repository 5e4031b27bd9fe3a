package dev.weir.e2e;

import static org.assertj.core.api.Assertions.assertThat;

import dev.weir.api.json.Json;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Between nodes nobody reads along, and both ends are who they say they are. */
@ExtendWith(MeshLab.class)
final class TunnelIT {
  private static final String TLS_1_3 = "0304";

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
}
