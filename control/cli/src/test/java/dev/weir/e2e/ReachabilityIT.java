package dev.weir.e2e;

import static org.assertj.core.api.Assertions.assertThat;

import dev.weir.api.json.Json;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.assertj.core.api.SoftAssertions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * {enrolled, not} × {enrolled, not} × {same node, other node} × {IPv4, IPv6, v4-mapped} × {pod IP,
 * ClusterIP, headless, hostname}.
 */
@ExtendWith(MeshLab.class)
final class ReachabilityIT {
  private static final List<String> SERVERS = List.of("in-b", "out-b", "in-c", "out-c");
  private static final List<String> FAMILIES = List.of("v4", "v6", "mapped");

  @ParameterizedTest
  @ValueSource(strings = {"in-a", "out-a"})
  void everyPodReachesEveryPodByEveryAddressAndIsSeenAsItself(String client, Lab lab) {
    Json status = lab.status();
    List<Json> cases = new ArrayList<>();
    for (String server : SERVERS) {
      for (String family : FAMILIES) {
        String kind = server + " " + family + " ";
        cases.add(Cases.of(kind + "pod", "talk", lab.ip(server, family), 8080, family));
        cases.add(
            Cases.of(kind + "cluster", "talk", clusterIp(status, server, family), 80, family));
        cases.add(Cases.of(kind + "headless", "talk", server + "-headless", 8080, family));
        cases.add(
            Cases.of(kind + "hostname", "talk", server + ".e2e.svc.cluster.local", 80, family));
      }
    }

    Answers answers = lab.cases(client, cases);

    SoftAssertions all = new SoftAssertions();
    for (Json each : cases) {
      String name = each.get("name").text();
      Json answer = answers.get(name);
      all.assertThat(answer.get("error").text()).as(name).isEmpty();
      all.assertThat(answer.get("echoed").isTrue()).as(name + ": echoed").isTrue();
      all.assertThat(answer.get("seen").text())
          .as(name + ": source seen")
          .isEqualTo(lab.ip(client, each.get("family").text()));
      all.assertThat(answer.get("peername").text())
          .as(name + ": getpeername")
          .isEqualTo(answer.get("asked").text());
    }
    all.assertAll();
  }

  @Test
  void onceDecidedConnectionsOnOneNodeStayInTheKernel(Lab lab) {
    Json talk = Cases.of("talk", "in-b", 80);
    lab.one("in-a", talk);
    long before = lab.opened("node-1", "in-a", "in-b", "direct");
    Waiting.until(
        "a direct connection",
        () -> {
          lab.one("in-a", talk);
          return lab.opened("node-1", "in-a", "in-b", "direct") > before;
        });
  }

  @Test
  void connectionsBetweenNodesGoThroughATunnel(Lab lab) {
    long before = lab.opened("node-1", "in-a", "in-c", "tunnel");
    assertThat(lab.one("in-a", Cases.of("talk", "in-c", 80)).get("echoed").isTrue()).isTrue();
    Waiting.until("the edge", () -> lab.opened("node-1", "in-a", "in-c", "tunnel") > before);
  }

  @Test
  void aClientStaysWithItsEndpointWhileItIsThere(Lab lab) {
    assertThat(who("out-a", lab)).as("a client outside of the mesh").startsWith("sticky-");
    String first = who("in-a", lab);
    String other =
        Stream.of("sticky-1", "sticky-2", "sticky-3")
            .filter(pod -> !pod.equals(first))
            .findFirst()
            .orElseThrow();
    lab.lab("delete", "pod/" + other, "-n", "e2e").ok();
    assertThat(who("in-a", lab)).as("after another one went").isEqualTo(first);
    lab.lab("delete", "pod/" + first, "-n", "e2e").ok();
    assertThat(who("in-a", lab)).as("after it went").isNotIn(first, other).startsWith("sticky-");
  }

  /** The one pod that answers all of a client's connections to the Service. */
  private static String who(String client, Lab lab) {
    Json answer = lab.one(client, Cases.with(Cases.of("who", "sticky", 80), "count", 20));
    assertThat(answer.get("names").items()).as(answer.toJson()).hasSize(1);
    return answer.get("names").items().getFirst().text();
  }

  @Test
  void udpPassesAsItIs(Lab lab) {
    for (String server : SERVERS) {
      Json answer = lab.one("in-a", Cases.of("udp", lab.ip(server, "v4"), 8080));
      assertThat(answer.get("answer").text())
          .as(server)
          .isEqualTo("FROM %s hello".formatted(lab.ip("in-a", "v4")));
    }
  }

  private static String clusterIp(Json status, String service, String family) {
    return status.get("services").items().stream()
        .filter(each -> each.get("name").text().equals(service))
        .map(each -> Lab.address(each.get("clusterIPs"), family))
        .findFirst()
        .orElseThrow(() -> new AssertionError("no service " + service));
  }
}
