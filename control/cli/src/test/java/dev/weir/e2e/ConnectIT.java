package dev.weir.e2e;

import static org.assertj.core.api.Assertions.assertThat;

import dev.weir.api.json.Json;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** How a connect ends when it should not, or must not, succeed. */
@ExtendWith(MeshLab.class)
final class ConnectIT {
  private static final int NOBODY_LISTENS = 8099;
  private static final int THOUSAND = 1000;
  private static final String BLACK_HOLE = "10.244.2.250";

  @ParameterizedTest
  @EnumSource
  void aPortWhereNobodyListensFailsAtOnce(Way way, Lab lab) {
    way.settle(lab);
    for (String family : new String[] {"v4", "v6", "mapped"}) {
      Json answer =
          lab.one(
              way.client,
              Cases.of(family, "connect", lab.ip(way.server, family), NOBODY_LISTENS, family));
      assertThat(answer.get("ends").text())
          .as(family + " " + answer.toJson())
          .isIn("ECONNREFUSED", "ECONNRESET");
      assertThat(answer.get("seconds").number()).as(answer.toJson()).isLessThan(2);
    }
  }

  @Test
  void aBlackHoleFailsAfterTheConnectTimeoutAndNotLater(Lab lab) {
    long before = lab.refusals("node-1", "connect-timeout");
    lab.inNode("node-2", "ip", "route", "replace", "blackhole", BLACK_HOLE);
    Json answer = lab.one("in-a", Cases.of("connect", BLACK_HOLE, 80));
    assertThat(answer.get("ends").text()).as(answer.toJson()).isEqualTo("ECONNRESET");
    assertThat(answer.get("seconds").number()).as(answer.toJson()).isBetween(0.9, 12.0);
    Waiting.until(
        "the refusal to be counted", () -> lab.refusals("node-1", "connect-timeout") > before);
  }

  @ParameterizedTest
  @ValueSource(strings = {"v4", "v6", "mapped"})
  void aPodReachesItselfByItsAddressAndByItsOwnService(String family, Lab lab) {
    Json self = lab.one("in-a", Cases.of("self", "talk", lab.ip("in-a", family), 8080, family));
    assertThat(self.get("echoed").isTrue()).as(self.toJson()).isTrue();
    Json service =
        lab.one("in-a", Cases.of("service", "talk", "in-a.e2e.svc.cluster.local", 80, family));
    assertThat(service.get("echoed").isTrue()).as(service.toJson()).isTrue();
  }

  @ParameterizedTest
  @EnumSource
  void aNonBlockingConnectEndsAsUsual(Way way, Lab lab) {
    Json answer = lab.one(way.client, way.does("nonblocking"));
    assertThat(answer.get("ends").text()).as(answer.toJson()).isEqualTo("connected");
    assertThat(answer.get("seen").text()).isEqualTo(lab.ip(way.client, "v4"));
  }

  @ParameterizedTest
  @EnumSource(names = {"INTO_THE_MESH", "TUNNEL_BETWEEN_NODES"})
  void aThousandConnectionsAtOnceDoNotMeet(Way way, Lab lab) {
    Json answer =
        lab.one(
            way.client,
            Cases.with(Cases.of("many", lab.ip(way.server, "v4"), 8080), "count", THOUSAND));
    assertThat(answer.get("back").number()).as(answer.toJson()).isEqualTo(THOUSAND);
  }

  @ParameterizedTest
  @CsvSource({"v4,false", "v6,false", "v4,true", "v6,true"})
  void aPortIsCalledFromAgainWhateverIsLeftOfItsLastConnection(
      String family, boolean forgotten, Lab lab) {
    int count = forgotten ? 3 : 100;
    for (Way way : new Way[] {Way.INTO_THE_MESH, Way.TUNNEL_BETWEEN_NODES, Way.DIRECT}) {
      Json theCase = Cases.of(way.name(), "again", lab.ip(way.server, family), 8080, family);
      Json answer =
          lab.one(
              way.client,
              Cases.with(Cases.with(theCase, "count", count), "forgets", Json.of(forgotten)));
      assertThat(answer.get("answers").number()).as(answer.toJson()).isEqualTo(count);
      // Who comes upon a connection that its client forgot comes again a second later.
      assertThat(answer.get("seconds").number()).as(answer.toJson()).isLessThan(forgotten ? 8 : 5);
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"v4", "v6"})
  void aClientThatCallsFromLowPortsDoesNotMeetItsDeliveries(String family, Lab lab) {
    long before = lab.refusals("node-1", "port-taken");
    Json answer =
        lab.one("out-a", Cases.of(family, "low_ports", lab.ip("in-b", family), 8080, family));
    assertThat(answer.get("pastOpen").toJson()).as(answer.toJson()).isEqualTo("[2,6]");
    assertThat(answer.get("pastResting").toJson()).as(answer.toJson()).isEqualTo("[2,6]");
    assertThat(answer.get("unhurt").isTrue()).as(answer.toJson()).isTrue();
    assertThat(answer.get("meeting").text()).as(answer.toJson()).isEqualTo("timeout");
    assertThat(answer.get("still").isTrue()).as(answer.toJson()).isTrue();
    assertThat(answer.get("afterwards").isTrue()).as(answer.toJson()).isTrue();
    Waiting.until("the refusal to be counted", () -> lab.refusals("node-1", "port-taken") > before);
  }

  @Test
  void aClientThatBindsItsOwnAddressFirstIsCapturedToo(Lab lab) {
    Json theCase = Cases.with(Cases.of("bound", "in-c", 80), "bind", Json.of(lab.ip("in-a", "v4")));
    Json answer = lab.one("in-a", theCase);
    assertThat(answer.get("seen").text()).as(answer.toJson()).isEqualTo(lab.ip("in-a", "v4"));
  }

  @Test
  void aServiceWithNoReadyEndpointRefusesAtOnceAndIsCounted(Lab lab) {
    long before = lab.refusals("node-1", "no-endpoint");
    Json answer = lab.one("in-a", Cases.of("connect", "nobody", 80));
    assertThat(answer.get("ends").text()).as(answer.toJson()).isIn("ECONNREFUSED", "ECONNRESET");
    Waiting.until(
        "the refusal to be counted", () -> lab.refusals("node-1", "no-endpoint") > before);
    assertThat(WeirCommand.run("status", "--lab", lab.name()).ok().out()).contains("no-endpoint");
  }
}
