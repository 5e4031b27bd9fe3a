package dev.weir.agent.route;

import static org.assertj.core.api.Assertions.assertThat;

import dev.weir.agent.capture.Original;
import dev.weir.agent.config.MeshView;
import dev.weir.agent.relay.Meshes;
import dev.weir.agent.telemetry.Refusal;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

final class RouterTest {
  private static final InetSocketAddress VIP = at("10.96.0.1", 80);
  private final Router router = new Router(address -> null, new SplittableRandom(3));

  private static InetSocketAddress at(String address, int port) {
    return new InetSocketAddress(InetAddress.ofLiteral(address), port);
  }

  @Test
  void anAddressThatNobodyKnowsIsDialled() {
    Route route =
        router.outbound(
            MeshView.empty(), new Original(at("192.0.2.1", 443), at("192.0.2.1", 443), 0));
    assertThat(route.next()).isEqualTo(new Decision.Dial(at("192.0.2.1", 443)));
    assertThat(route.next()).isNull();
    assertThat(route.service()).isNull();
  }

  @Test
  void theKernelsPickComesFirstAndTheOthersAfterIt() {
    MeshView view = Meshes.service("10.96.0.1", 80, 8080, "10.0.0.1", "10.0.0.2");
    Route route = router.outbound(view, new Original(VIP, at("10.0.0.2", 8080), 1));
    assertThat(route.next()).isEqualTo(new Decision.Dial(at("10.0.0.2", 8080)));
    assertThat(route.hasNext()).isTrue();
    assertThat(route.next()).isEqualTo(new Decision.Dial(at("10.0.0.1", 8080)));
    assertThat(route.hasNext()).isFalse();
    assertThat(route.next()).isNull();
  }

  @Test
  void aServiceAddressThatTheKernelLeftIsResolvedHere() {
    MeshView view = Meshes.service("10.96.0.1", 80, 8080, "10.0.0.1");
    Route route = router.outbound(view, new Original(VIP, VIP, 1));
    assertThat(route.next()).isEqualTo(new Decision.Dial(at("10.0.0.1", 8080)));
    assertThat(route.service()).isNotNull();
  }

  @Test
  void aServiceWithoutEndpointsIsRefused() {
    MeshView view = Meshes.service("10.96.0.1", 80, 8080);
    Route route = router.outbound(view, new Original(VIP, VIP, 1));
    assertThat(route.next()).isEqualTo(new Decision.Refuse(Refusal.NO_ENDPOINT));
  }

  @Test
  void aLongListOfDeadEndpointsIsNotTriedToItsEnd() {
    String[] many = new String[20];
    for (int i = 0; i < many.length; i++) {
      many[i] = "10.0.0." + (i + 1);
    }
    Route route =
        router.outbound(Meshes.service("10.96.0.1", 80, 8080, many), new Original(VIP, VIP, 1));
    int tries = 0;
    while (route.next() != null) {
      tries++;
    }
    assertThat(tries).isEqualTo(5);
  }
}
