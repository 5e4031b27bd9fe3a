package dev.weir.control.xds;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.weir.api.model.Addresses;
import dev.weir.api.model.AppProtocol;
import dev.weir.api.model.Authorization;
import dev.weir.api.model.Authorizations;
import dev.weir.api.model.Balancing;
import dev.weir.api.model.Cidr;
import dev.weir.api.model.IpFamilies;
import dev.weir.api.model.Locality;
import dev.weir.api.model.MeshModel;
import dev.weir.api.model.PodSettings;
import dev.weir.api.model.Service;
import dev.weir.api.model.ServicePort;
import dev.weir.api.model.Tunnel;
import dev.weir.api.model.Workload;
import dev.weir.api.model.WorkloadKind;
import dev.weir.api.proto.discovery.AggregatedDiscoveryServiceGrpc;
import dev.weir.api.proto.discovery.DeltaDiscoveryResponse;
import dev.weir.api.proto.discovery.Resource;
import dev.weir.api.proto.workload.Address;
import dev.weir.control.ca.Refusals;
import dev.weir.control.log.Log;
import dev.weir.control.port.Connections;
import dev.weir.control.port.Crowd;
import dev.weir.control.port.MessageLimits;
import dev.weir.control.port.Port;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.MultiThreadIoEventLoopGroup;
import io.netty.channel.nio.NioIoHandler;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.time.Duration;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

final class XdsServerTest {
  private static final String FRONT = "shop/front.shop.svc.cluster.local";
  private static final String CART = "shop/cart.shop.svc.cluster.local";

  private final Log log = new Log(System.err, InstantSource.system(), "test");
  private final EventLoopGroup loops =
      new MultiThreadIoEventLoopGroup(1, NioIoHandler.newFactory());
  private final List<AutoCloseable> open = new ArrayList<>();

  /** The newest first. */
  private final List<Port> ports = new ArrayList<>();

  private XdsServer server;

  XdsServerTest() throws IOException {
    server = start();
  }

  private XdsServer start() throws IOException {
    XdsServer xds =
        XdsServer.of(
            loops,
            new Refusals("node refused", InstantSource.system(), log),
            InstantSource.system(),
            log);
    Connections connections = new Connections(Crowd.STANDARD, InstantSource.system(), log);
    ports.addFirst(
        Port.open(
            new InetSocketAddress(InetAddress.getLoopbackAddress(), 0),
            null,
            List.of(xds.service(connections.admittingAll())),
            new MessageLimits(
                8 << 10,
                Map.of(AggregatedDiscoveryServiceGrpc.SERVICE_NAME, XdsServer.MOST_REQUEST_BYTES)),
            connections,
            loops));
    return xds;
  }

  @BeforeEach
  void publishShop() {
    server.publish(shop(1));
  }

  @AfterEach
  void closeAll() throws Exception {
    for (AutoCloseable each : open) {
      each.close();
    }
    server.close();
    ports.forEach(Port::close);
    loops.shutdownGracefully(0, 1, java.util.concurrent.TimeUnit.SECONDS).sync();
  }

  private AdsClient client() {
    AdsClient client = new AdsClient(ports.getFirst().number());
    open.add(client);
    return client;
  }

  @Test
  void a_wildcard_client_hears_everything_then_only_what_changed() throws Exception {
    AdsClient client = client();
    client.subscribe();
    DeltaDiscoveryResponse first = client.accept();
    assertThat(AdsClient.names(first))
        .containsExactly(CART, FRONT, pod("cart-1"), pod("front-1"), pod("front-2"));
    assertThat(first.getSystemVersionInfo()).isEqualTo("1");

    MeshModel next = with(shop(2), workload("front-3", "10.244.1.9", true, FRONT));
    server.publish(next);
    assertThat(AdsClient.names(client.accept())).containsExactly(pod("front-3"));

    server.publish(without(shop(3), pod("front-1")));
    DeltaDiscoveryResponse removal = client.accept();
    assertThat(removal.getRemovedResourcesList())
        .containsExactlyInAnyOrder(pod("front-1"), pod("front-3"));
    assertThat(removal.getResourcesList()).isEmpty();
  }

  @Test
  void a_resource_says_what_the_model_says() throws Exception {
    AdsClient client = client();
    client.subscribe("*");
    client.accept();
    Address address = Address.parseFrom(resource(client, pod("front-1")).getResource().getValue());
    assertThat(Addresses.workload(address)).isEqualTo(shop(1).workloads().get(pod("front-1")));
    Address service = Address.parseFrom(resource(client, FRONT).getResource().getValue());
    assertThat(Addresses.service(service)).isEqualTo(shop(1).services().get(FRONT));
  }

  @Test
  void one_response_a_type_is_in_flight_and_what_changes_meanwhile_is_told_as_one()
      throws Exception {
    AdsClient client = client();
    client.subscribe();
    DeltaDiscoveryResponse first = client.take();
    server.publish(with(shop(2), workload("front-3", "10.244.1.9", true, FRONT)));
    server.publish(with(shop(3), workload("front-4", "10.244.1.10", true, FRONT)));
    assertThat(client.poll(300)).as("nothing before the first is acknowledged").isNull();

    client.ack(first);
    DeltaDiscoveryResponse second = client.accept();
    assertThat(AdsClient.names(second)).containsExactly(pod("front-4"));
    assertThat(second.getRemovedResourcesList()).isEmpty();
    assertThat(second.getSystemVersionInfo()).isEqualTo("3");
  }

  @Test
  void an_acknowledgement_with_a_stale_nonce_counts_for_nothing() throws Exception {
    AdsClient client = client();
    client.subscribe();
    DeltaDiscoveryResponse first = client.accept();
    server.publish(with(shop(2), workload("front-3", "10.244.1.9", true, FRONT)));
    client.take();
    server.publish(shop(3));
    client.ack(first);
    assertThat(client.poll(300)).isNull();
  }

  @Test
  void a_client_that_comes_back_is_told_only_what_it_missed_even_by_a_restarted_server()
      throws Exception {
    AdsClient before = client();
    before.subscribe();
    before.accept();
    Map<String, String> versions = new HashMap<>();
    before.has.forEach((name, resource) -> versions.put(name, resource.getVersion()));
    server.close();
    server = start();
    MeshModel now =
        with(without(shop(1), pod("front-1")), workload("front-2", "10.244.1.3", false, FRONT));
    server.publish(now);

    AdsClient after = client();
    after.send(request -> request.putAllInitialResourceVersions(versions));
    DeltaDiscoveryResponse response = after.accept();
    assertThat(AdsClient.names(response)).containsExactly(pod("front-2"));
    assertThat(response.getRemovedResourcesList()).containsExactly(pod("front-1"));
  }

  @Test
  void a_client_that_missed_nothing_gets_an_empty_response_which_makes_it_ready() throws Exception {
    AdsClient before = client();
    before.subscribe();
    before.accept();
    Map<String, String> versions = new HashMap<>();
    before.has.forEach((name, resource) -> versions.put(name, resource.getVersion()));
    AdsClient after = client();
    after.send(request -> request.putAllInitialResourceVersions(versions));
    DeltaDiscoveryResponse response = after.accept();
    assertThat(response.getResourcesList()).isEmpty();
    assertThat(response.getRemovedResourcesList()).isEmpty();
    assertThat(response.getSystemVersionInfo()).isEqualTo("1");
  }

  @Test
  void a_refusal_is_seen_in_the_status_and_later_changes_still_come() throws Exception {
    AdsClient client = client();
    client.subscribe();
    client.nack(client.take(), "front-1 has no port");
    await()
        .atMost(Duration.ofSeconds(10))
        .untilAsserted(() -> {
          assertThat(server.clients()).hasSize(1);
          ClientStatus status = server.clients().getFirst();
          assertThat(status.nacks()).isEqualTo(1);
          assertThat(status.lastNack()).isEqualTo("front-1 has no port");
          assertThat(status.ackedVersion()).isZero();
          assertThat(status.connected()).isTrue();
        });
    server.publish(with(shop(2), workload("front-3", "10.244.1.9", true, FRONT)));
    assertThat(AdsClient.names(client.accept())).containsExactly(pod("front-3"));
    await()
        .atMost(Duration.ofSeconds(10))
        .untilAsserted(() -> assertThat(server.clients().getFirst().ackedVersion()).isEqualTo(2));
  }

  @Test
  void a_client_on_demand_hears_only_what_it_asks_for_by_any_of_its_names() throws Exception {
    AdsClient client = client();
    client.send(request -> request.addResourceNamesSubscribe("*").addResourceNamesUnsubscribe("*"));
    assertThat(client.poll(300)).isNull();

    client.subscribe("/10.244.1.2");
    DeltaDiscoveryResponse byAddress = client.accept();
    assertThat(AdsClient.names(byAddress)).containsExactly(pod("front-1"));
    assertThat(byAddress.getResources(0).getAliasesList()).containsExactly("/10.244.1.2");

    client.subscribe("/10.96.0.6");
    assertThat(AdsClient.names(client.accept())).containsExactly(CART, pod("cart-1"));

    client.subscribe("/10.9.9.9");
    DeltaDiscoveryResponse missing = client.accept();
    assertThat(missing.getResourcesList()).isEmpty();
    assertThat(missing.getRemovedResourcesList()).containsExactly("/10.9.9.9");

    client.subscribe(FRONT);
    assertThat(AdsClient.names(client.accept()))
        .containsExactlyInAnyOrder(FRONT, pod("front-1"), pod("front-2"));
  }

  @Test
  void a_client_on_demand_hears_of_change_arrival_and_end_of_what_it_asked_for() throws Exception {
    AdsClient client = client();
    client.subscribe(FRONT, "/10.244.1.9");
    client.accept();

    // Another service's pod changes: nobody asked.
    server.publish(with(shop(2), workload("cart-1", "10.244.1.4", false, CART)));
    assertThat(client.poll(300)).isNull();

    server.publish(with(shop(3), workload("front-3", "10.244.1.9", true, FRONT)));
    assertThat(AdsClient.names(client.accept())).containsExactly(pod("front-3"));

    // It no longer answers for the service, but the client has it and must hear so.
    server.publish(
        with(
            with(shop(4), workload("front-3", "10.244.1.9", true, FRONT)),
            workload("front-2", "10.244.1.3", true, CART)));
    assertThat(AdsClient.names(client.accept())).containsExactly(pod("front-2"));

    server.publish(without(shop(5), FRONT));
    DeltaDiscoveryResponse end = client.accept();
    assertThat(end.getRemovedResourcesList()).containsExactlyInAnyOrder(FRONT, pod("front-3"));

    client.send(request -> request.addResourceNamesUnsubscribe(FRONT));
    // An answer to a later request shows that the earlier one has been taken in.
    client.subscribe("/10.9.9.9");
    client.accept();
    server.publish(with(shop(6), workload("front-2", "10.244.1.3", false, FRONT)));
    assertThat(client.poll(300)).as("unsubscribed").isNull();
  }

  @Test
  void a_type_that_has_no_resources_is_answered_so_that_a_ztunnel_gets_ready() throws Exception {
    AdsClient client = client();
    client.send(request -> request.setTypeUrl("type.googleapis.com/istio.security.Authorization"));
    DeltaDiscoveryResponse response = client.accept();
    assertThat(response.getTypeUrl()).isEqualTo("type.googleapis.com/istio.security.Authorization");
    assertThat(response.getResourcesList()).isEmpty();
  }

  @Test
  void a_policy_comes_before_who_names_it_and_goes_after() throws Exception {
    AdsClient client = client();
    client.send(request -> request.setTypeUrl(Authorizations.TYPE_URL));
    assertThat(client.accept().getTypeUrl()).isEqualTo(Authorizations.TYPE_URL);
    client.subscribe();
    client.accept();

    server.publish(guarded(2, "shop/guests"));
    DeltaDiscoveryResponse policy = client.take();
    assertThat(AdsClient.names(policy)).containsExactly("shop/guests");
    assertThat(policy.getTypeUrl()).isEqualTo(Authorizations.TYPE_URL);
    assertThat(client.poll(300)).as("the pod waits until the policy is held").isNull();
    client.ack(policy);
    DeltaDiscoveryResponse named = client.take();
    assertThat(AdsClient.names(named)).containsExactly(pod("front-1"));
    client.ack(named);

    // At once another policy in its stead.
    server.publish(guarded(3, "shop/strangers"));
    DeltaDiscoveryResponse next = client.take();
    assertThat(AdsClient.names(next)).containsExactly("shop/strangers");
    assertThat(next.getRemovedResourcesList()).as("still named").isEmpty();
    client.ack(next);
    DeltaDiscoveryResponse renamed = client.take();
    assertThat(AdsClient.names(renamed)).containsExactly(pod("front-1"));
    assertThat(client.poll(300)).as("until the pod names it no more").isNull();
    client.ack(renamed);
    DeltaDiscoveryResponse gone = client.accept();
    assertThat(gone.getTypeUrl()).isEqualTo(Authorizations.TYPE_URL);
    assertThat(gone.getRemovedResourcesList()).containsExactly("shop/guests");
    await()
        .atMost(Duration.ofSeconds(10))
        .untilAsserted(() -> assertThat(server.clients().getFirst().ackedVersion()).isEqualTo(3));
  }

  @Test
  void a_node_that_comes_back_is_told_of_gone_policies_last() throws Exception {
    server.publish(guarded(2, "shop/new"));
    AdsClient client = client();
    client.send(request ->
        request.setTypeUrl(Authorizations.TYPE_URL).putInitialResourceVersions("shop/old", "1"));
    client.send(request -> request.putInitialResourceVersions(pod("front-1"), "1"));
    DeltaDiscoveryResponse first = client.accept();
    assertThat(AdsClient.names(first)).containsExactly("shop/new");
    List<String> rest = new ArrayList<>(first.getRemovedResourcesList());
    assertThat(client.accept().getTypeUrl()).isEqualTo(Addresses.TYPE_URL);
    if (rest.isEmpty()) {
      // Otherwise the server had not yet heard that it also follows addresses.
      rest.addAll(client.accept().getRemovedResourcesList());
    }
    assertThat(rest).containsExactly("shop/old");
  }

  @Test
  void a_policy_that_a_node_refuses_holds_back_nothing() throws Exception {
    AdsClient client = client();
    client.send(request -> request.setTypeUrl(Authorizations.TYPE_URL));
    client.accept();
    client.subscribe();
    client.accept();
    server.publish(guarded(2, "shop/guests"));
    DeltaDiscoveryResponse policy = client.take();
    client.send(request ->
        request
            .setTypeUrl(Authorizations.TYPE_URL)
            .setResponseNonce(policy.getNonce())
            .setErrorDetail(
                dev.weir.api.proto.discovery.Status.newBuilder().setCode(3).setMessage("no")));
    assertThat(AdsClient.names(client.accept())).containsExactly(pod("front-1"));
  }

  private static MeshModel guarded(long generation, String key) {
    MeshModel shop = shop(generation);
    Workload named =
        workload("front-1", "10.244.1.2", true, FRONT).withAuthorizationPolicies(List.of(key));
    Map<String, Workload> workloads = new HashMap<>(shop.workloads());
    workloads.put(named.uid(), named);
    Authorization policy =
        new Authorization(
            "shop",
            key.substring("shop/".length()),
            Authorization.Scope.NAMED,
            Authorization.Action.DENY,
            false,
            List.of());
    return new MeshModel(generation, workloads, shop.services(), Map.of(policy.key(), policy));
  }

  @Test
  void nothing_is_told_before_the_first_model() throws Exception {
    server.close();
    server = start();
    AdsClient client = client();
    client.subscribe();
    assertThat(client.poll(300)).isNull();
    server.publish(shop(1));
    assertThat(client.accept().getResourcesCount()).isEqualTo(5);
  }

  @Test
  void a_mesh_of_10_000_services_comes_in_pieces_each_after_the_one_before() throws Exception {
    Map<String, Service> services = new HashMap<>();
    Map<String, Workload> workloads = new HashMap<>();
    for (int i = 0; i < 10_000; i++) {
      Service service =
          service("s" + i, "10." + (100 + i / 65536) + "." + (i / 256) % 256 + "." + i % 256);
      services.put(service.key(), service);
      Workload workload =
          workload("w" + i, "10.10." + i / 256 + "." + i % 256, true, service.key());
      workloads.put(workload.uid(), workload);
    }
    server.publish(new MeshModel(2, workloads, services));
    AdsClient client = client();
    client.subscribe();
    Set<String> names = new HashSet<>();
    int pieces = 0;
    DeltaDiscoveryResponse response;
    do {
      response = client.take();
      assertThat(response.getSerializedSize()).isLessThan(2 << 20);
      names.addAll(AdsClient.names(response));
      if (pieces++ == 0) {
        assertThat(client.poll(100)).isNull();
      }
      client.ack(response);
    } while (response.getSystemVersionInfo().equals(Addresses.PARTIAL));
    assertThat(names).hasSize(20_000);
    assertThat(pieces).isGreaterThan(1);

    Workload changed = workload("w7", "10.10.0.7", false, CART);
    server.publish(with(new MeshModel(3, workloads, services), changed));
    assertThat(AdsClient.names(client.accept())).containsExactly(changed.uid());
  }

  @Test
  void closing_tells_the_nodes() throws Exception {
    AdsClient client = client();
    client.subscribe();
    client.accept();
    server.close();
    assertThat(client.end()).hasMessageContaining("the control plane is stopping");
  }

  @Test
  void a_node_that_went_is_remembered_until_it_is_back() throws Exception {
    AdsClient first = client();
    first.subscribe();
    first.accept();
    first.close();
    await()
        .atMost(Duration.ofSeconds(10))
        .untilAsserted(() -> assertThat(server.clients().getFirst().connected()).isFalse());
    AdsClient again = client();
    again.subscribe();
    again.accept();
    await()
        .atMost(Duration.ofSeconds(10))
        .untilAsserted(() ->
            assertThat(server.clients())
                .hasSize(1)
                .allMatch(ClientStatus::connected)
                .allMatch(status -> status.ackedVersion() == 1));
  }

  private static Resource resource(AdsClient client, String name) {
    Resource resource = client.has.get(name);
    assertThat(resource).as(name).isNotNull();
    return resource == null ? Resource.getDefaultInstance() : resource;
  }

  private static MeshModel shop(long generation) {
    Map<String, Service> services = new HashMap<>();
    services.put(FRONT, service("front", "10.96.0.5"));
    services.put(CART, service("cart", "10.96.0.6"));
    MeshModel model = new MeshModel(generation, Map.of(), services);
    model = with(model, workload("front-1", "10.244.1.2", true, FRONT));
    model = with(model, workload("front-2", "10.244.1.3", true, FRONT));
    return with(model, workload("cart-1", "10.244.1.4", true, CART));
  }

  private static MeshModel with(MeshModel model, Workload workload) {
    Map<String, Workload> workloads = new HashMap<>(model.workloads());
    workloads.put(workload.uid(), workload);
    return new MeshModel(model.generation(), workloads, model.services());
  }

  private static MeshModel without(MeshModel model, String name) {
    Map<String, Workload> workloads = new HashMap<>(model.workloads());
    Map<String, Service> services = new HashMap<>(model.services());
    workloads.remove(name);
    services.remove(name);
    return new MeshModel(model.generation(), workloads, services);
  }

  private static String pod(String name) {
    return Workload.podUid("Kubernetes", "shop", name);
  }

  private static Service service(String name, String address) {
    return new Service(
        "shop",
        name,
        name + ".shop.svc.cluster.local",
        "",
        List.of(Cidr.literal(address)),
        List.of(new ServicePort("http", 80, 8080, AppProtocol.HTTP1)),
        IpFamilies.IPV4,
        Balancing.ANYWHERE,
        false,
        "",
        false);
  }

  private static Workload workload(String name, String address, boolean healthy, String service) {
    return new Workload(
        pod(name),
        "shop",
        name,
        List.of(Cidr.literal(address)),
        "",
        "node-1",
        "",
        "front",
        Workload.DEFAULT_TRUST_DOMAIN,
        Workload.DEFAULT_CLUSTER,
        Locality.UNKNOWN,
        WorkloadKind.DEPLOYMENT,
        "front",
        "front",
        "v1",
        Tunnel.NONE,
        healthy,
        false,
        1,
        Map.of(service, List.of(new ServicePort("", 80, 8080, AppProtocol.HTTP1))),
        PodSettings.DEFAULT);
  }
}
