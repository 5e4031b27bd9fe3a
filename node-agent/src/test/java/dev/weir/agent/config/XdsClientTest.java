package dev.weir.agent.config;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import com.google.protobuf.Any;
import com.google.protobuf.ByteString;
import dev.weir.agent.authz.Call;
import dev.weir.agent.authz.Verdict;
import dev.weir.agent.identity.ControlLine;
import dev.weir.agent.identity.LineFailure;
import dev.weir.agent.identity.LineLoop;
import dev.weir.agent.identity.LineOptions;
import dev.weir.agent.log.Level;
import dev.weir.agent.log.Logs;
import dev.weir.api.model.Addresses;
import dev.weir.api.model.Authorization;
import dev.weir.api.model.Authorization.Scope;
import dev.weir.api.model.Authorizations;
import dev.weir.api.model.Service;
import dev.weir.api.model.Workload;
import dev.weir.api.proto.discovery.DeltaDiscoveryRequest;
import dev.weir.api.proto.discovery.Resource;
import dev.weir.api.proto.workload.Address;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.net.InetAddress;
import java.nio.charset.StandardCharsets;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class XdsClientTest {
  private static final LineLoop LOOP = LineLoop.open();

  @AfterEach
  void closeLines() {
    lines.forEach(ControlLine::close);
  }

  @AfterAll
  static void endLoop() {
    LOOP.close();
  }

  private final ByteArrayOutputStream logged = new ByteArrayOutputStream();
  private final Logs logs =
      new Logs(
          new PrintStream(logged, true, StandardCharsets.UTF_8),
          InstantSource.system(),
          Level.INFO);
  private final List<ControlLine> lines = new ArrayList<>();
  private final Service web = Meshes.service("web", "10.96.0.7");

  @Test
  void itSubscribesToEverythingTakesWhatComesAndAcknowledges() throws Exception {
    try (FakeControlPlane control = new FakeControlPlane(0);
        XdsClient client = open(control.port())) {
      DeltaDiscoveryRequest first = control.policyRequest();
      assertThat(first.getTypeUrl()).isEqualTo(Authorizations.TYPE_URL);
      assertThat(first.getResourceNamesSubscribeList()).isEmpty();
      DeltaDiscoveryRequest second = control.request();
      assertThat(second.getTypeUrl()).isEqualTo(Addresses.TYPE_URL);
      assertThat(second.getResourceNamesSubscribeList()).isEmpty();
      assertThat(first.getNode().getId())
          .isEqualTo(
              "ztunnel~10.0.0.1~weir-agent-node-1.weir-system~weir-system.svc.cluster.local");
      assertThat(first.getNode().getMetadata().getFieldsOrThrow("NODE_NAME").getStringValue())
          .isEqualTo("node-1");
      assertThat(client.current().synced()).isFalse();

      String nonce =
          control.send(
              List.of(
                  FakeControlPlane.resource(web, "1"),
                  FakeControlPlane.resource(Meshes.pod("web-1", "web", "10.244.1.5", "web"), "1")));
      DeltaDiscoveryRequest ack = control.request();
      assertThat(ack.getResponseNonce()).isEqualTo(nonce);
      assertThat(ack.hasErrorDetail()).isFalse();
      assertThat(client.current().endpoints(web, 80)).hasSize(1);
      assertThat(client.current().synced()).isTrue();
      assertThat(client.state().connected()).isTrue();
      assertThat(client.state().types().getFirst().resources()).isEqualTo(2);

      control.send(List.of(), Meshes.pod("web-1", "web", "10.244.1.5", "web").uid());
      control.request();
      assertThat(client.current().endpoints(web, 80)).isEmpty();
    }
  }

  private static Workload in(String network, Workload workload) {
    Address address = Addresses.of(workload);
    return Addresses.workload(
        address.toBuilder()
            .setWorkload(address.getWorkload().toBuilder().setNetwork(network))
            .build());
  }

  @Test
  void podsOfAnotherNetworkAreKnownAndCalledByNobody() throws Exception {
    InetAddress shared = InetAddress.ofLiteral("10.244.1.5");
    Workload here = in("east", Meshes.pod("here", "web", "10.244.1.5", "web"));
    Workload there = in("west", Meshes.pod("there", "web", "10.244.1.5", "web"));
    try (FakeControlPlane control = new FakeControlPlane(0);
        XdsClient client =
            XdsClient.open(
                XdsOptions.of("node-1", "10.0.0.1", "test").in("east"),
                plain(control.port()),
                logs.room("xds"))) {
      control.request();
      control.send(
          List.of(
              FakeControlPlane.resource(web, "1"),
              FakeControlPlane.resource(here, "1"),
              FakeControlPlane.resource(there, "1")));
      control.request();
      assertThat(client.current().workload(shared)).isEqualTo(here);
      assertThat(client.current().endpoints(web, 80))
          .extracting(endpoint -> endpoint.workload().uid())
          .containsExactly(here.uid());
      assertThat(client.current().workload(there.uid())).isEqualTo(there);
      assertThat(logged.toString(StandardCharsets.UTF_8))
          .contains("a pod of another network is not called", "network=west own=east");

      // It moves here, and away again.
      control.send(
          List.of(
              FakeControlPlane.resource(
                  in("east", Meshes.pod("there", "web", "10.244.1.6", "web")), "2")));
      control.request();
      assertThat(client.current().endpoints(web, 80)).hasSize(2);
      control.send(List.of(FakeControlPlane.resource(there, "3")));
      control.request();
      assertThat(client.current().endpoints(web, 80)).hasSize(1);
      assertThat(client.current().workload(InetAddress.ofLiteral("10.244.1.6"))).isNull();
      assertThat(client.current().workload(shared)).isEqualTo(here);
    }
  }

  @Test
  void itIsNotSyncedBeforeTheLastPartOfAChangeThatTakesSeveral() throws Exception {
    try (FakeControlPlane control = new FakeControlPlane(0);
        XdsClient client = open(control.port())) {
      control.request();
      control.sendVersion(Addresses.PARTIAL, List.of(FakeControlPlane.resource(web, "1")));
      control.request();
      assertThat(client.current().serviceCount()).isEqualTo(1);
      assertThat(client.current().synced()).isFalse();
      control.sendVersion(
          "7", List.of(FakeControlPlane.resource(Meshes.service("more", "10.96.0.8"), "1")));
      control.request();
      assertThat(client.current().synced()).isTrue();
      control.sendVersion(Addresses.PARTIAL, List.of(), web.key());
      control.request();
      assertThat(client.current().synced()).as("who has heard all once stays synced").isTrue();
    }
  }

  @Test
  void itIsSyncedOnlyOncePoliciesHaveBeenHeardToo() throws Exception {
    try (FakeControlPlane control = new FakeControlPlane(0, false);
        XdsClient client = open(control.port())) {
      control.request();
      control.send(List.of(FakeControlPlane.resource(web, "1")));
      control.request();
      assertThat(client.current().serviceCount()).isEqualTo(1);
      assertThat(client.current().synced()).isFalse();
      control.policyRequest();
      control.sendPolicies(List.of());
      control.policyRequest();
      assertThat(client.current().synced()).isTrue();
    }
  }

  @Test
  void policiesComeGoAndAreNamedToTheNextControlPlane() throws Exception {
    FakeControlPlane first = new FakeControlPlane(0);
    int port = first.port();
    try (XdsClient client = open(port)) {
      first.policyRequest();
      first.policyRequest();
      first.sendPolicies(
          List.of(
              FakeControlPlane.resource(denyAll("a", Scope.NAMED), "1"),
              FakeControlPlane.resource(denyAll("b", Scope.NAMED), "2")));
      assertThat(first.policyRequest().hasErrorDetail()).isFalse();
      assertThat(client.current().policies().names()).containsExactly("shop/a", "shop/b");
      first.sendPolicies(List.of(), "shop/a");
      first.policyRequest();
      assertThat(client.current().policies().names()).containsExactly("shop/b");
      first.close();
      await().until(() -> !client.state().connected());
      assertThat(client.current().policies().names()).containsExactly("shop/b");
      try (FakeControlPlane second = new FakeControlPlane(port)) {
        assertThat(second.policyRequest().getInitialResourceVersionsMap())
            .containsExactlyEntriesOf(Map.of("shop/b", "2"));
      }
    }
  }

  @Test
  void aPolicyThatCannotBeReadClosesWhatItMayConcernUntilItCan() throws Exception {
    try (FakeControlPlane control = new FakeControlPlane(0);
        XdsClient client = open(control.port())) {
      control.policyRequest();
      control.policyRequest();
      Resource readable = FakeControlPlane.resource(denyAll("a", Scope.NAMESPACE), "1");
      var newer =
          dev.weir.api.proto.security.Authorization.newBuilder()
              .setNamespace("shop")
              .setName("a")
              .setScope(dev.weir.api.proto.security.Scope.NAMESPACE)
              .addExtensions(dev.weir.api.proto.security.Extension.newBuilder().setName("layer7"))
              .build();
      Resource unreadable =
          readable.toBuilder()
              .setResource(
                  Any.newBuilder()
                      .setTypeUrl(Authorizations.TYPE_URL)
                      .setValue(newer.toByteString()))
              .build();
      control.sendPolicies(List.of(unreadable));
      assertThat(control.policyRequest().getErrorDetail().getMessage())
          .contains("shop/a")
          .contains("extension layer7")
          .contains("cannot be enforced");
      assertThat(client.current().policies().unreadable()).containsExactly("shop/a");
      Call call =
          Call.of(
              "spiffe://cluster.local/ns/shop/sa/front",
              InetAddress.ofLiteral("10.0.0.1"),
              InetAddress.ofLiteral("10.0.0.2"),
              80,
              Meshes.pod("web-1", "web", "10.244.1.5", "web"));
      assertThat(client.current().policies().decide(call).reason())
          .isEqualTo(Verdict.Reason.POLICY_UNKNOWN);

      control.sendPolicies(List.of(readable));
      control.policyRequest();
      assertThat(client.current().policies().unreadable()).isEmpty();
      // What was good stays in force.
      control.sendPolicies(List.of(unreadable));
      control.policyRequest();
      assertThat(client.current().policies().unreadable()).isEmpty();
      assertThat(client.current().policies().decide(call).reason())
          .isEqualTo(Verdict.Reason.ALLOWED);
    }
  }

  private static Authorization denyAll(String name, Scope scope) {
    return new Authorization("shop", name, scope, Authorization.Action.DENY, false, List.of());
  }

  @Test
  void aBadResourceIsRefusedByNameAndTheGoodOnesBesideItHold() throws Exception {
    try (FakeControlPlane control = new FakeControlPlane(0);
        XdsClient client = open(control.port())) {
      control.request();
      Resource unreadable =
          Resource.newBuilder()
              .setName("shop/broken")
              .setVersion("1")
              .setResource(
                  Any.newBuilder()
                      .setTypeUrl(Addresses.TYPE_URL)
                      .setValue(ByteString.copyFromUtf8("\u0001\u0002garbage")))
              .build();
      Resource misnamed =
          FakeControlPlane.resource(Meshes.service("other", "10.96.0.8"), "1").toBuilder()
              .setName("shop/x")
              .build();
      control.send(List.of(unreadable, FakeControlPlane.resource(web, "1"), misnamed));
      DeltaDiscoveryRequest nack = control.request();
      assertThat(nack.getErrorDetail().getMessage())
          .contains("shop/broken", "shop/x: names itself shop/other.shop.svc.cluster.local");
      assertThat(client.current().service(InetAddress.ofLiteral("10.96.0.7"))).isEqualTo(web);
      assertThat(client.current().serviceCount()).isEqualTo(1);
      assertThat(client.state().types().getFirst().rejected()).isEqualTo(2);
    }
  }

  @Test
  void whatIsKnownStaysInForceWithoutControlPlaneAndIsNamedToTheNext() throws Exception {
    int port;
    FakeControlPlane first = new FakeControlPlane(0);
    port = first.port();
    try (XdsClient client = open(port)) {
      first.request();
      first.send(List.of(FakeControlPlane.resource(web, "17")));
      first.request();
      first.close();
      await().until(() -> !client.state().connected());
      assertThat(client.current().service(InetAddress.ofLiteral("10.96.0.7"))).isEqualTo(web);
      assertThat(client.state().lastFailure())
          .extracting(LineFailure::cause)
          .isIn(LineFailure.Cause.UNREACHABLE, LineFailure.Cause.FAILED);

      try (FakeControlPlane second = new FakeControlPlane(port)) {
        DeltaDiscoveryRequest again = second.request();
        assertThat(again.getInitialResourceVersionsMap())
            .containsExactlyEntriesOf(Map.of(web.key(), "17"));
        second.send(List.of(FakeControlPlane.resource(Meshes.service("new", "10.96.0.9"), "1")));
        second.request();
        assertThat(client.current().serviceCount()).isEqualTo(2);
        assertThat(client.state().connected()).isTrue();
      }
    }
    assertThat(logged.toString(StandardCharsets.UTF_8))
        .doesNotContain("\tat ")
        .contains("what is known stays in force");
  }

  @Test
  void listenersHearEveryViewInOrderAndOneThatFailsHindersNobody() throws Exception {
    try (FakeControlPlane control = new FakeControlPlane(0);
        XdsClient client = open(control.port())) {
      List<Long> heard = Collections.synchronizedList(new ArrayList<>());
      control.request();
      // That there are no policies.
      await().until(() -> client.current().generation() == 1);
      client.onChange(_ -> {
        throw new IllegalStateException("a room that fails");
      });
      client.onChange(view -> heard.add(view.generation()));
      for (int i = 0; i < 3; i++) {
        control.send(List.of(FakeControlPlane.resource(web, "v" + i)));
        control.request();
      }
      assertThat(heard).containsExactly(1L, 2L, 3L, 4L);
      assertThat(logged.toString(StandardCharsets.UTF_8)).contains("a room that fails");
    }
  }

  private XdsClient open(int port) {
    return XdsClient.open(
        XdsOptions.of("node-1", "10.0.0.1", "test"), plain(port), logs.room("xds"));
  }

  private ControlLine plain(int port) {
    ControlLine line =
        ControlLine.open(new LineOptions.Plain("127.0.0.1:" + port), LOOP, InstantSource.system());
    lines.add(line);
    return line;
  }
}
