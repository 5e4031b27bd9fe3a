package dev.weir.agent.config;

import static org.assertj.core.api.Assertions.assertThat;

import dev.weir.agent.capture.ServiceAddress;
import dev.weir.api.model.Endpoint;
import dev.weir.api.model.Service;
import dev.weir.api.model.Workload;
import java.net.InetAddress;
import java.util.List;
import org.junit.jupiter.api.Test;

class MeshViewTest {
  private static final InetAddress VIP = InetAddress.ofLiteral("10.96.0.7");

  private final Service web = Meshes.service("web", "10.96.0.7", "fd00:96::7");
  private final Workload one =
      Meshes.pod("web-1", "web", "", List.of("10.244.1.5", "fd00:244:1::5"), "web");
  private final Workload two = Meshes.pod("web-2", "web", "10.244.2.6", "web");

  @Test
  void aServiceIsFoundByEachOfItsNamesAndKnowsItsEndpoints() {
    MeshView view = MeshView.of(List.of(web), List.of(one, two));
    assertThat(view.service(VIP)).isEqualTo(web);
    assertThat(view.service("web.shop.svc.cluster.local")).isEqualTo(web);
    assertThat(view.serviceByKey("shop/web.shop.svc.cluster.local")).isEqualTo(web);
    assertThat(view.endpoints(web, 80))
        .extracting(Endpoint::address)
        .extracting(InetAddress::getHostAddress)
        .containsExactly("10.244.1.5", "fd00:244:1:0:0:0:0:5", "10.244.2.6");
    assertThat(view.endpoints(web, 81)).isEmpty();
    assertThat(view.endpoints(web, 80)).isSameAs(view.endpoints(web, 80));
    assertThat(view.pod("shop", "web-1")).contains(one);
    assertThat(view.workload(InetAddress.ofLiteral("fd00:244:1::5"))).isEqualTo(one);
  }

  @Test
  void endpointsMayComeBeforeTheirService() {
    MeshView.Change change = MeshView.empty().change();
    change.put(one);
    MeshView early = change.done();
    assertThat(early.endpoints(web, 80)).isEmpty();
    change = early.change();
    change.put(web);
    assertThat(change.done().endpoints(web, 80)).hasSize(2);
  }

  @Test
  void theKernelIsToldOfEndpointsOfTheAddressFamilyAndOfNothingThatDidNotChange() {
    Service other = Meshes.service("other", "10.96.0.8");
    MeshView before = MeshView.of(List.of(web, other, Meshes.service("headless")), List.of(one));
    assertThat(before.serviceAddresses()).hasSize(3);
    ServiceAddress unchanged = at(before, "10.96.0.8");
    assertThat(at(before, "10.96.0.7").endpoints())
        .extracting(each -> each.address().getHostAddress() + ":" + each.port())
        .containsExactly("10.244.1.5:8080");
    MeshView.Change change = before.change();
    change.put(two);
    MeshView after = change.done();
    assertThat(at(after, "10.96.0.8")).isSameAs(unchanged);
    assertThat(at(after, "10.96.0.7").endpoints()).hasSize(2);
    assertThat(at(after, "fd00:96:0:0:0:0:0:7").endpoints()).hasSize(1);
    assertThat(after.generation()).isEqualTo(before.generation() + 1);
  }

  @Test
  void aReusedAddressBelongsToTheNewPodWhateverOrderTheNewsComesIn() {
    MeshView.Change change = MeshView.of(List.of(web), List.of(two)).change();
    Workload heir = Meshes.pod("db-1", "db", "10.244.2.6");
    change.put(heir);
    change.remove(two.uid());
    MeshView view = change.done();
    assertThat(view.workload(InetAddress.ofLiteral("10.244.2.6"))).isEqualTo(heir);
    assertThat(view.endpoints(web, 80)).isEmpty();
  }

  @Test
  void whatIsRemovedLeavesNoTrace() {
    MeshView.Change change = MeshView.of(List.of(web), List.of(one, two)).change();
    change.remove(web.key());
    change.remove(one.uid());
    change.remove(two.uid());
    change.remove("never heard of");
    MeshView view = change.done();
    assertThat(view.serviceCount()).isZero();
    assertThat(view.workloadCount()).isZero();
    assertThat(view.service(VIP)).isNull();
    assertThat(view.knowsNamespace("shop")).isFalse();
    assertThat(view.serviceAddresses()).isEmpty();
  }

  @Test
  void aChangedServiceGivesUpItsOldAddress() {
    MeshView.Change change = MeshView.of(List.of(web), List.of(one)).change();
    change.put(Meshes.service("web", "10.96.0.9"));
    MeshView view = change.done();
    assertThat(view.service(VIP)).isNull();
    assertThat(view.service(InetAddress.ofLiteral("10.96.0.9"))).isNotNull();
    assertThat(view.endpoints(web, 80)).hasSize(2);
  }

  @Test
  void aChangeInALargeMeshCostsWhatTheChangeCosts() {
    MeshView.Change building = MeshView.empty().change();
    for (int i = 0; i < 10_000; i++) {
      building.put(
          Meshes.service(
              "s" + i, "10." + (100 + i / 65536) + "." + (i / 256 % 256) + "." + i % 256));
      building.put(
          Meshes.pod(
              "p" + i,
              "app",
              "10." + (120 + i / 65536) + "." + (i / 256 % 256) + "." + i % 256,
              "s" + i));
    }
    MeshView view = building.done();
    long best = Long.MAX_VALUE;
    for (int round = 0; round < 200; round++) {
      Workload moved = Meshes.pod("p77", "app", "10.200.0." + round, "s77");
      long before = System.nanoTime();
      MeshView.Change change = view.change();
      change.put(moved);
      view = change.done();
      best = Math.min(best, System.nanoTime() - before);
    }
    // A copy of 10,000 entries takes milliseconds; this takes some ten microseconds.
    assertThat(best).isLessThan(2_000_000);
  }

  private static ServiceAddress at(MeshView view, String address) {
    return view.serviceAddresses().stream()
        .filter(each -> each.address().getHostAddress().equals(address))
        .findFirst()
        .orElseThrow();
  }
}
