package dev.weir.agent.route;

import static org.assertj.core.api.Assertions.assertThat;

import dev.weir.agent.capture.Original;
import dev.weir.agent.capture.Pod;
import dev.weir.agent.capture.ServiceAddress;
import dev.weir.agent.capture.TestPods;
import dev.weir.agent.config.MeshView;
import dev.weir.agent.relay.Meshes;
import dev.weir.agent.telemetry.Refusal;
import dev.weir.agent.tunnel.Passage;
import dev.weir.api.model.AppProtocol;
import dev.weir.api.model.Balancing;
import dev.weir.api.model.FastPath;
import dev.weir.api.model.GatewayAddress;
import dev.weir.api.model.IpFamilies;
import dev.weir.api.model.OnAgentLoss;
import dev.weir.api.model.PodSettings;
import dev.weir.api.model.PortRange;
import dev.weir.api.model.Service;
import dev.weir.api.model.ServicePort;
import dev.weir.api.model.Workload;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.SplittableRandom;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

final class RouterTest {
  private static final InetSocketAddress VIP = at("10.96.0.1", 80);
  private static final Pod SOURCE = pod(1, "10.1.0.1", PodSettings.DEFAULT);

  private final Map<InetAddress, Pod> here = new HashMap<>();
  private final Router router = new Router(here::get, new SplittableRandom(3));

  private static Pod pod(int number, String address, PodSettings settings) {
    return TestPods.pod(
        number,
        "test",
        "pod-" + number,
        "default",
        List.of(InetAddress.ofLiteral(address)),
        settings);
  }

  private static PodSettings settings(FastPath path) {
    return TestPods.enrolled(path, OnAgentLoss.CLOSED);
  }

  private static Decision next(Route route) {
    return Objects.requireNonNull(route.next());
  }

  private static Original asked(InetSocketAddress address) {
    return new Original(address, address, 0);
  }

  private static InetSocketAddress at(String address, int port) {
    return new InetSocketAddress(InetAddress.ofLiteral(address), port);
  }

  @Test
  void anAddressThatNobodyKnowsIsDialled() {
    Route route =
        router.outbound(
            SOURCE, MeshView.empty(), new Original(at("192.0.2.1", 443), at("192.0.2.1", 443), 0));
    assertThat(route.next()).isEqualTo(new Decision.Dial(at("192.0.2.1", 443)));
    assertThat(route.next()).isNull();
    assertThat(route.service()).isNull();
  }

  @Test
  void theKernelsPickComesFirstAndTheOthersAfterIt() {
    MeshView view = Meshes.service("10.96.0.1", 80, 8080, "10.0.0.1", "10.0.0.2");
    Route route = router.outbound(SOURCE, view, new Original(VIP, at("10.0.0.2", 8080), 1));
    assertThat(route.next()).isEqualTo(new Decision.Dial(at("10.0.0.2", 8080)));
    assertThat(route.hasNext()).isTrue();
    assertThat(route.next()).isEqualTo(new Decision.Dial(at("10.0.0.1", 8080)));
    assertThat(route.hasNext()).isFalse();
    assertThat(route.next()).isNull();
  }

  @Test
  void aServiceAddressThatTheKernelLeftIsResolvedHere() {
    MeshView view = Meshes.service("10.96.0.1", 80, 8080, "10.0.0.1");
    Route route = router.outbound(SOURCE, view, new Original(VIP, VIP, 1));
    assertThat(route.next()).isEqualTo(new Decision.Dial(at("10.0.0.1", 8080)));
    assertThat(route.service()).isNotNull();
  }

  @Test
  void aClientStaysWithItsEndpointOfAServiceThatAsksForIt() {
    MeshView view =
        Meshes.service(
            new Balancing(List.of(), Balancing.Mode.UNSPECIFIED, true),
            "10.96.0.1",
            80,
            8080,
            "10.0.0.1",
            "10.0.0.2",
            "10.0.0.3");
    assertThat(view.serviceAddresses()).allMatch(ServiceAddress::agentDecides);
    Set<Decision> first = new HashSet<>();
    Set<Decision> second = new HashSet<>();
    for (int i = 0; i < 20; i++) {
      Route route = router.outbound(SOURCE, view, new Original(VIP, VIP, 1));
      first.add(next(route));
      second.add(next(route));
    }
    assertThat(first).hasSize(1);
    assertThat(second).hasSize(1).isNotEqualTo(first);
    Set<Decision> others = new HashSet<>();
    for (int i = 1; i < 20; i++) {
      Pod other = pod(i, "10.1.0." + i, PodSettings.DEFAULT);
      others.add(next(router.outbound(other, view, new Original(VIP, VIP, 1))));
    }
    assertThat(others).hasSize(3);
  }

  @Test
  void aServiceWithoutEndpointsIsRefused() {
    MeshView view = Meshes.service("10.96.0.1", 80, 8080);
    Route route = router.outbound(SOURCE, view, new Original(VIP, VIP, 1));
    assertThat(route.next()).isEqualTo(new Decision.Refuse(Refusal.NO_ENDPOINT));
  }

  @Test
  void aLongListOfDeadEndpointsIsNotTriedToItsEnd() {
    String[] many = new String[20];
    for (int i = 0; i < many.length; i++) {
      many[i] = "10.0.0." + (i + 1);
    }
    Route route =
        router.outbound(
            SOURCE, Meshes.service("10.96.0.1", 80, 8080, many), new Original(VIP, VIP, 1));
    int tries = 0;
    while (route.next() != null) {
      tries++;
    }
    assertThat(tries).isEqualTo(5);
  }

  @Test
  void aPodOfTheMeshElsewhereIsReachedThroughATunnel() {
    Workload there = Meshes.of(pod(7, "10.2.0.1", settings(FastPath.DIRECT)));
    MeshView view = MeshView.of(List.of(), List.of(there));

    Route route = router.outbound(SOURCE, view, asked(at("10.2.0.1", 8080)));

    assertThat(route.next()).isEqualTo(new Decision.Tunnel(there, at("10.2.0.1", 8080)));
  }

  @Test
  void aPortThatItsPodExcludedIsReachedWithoutATunnel() {
    Workload there =
        Meshes.of(pod(7, "10.2.0.1", TestPods.excludingInbound(new PortRange(9000, 9010))));
    MeshView view = MeshView.of(List.of(), List.of(there));

    assertThat(router.outbound(SOURCE, view, asked(at("10.2.0.1", 9005))).next())
        .isEqualTo(new Decision.Dial(at("10.2.0.1", 9005)));
    assertThat(router.outbound(SOURCE, view, asked(at("10.2.0.1", 9011))).next())
        .isEqualTo(new Decision.Tunnel(there, at("10.2.0.1", 9011)));
  }

  @Test
  void noTunnelLeadsToAnAgentsOwnPort() {
    Workload there = Meshes.of(pod(7, "10.2.0.1", settings(FastPath.DIRECT)));
    MeshView view = MeshView.of(List.of(), List.of(there));

    assertThat(router.outbound(SOURCE, view, asked(at("10.2.0.1", 15008))).next())
        .isEqualTo(new Decision.Refuse(Refusal.SELF_PORT));
  }

  @Test
  void onOneNodeATunnelIsForThoseWhoAskedForIt() {
    Pod direct = pod(7, "10.1.0.7", settings(FastPath.DIRECT));
    Pod off = pod(8, "10.1.0.8", settings(FastPath.OFF));
    here.put(InetAddress.ofLiteral("10.1.0.7"), direct);
    here.put(InetAddress.ofLiteral("10.1.0.8"), off);
    MeshView view = MeshView.of(List.of(), List.of(Meshes.of(direct), Meshes.of(off)));

    assertThat(router.outbound(SOURCE, view, asked(at("10.1.0.7", 80))).next())
        .isEqualTo(new Decision.Deliver(direct, at("10.1.0.7", 80)));
    assertThat(router.outbound(SOURCE, view, asked(at("10.1.0.8", 80))).next())
        .isEqualTo(new Decision.Tunnel(Meshes.of(off), at("10.1.0.8", 80)));
    assertThat(router.outbound(off, view, asked(at("10.1.0.8", 80))).next())
        .as("a pod needs no tunnel to itself")
        .isEqualTo(new Decision.Deliver(off, at("10.1.0.8", 80)));
  }

  // ---- other networks

  private static final String GATEWAY = "spiffe://cluster.local/ns/test/sa/gateway";
  private static final String SERVER = "spiffe://cluster.local/ns/shop/sa/cart";

  private static Service named(String name, String address, int port, String... servers) {
    return new Service(
        "test",
        name,
        name + ".test.svc.cluster.local",
        "",
        List.of(InetAddress.ofLiteral(address)),
        List.of(new ServicePort("", port, port, AppProtocol.TCP)),
        IpFamilies.AUTOMATIC,
        Balancing.ANYWHERE,
        false,
        "",
        false,
        List.of(servers));
  }

  /** A workload of the network "west"; with addresses that are somebody else's here. */
  private static Workload west(
      String name, String address, Service of, @Nullable GatewayAddress gateway) {
    return Meshes.workload(name, address, of, of.ports().getFirst(), 1).in("west", gateway);
  }

  /** What is decided for the one Service of the mesh, called from the network "east". */
  private Decision decided(List<Service> services, Workload... workloads) {
    MeshView view = MeshView.empty("east").with(services, List.of(workloads), List.of());
    assertThat(view.serviceAddresses())
        .filteredOn(each -> each.address().equals(VIP.getAddress()))
        .as("the kernel can pick nobody there")
        .allMatch(ServiceAddress::agentDecides);
    return next(router.outbound(SOURCE, view, asked(VIP)));
  }

  private static Passage passage(InetSocketAddress gateway, String... keepers) {
    return new Passage(
        gateway, Set.of(keepers), "svc.test.svc.cluster.local", 80, Set.of(SERVER), "east");
  }

  @Test
  void anotherNetworkIsReachedByItsGatewaysAddress() {
    Service service = named("svc", "10.96.0.1", 80, SERVER);
    Service elsewhere = named("gateways", "10.96.0.9", 15008);
    GatewayAddress at = new GatewayAddress.At("west", InetAddress.ofLiteral("192.0.2.7"), 15443);
    Workload there = west("there", "10.1.0.9", service, at);
    Workload gateway = west("gateway", "192.0.2.7", elsewhere, null);
    Workload somebodyHere =
        Meshes.workload("here", "192.0.2.7", elsewhere, elsewhere.ports().getFirst(), 1);

    assertThat(decided(List.of(service), there, gateway, somebodyHere))
        .isEqualTo(new Decision.Cross(there, passage(at("192.0.2.7", 15443), gateway.identity())));
    assertThat(decided(List.of(service), there, somebodyHere))
        .as("who has that address in this network is nobody's gateway")
        .isEqualTo(
            new Decision.Refuse(
                Refusal.NO_GATEWAY,
                "nothing is known of west/192.0.2.7, the gateway of network west"));
  }

  @Test
  void anotherNetworkIsReachedByItsGatewaysService() {
    Service service = named("svc", "10.96.0.1", 80, SERVER);
    Service gateways = named("gateways", "10.96.0.9", 443, GATEWAY);
    GatewayAddress behind =
        new GatewayAddress.Named("test", "gateways.test.svc.cluster.local", 15443);
    Workload there = west("there", "10.1.0.9", service, behind);
    Workload six = west("six", "2001:db8::7", gateways, null);
    Workload four = west("four", "192.0.2.7", gateways, null);

    assertThat(decided(List.of(service, gateways), there, six, four))
        .as("in the client's family")
        .isEqualTo(
            new Decision.Cross(there, passage(at("192.0.2.7", 15443), GATEWAY, four.identity())));
    assertThat(decided(List.of(service, gateways), there, six))
        .isEqualTo(
            new Decision.Cross(there, passage(at("2001:db8::7", 15443), GATEWAY, six.identity())));
    assertThat(decided(List.of(service, gateways), there))
        .isInstanceOfSatisfying(
            Decision.Refuse.class,
            refused -> assertThat(refused.reason()).isEqualTo(Refusal.NO_GATEWAY));
  }

  @Test
  void nobodyIsAskedWhereNobodyCouldBeRecognised() {
    Service service = named("svc", "10.96.0.1", 80);
    GatewayAddress at = new GatewayAddress.At("west", InetAddress.ofLiteral("192.0.2.7"), 15443);
    assertThat(
            decided(
                List.of(service),
                west("there", "10.1.0.9", service, at),
                west("gateway", "192.0.2.7", named("none", "10.96.0.9", 80), null)))
        .isEqualTo(
            new Decision.Refuse(
                Refusal.NO_GATEWAY,
                "the control plane does not say who may answer for svc.test.svc.cluster.local in"
                    + " network west"));
  }

  @Test
  void endpointsOfBothNetworksAreDrawnAndOneFailsOverToTheOther() {
    Service service = named("svc", "10.96.0.1", 80, SERVER);
    GatewayAddress at = new GatewayAddress.At("west", InetAddress.ofLiteral("192.0.2.7"), 15443);
    Workload there = west("there", "10.1.0.9", service, at);
    Workload here = Meshes.workload("here", "10.1.0.8", service, service.ports().getFirst(), 1);
    Workload gateway = west("gateway", "192.0.2.7", named("none", "10.96.0.9", 80), null);
    MeshView view =
        MeshView.empty("east").with(List.of(service), List.of(there, here, gateway), List.of());
    Set<Class<?>> first = new HashSet<>();
    for (int i = 0; i < 50; i++) {
      Route route = router.outbound(SOURCE, view, asked(VIP));
      Decision one = next(route);
      first.add(one.getClass());
      assertThat(next(route).getClass()).isNotEqualTo(one.getClass());
      assertThat(route.next()).isNull();
    }
    assertThat(first).containsExactlyInAnyOrder(Decision.Cross.class, Decision.Dial.class);
    assertThat(view.workload(InetAddress.ofLiteral("10.1.0.9"))).isNull();
    assertThat(view.workloads(service)).as("whom DNS may name").containsExactly(here);
  }
}
