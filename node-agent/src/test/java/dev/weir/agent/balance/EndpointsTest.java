package dev.weir.agent.balance;

import static org.assertj.core.api.Assertions.assertThat;

import dev.weir.agent.config.MeshView;
import dev.weir.agent.relay.Meshes;
import dev.weir.api.model.Endpoint;
import dev.weir.api.model.Service;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

final class EndpointsTest {
  private static final InetAddress V4 = InetAddress.ofLiteral("10.96.0.1");
  private static final InetAddress V6 = InetAddress.ofLiteral("fd00:96::1");

  private static List<Endpoint> endpoints(String... addresses) {
    MeshView view = Meshes.service("10.96.0.1", 80, 8080, addresses);
    Service service = Objects.requireNonNull(view.service(V4));
    return view.endpoints(service, 80);
  }

  private static List<String> drawAll(Endpoints endpoints) {
    List<String> drawn = new ArrayList<>();
    for (Endpoint next = endpoints.draw(); next != null; next = endpoints.draw()) {
      drawn.add(Objects.requireNonNull(next.address()).getHostAddress());
    }
    return drawn;
  }

  @Test
  void eachIsDrawnOnce() {
    Endpoints endpoints =
        new Endpoints(endpoints("10.0.0.1", "10.0.0.2", "10.0.0.3"), V4, new SplittableRandom(1));
    assertThat(drawAll(endpoints)).containsExactlyInAnyOrder("10.0.0.1", "10.0.0.2", "10.0.0.3");
    assertThat(endpoints.isEmpty()).isTrue();
  }

  @Test
  void anExcludedOneIsNotDrawn() {
    Endpoints endpoints =
        new Endpoints(endpoints("10.0.0.1", "10.0.0.2"), V4, new SplittableRandom(1));
    endpoints.exclude(new InetSocketAddress(InetAddress.ofLiteral("10.0.0.1"), 8080));
    assertThat(drawAll(endpoints)).containsExactly("10.0.0.2");
  }

  @Test
  void anotherPortOfTheSameAddressExcludesNothing() {
    Endpoints endpoints = new Endpoints(endpoints("10.0.0.1"), V4, new SplittableRandom(1));
    endpoints.exclude(new InetSocketAddress(InetAddress.ofLiteral("10.0.0.1"), 9090));
    assertThat(drawAll(endpoints)).containsExactly("10.0.0.1");
  }

  @Test
  void onlyTheFamilyThatWasAskedForIsDrawn() {
    List<Endpoint> both = endpoints("10.0.0.1", "fd00::1");
    assertThat(drawAll(new Endpoints(both, V4, new SplittableRandom(1))))
        .containsExactly("10.0.0.1");
    assertThat(drawAll(new Endpoints(both, V6, new SplittableRandom(1))))
        .containsExactly("fd00:0:0:0:0:0:0:1");
  }

  @Test
  void equalWeightsAreDrawnEquallyOften() {
    List<Endpoint> all = endpoints("10.0.0.1", "10.0.0.2", "10.0.0.3");
    SplittableRandom random = new SplittableRandom(5);
    int first = 0;
    int draws = 30_000;
    for (int i = 0; i < draws; i++) {
      Endpoint drawn = Objects.requireNonNull(new Endpoints(all, V4, random).draw());
      if (InetAddress.ofLiteral("10.0.0.2").equals(drawn.address())) {
        first++;
      }
    }
    // Four standard deviations of a binomial with p = 1/3.
    assertThat(first).isBetween(10_000 - 330, 10_000 + 330);
  }

  private static InetAddress client(int i) {
    return InetAddress.ofLiteral("10.1.%d.%d".formatted(i >> 8, i & 255));
  }

  private static String picked(List<Endpoint> all, InetAddress client) {
    Endpoint drawn = Objects.requireNonNull(Endpoints.byClient(all, V4, client).draw());
    return Objects.requireNonNull(drawn.address()).getHostAddress();
  }

  @Test
  void aClientHasItsOwnOrderEachTime() {
    List<Endpoint> all = endpoints("10.0.0.1", "10.0.0.2", "10.0.0.3", "fd00::1");
    List<String> once = drawAll(Endpoints.byClient(all, V4, client(7)));
    assertThat(once).containsExactlyInAnyOrder("10.0.0.1", "10.0.0.2", "10.0.0.3");
    assertThat(drawAll(Endpoints.byClient(all.reversed(), V4, client(7)))).isEqualTo(once);
  }

  @Test
  void anEndpointThatGoesMovesOnlyItsOwnClients() {
    List<Endpoint> before = endpoints("10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4");
    List<Endpoint> after = endpoints("10.0.0.1", "10.0.0.2", "10.0.0.4");
    int moved = 0;
    int clients = 10_000;
    for (int i = 0; i < clients; i++) {
      String had = picked(before, client(i));
      if (had.equals("10.0.0.3")) {
        moved++;
      } else {
        assertThat(picked(after, client(i))).isEqualTo(had);
      }
    }
    // Four standard deviations of a binomial with p = 1/4.
    assertThat(moved).isBetween(2_500 - 174, 2_500 + 174);
  }

  @Test
  void noneIsNone() {
    Endpoints endpoints = new Endpoints(List.of(), V4, new SplittableRandom(1));
    assertThat(endpoints.draw()).isNull();
  }
}
