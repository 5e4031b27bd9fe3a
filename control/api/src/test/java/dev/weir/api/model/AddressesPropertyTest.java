package dev.weir.api.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.protobuf.Any;
import com.google.protobuf.ByteString;
import com.google.protobuf.InvalidProtocolBufferException;
import dev.weir.api.proto.workload.Address;
import dev.weir.api.proto.workload.Extension;
import dev.weir.api.proto.workload.NetworkAddress;
import dev.weir.api.proto.workload.Port;
import dev.weir.api.proto.workload.PortList;
import dev.weir.api.proto.workload.TunnelProtocol;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.util.List;
import java.util.Map;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.Combinators;
import net.jqwik.api.Example;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;

final class AddressesPropertyTest {
  private static final dev.weir.api.proto.workload.GatewayAddress GATEWAY =
      dev.weir.api.proto.workload.GatewayAddress.getDefaultInstance();

  @Property(tries = 300)
  void a_workload_comes_back_as_it_went(@ForAll("workloads") Workload workload)
      throws InvalidProtocolBufferException {
    Address sent = Address.parseFrom(Addresses.of(workload).toByteString());
    assertThat(Addresses.workload(sent)).isEqualTo(workload);
    assertThat(Addresses.name(sent)).isEqualTo(workload.uid());
    assertThat(Addresses.of(Addresses.workload(sent)).toByteString())
        .as("equal workloads have equal bytes, and so equal versions")
        .isEqualTo(Addresses.of(workload).toByteString());
  }

  @Property(tries = 300)
  void a_service_comes_back_as_it_went(@ForAll("services") Service service)
      throws InvalidProtocolBufferException {
    Address sent = Address.parseFrom(Addresses.of(service).toByteString());
    assertThat(Addresses.service(sent)).isEqualTo(service);
    assertThat(Addresses.name(sent)).isEqualTo(service.key());
  }

  @Property(tries = 300)
  void bytes_from_anyone_are_read_or_refused_with_a_reason(@ForAll byte[] bytes) {
    Address address;
    try {
      address = Address.parseFrom(bytes);
    } catch (InvalidProtocolBufferException e) {
      return;
    }
    try {
      if (address.hasWorkload()) {
        Addresses.workload(address);
      } else {
        Addresses.service(address);
      }
    } catch (AddressException e) {
      assertThat(e.getMessage()).isNotBlank();
    }
  }

  @Example
  void what_an_istiod_leaves_out_has_its_usual_value() {
    var istio =
        dev.weir.api.proto.workload.Workload.newBuilder()
            .setUid("Kubernetes//Pod/shop/front")
            .setNamespace("shop")
            .setName("front")
            .setTunnelProtocol(TunnelProtocol.HBONE)
            .addAddresses(ByteString.copyFrom(new byte[] {10, 0, 0, 1}));
    Workload workload = Addresses.workload(Address.newBuilder().setWorkload(istio).build());
    assertThat(workload.settings()).isEqualTo(PodSettings.DEFAULT);
    assertThat(workload.identity()).isEqualTo("spiffe://cluster.local/ns/shop/sa/default");
    assertThat(workload.cluster()).isEqualTo("Kubernetes");
    assertThat(workload.capacity()).isEqualTo(1);
    assertThat(workload.healthy()).isTrue();
    assertThat(workload.tunnel()).isEqualTo(Tunnel.HBONE);
  }

  @Example
  void an_application_tunnel_of_an_istiod_is_one_here_and_keeps_the_pod_off_the_fast_path() {
    var istio =
        dev.weir.api.proto.workload.Workload.newBuilder()
            .setUid("u")
            .setApplicationTunnel(
                dev.weir.api.proto.workload.ApplicationTunnel.newBuilder()
                    .setProtocol(dev.weir.api.proto.workload.ApplicationTunnel.Protocol.PROXY)
                    .setPort(15088));
    PodSettings settings =
        Addresses.workload(Address.newBuilder().setWorkload(istio).build()).settings();
    assertThat(settings.applicationTunnel()).isEqualTo(new ApplicationTunnel(15088));
    assertThat(settings.fastPath()).isEqualTo(FastPath.OFF);
    refused(
        istio
            .clone()
            .setApplicationTunnel(
                dev.weir.api.proto.workload.ApplicationTunnel.newBuilder().setProtocolValue(9)),
        "workload u has the application tunnel 9 (expected: NONE or PROXY)");
    refused(
        istio
            .clone()
            .setApplicationTunnel(istio.getApplicationTunnel().toBuilder().setPort(70_000)),
        "workload u: application tunnel to port 70000");
  }

  @Example
  void what_cannot_be_is_refused_by_name() {
    var workload = dev.weir.api.proto.workload.Workload.newBuilder().setUid("u");
    refused(
        workload.clone().addAddresses(ByteString.copyFrom(new byte[3])),
        "workload u has an address of 3 bytes");
    refused(
        workload
            .clone()
            .putServices(
                "s",
                PortList.newBuilder().addPorts(Port.newBuilder().setServicePort(70_000)).build()),
        "workload u has the port 70000");
    refused(
        workload.clone().setTunnelProtocol(TunnelProtocol.LEGACY_ISTIO_MTLS), "LEGACY_ISTIO_MTLS");
    refused(
        workload
            .clone()
            .addExtensions(
                Extension.newBuilder()
                    .setName("weir.dev/pod")
                    .setConfig(
                        Any.newBuilder().setTypeUrl("x/y").setValue(ByteString.copyFromUtf8("z")))),
        "workload u has an unreadable extension weir.dev/pod");
    refused(workload.clone().setUid(""), "has no uid");
    refused(
        workload.clone().setNetworkGateway(GATEWAY),
        "workload u has a network gateway at the port 0");
    refused(
        workload.clone().setNetworkGateway(GATEWAY.toBuilder().setHboneMtlsPort(15008)),
        "workload u has a network gateway without address or hostname");
    assertThatThrownBy(() ->
            Addresses.service(
                Address.newBuilder()
                    .setService(
                        dev.weir.api.proto.workload.Service.newBuilder()
                            .setHostname("h")
                            .setNamespace("n")
                            .addAddresses(
                                NetworkAddress.newBuilder()
                                    .setAddress(ByteString.copyFrom(new byte[4]))
                                    .setLength(8)))
                    .build()))
        .isInstanceOf(AddressException.class)
        .hasMessageContaining("service n/h has the address block 0.0.0.0/8");
  }

  private static void refused(
      dev.weir.api.proto.workload.Workload.Builder workload, String message) {
    assertThatThrownBy(() -> Addresses.workload(Address.newBuilder().setWorkload(workload).build()))
        .isInstanceOf(AddressException.class)
        .hasMessageContaining(message);
  }

  @Example
  void the_more_careful_of_two_pods_paths_holds() {
    assertThat(FastPath.JOINED.with(FastPath.DIRECT)).isEqualTo(FastPath.DIRECT);
    assertThat(FastPath.OFF.with(FastPath.JOINED)).isEqualTo(FastPath.OFF);
    assertThat(FastPath.JOINED.with(FastPath.JOINED)).isEqualTo(FastPath.JOINED);
  }

  @Property(tries = 200)
  void a_block_contains_what_shares_its_prefix(@ForAll("addresses") InetAddress address) {
    int length = address.getAddress().length * 8;
    for (int bits = 0; bits <= length; bits += 8) {
      Cidr cidr = new Cidr(address, bits);
      assertThat(cidr.contains(address)).isTrue();
      assertThat(Cidr.parse(cidr.toString())).isEqualTo(cidr);
    }
    byte[] flipped = address.getAddress();
    flipped[0] ^= (byte) 0x80;
    assertThat(new Cidr(address, 1).contains(address(flipped))).isFalse();
  }

  @Provide
  Arbitrary<Workload> workloads() {
    Arbitrary<Map<String, List<ServicePort>>> services =
        Arbitraries.maps(names().map(name -> "shop/" + name), ports("").list().ofMaxSize(3))
            .ofMaxSize(4);
    return Combinators.combine(
            names(),
            names(),
            addresses().list().ofMaxSize(2),
            services,
            settings(),
            Arbitraries.integers().between(0, 255))
        .as((name, account, addresses, served, settings, bits) ->
            new Workload(
                Workload.podUid("Kubernetes", "shop", name),
                "shop",
                name,
                addresses,
                (bits & 1) == 0 ? "" : "net-1",
                "node-" + (bits & 3),
                (bits & 2) == 0 ? "" : name + ".db.shop.svc.cluster.local",
                account,
                (bits & 4) == 0 ? "cluster.local" : "other.example",
                (bits & 8) == 0 ? "Kubernetes" : "east",
                (bits & 16) == 0 ? Locality.UNKNOWN : new Locality("r", "z", ""),
                (bits & 128) == 0 ? WorkloadKind.JOB : WorkloadKind.DEPLOYMENT,
                name,
                name,
                "latest",
                (bits & 1) == 0 ? Tunnel.NONE : Tunnel.HBONE,
                (bits & 32) == 0,
                (bits & 64) == 0,
                bits,
                served,
                settings))
        .flatMap(workload ->
            gateways()
                .injectNull(0.5)
                .map(gateway -> gateway == null ? workload : workload.in("net-2", gateway)));
  }

  @Provide
  Arbitrary<Service> services() {
    Arbitrary<List<ServicePort>> ports =
        Arbitraries.of("", "http", "grpc-web", "x")
            .flatMap(AddressesPropertyTest::ports)
            .list()
            .ofMaxSize(4)
            .uniqueElements(ServicePort::port);
    return Combinators.combine(
            names(),
            addresses().list().ofMaxSize(2),
            ports,
            Arbitraries.of(IpFamilies.values()),
            Arbitraries.of(Balancing.Scope.values()).list().ofMaxSize(3),
            Arbitraries.of(Balancing.Mode.values()),
            Arbitraries.of(true, false),
            Arbitraries.of(true, false))
        .as((name, addresses, each, families, scopes, mode, headless, notReady) ->
            new Service(
                "shop",
                name,
                name + ".shop.svc.cluster.local",
                "",
                addresses,
                each,
                families,
                new Balancing(scopes, mode, notReady ^ headless),
                headless,
                headless ? "" : name + ".example",
                notReady,
                headless ? List.of("spiffe://td/ns/shop/sa/" + name) : List.of()));
  }

  private Arbitrary<GatewayAddress> gateways() {
    return Arbitraries.oneOf(
        addresses().map(address -> new GatewayAddress.At("net-2", address, 15008)),
        names().map(name -> new GatewayAddress.Named("shop", name + ".example", 15443)));
  }

  private static Arbitrary<String> names() {
    return Arbitraries.strings().withCharRange('a', 'z').ofMinLength(1).ofMaxLength(12);
  }

  private static Arbitrary<ServicePort> ports(String name) {
    return Combinators.combine(
            Arbitraries.integers().between(1, 65535),
            Arbitraries.integers().between(0, 65535),
            Arbitraries.of(AppProtocol.values()))
        .as((port, target, protocol) -> new ServicePort(name, port, target, protocol));
  }

  private Arbitrary<PodSettings> settings() {
    Arbitrary<List<PortRange>> ranges =
        Combinators.combine(
                Arbitraries.integers().between(1, 65535), Arbitraries.integers().between(0, 100))
            .as((first, more) -> new PortRange(first, Math.min(65535, first + more)))
            .list()
            .ofMaxSize(3);
    return Combinators.combine(
            Arbitraries.of(true, false),
            Arbitraries.of(FastPath.values()),
            Arbitraries.of(OnAgentLoss.values()),
            ranges,
            ranges,
            Combinators.combine(addresses(), Arbitraries.integers().between(0, 32))
                .as(Cidr::new)
                .list()
                .ofMaxSize(3),
            Arbitraries.integers().between(1, 65535).list().ofMaxSize(3),
            Arbitraries.integers().between(1, 1000))
        .as((enrolled, path, loss, inbound, outbound, blocks, probes, weight) ->
            new PodSettings(enrolled, path, loss, inbound, outbound, blocks, probes, weight, null))
        .flatMap(settings ->
            Arbitraries.integers()
                .between(0, 65535)
                .map(ApplicationTunnel::new)
                .injectNull(0.5)
                .map(settings::withApplicationTunnel));
  }

  @Provide
  Arbitrary<InetAddress> addresses() {
    return Arbitraries.oneOf(
            Arbitraries.bytes().array(byte[].class).ofSize(4),
            // Not ::ffff:0:0/96, which Java turns into IPv4.
            Arbitraries.bytes().array(byte[].class).ofSize(16).map(AddressesPropertyTest::global))
        .map(AddressesPropertyTest::address);
  }

  private static byte[] global(byte[] bytes) {
    bytes[0] |= 0x20;
    return bytes;
  }

  private static InetAddress address(byte[] bytes) {
    try {
      return InetAddress.getByAddress(bytes);
    } catch (UnknownHostException e) {
      throw new IllegalArgumentException(e);
    }
  }
}
