package dev.weir.api.dns;

import static org.assertj.core.api.Assertions.assertThat;

import dev.weir.api.dns.ServiceNames.Endpoint;
import dev.weir.api.dns.ServiceNames.Entry;
import dev.weir.api.dns.ServiceNames.Port;
import java.net.InetAddress;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

class ServiceZoneTest {
  private static final InetAddress VIP_4 = InetAddress.ofLiteral("10.96.0.7");
  private static final InetAddress VIP_6 = InetAddress.ofLiteral("fd00:96::7");
  private static final InetAddress POD_0 = InetAddress.ofLiteral("10.244.1.5");
  private static final InetAddress POD_1 = InetAddress.ofLiteral("10.244.2.6");

  private final Map<String, Entry> services = new HashMap<>();
  private final ServiceZone zone =
      new ServiceZone(
          "cluster.local",
          new ServiceNames() {
            @Override
            public @Nullable Entry service(String namespace, String name) {
              return services.get(namespace + "/" + name);
            }

            @Override
            public boolean knowsNamespace(String namespace) {
              return namespace.equals("shop");
            }

            @Override
            public @Nullable String nameOf(InetAddress address) {
              return address.equals(VIP_4) ? "web.shop.svc.cluster.local" : null;
            }
          });

  ServiceZoneTest() {
    List<Port> ports = List.of(new Port("http", "tcp", 80), new Port("", "tcp", 81));
    services.put(
        "shop/web", new Entry("shop", "web", List.of(VIP_4, VIP_6), false, null, ports, List.of()));
    services.put(
        "shop/four", new Entry("shop", "four", List.of(VIP_4), false, null, ports, List.of()));
    services.put(
        "shop/db",
        new Entry(
            "shop",
            "db",
            List.of(),
            true,
            null,
            List.of(new Port("sql", "tcp", 5432)),
            List.of(
                new Endpoint("db-0", List.of(POD_0), List.of(15432)),
                new Endpoint(null, List.of(POD_1), List.of(25432)))));
    services.put("shop/empty", new Entry("shop", "empty", List.of(), true, null, ports, List.of()));
    services.put(
        "shop/out",
        new Entry("shop", "out", List.of(), false, "www.example.com", List.of(), List.of()));
    services.put(
        "shop/in",
        new Entry(
            "shop", "in", List.of(), false, "web.shop.svc.cluster.local", List.of(), List.of()));
    services.put(
        "shop/loop",
        new Entry(
            "shop", "loop", List.of(), false, "loop.shop.svc.cluster.local", List.of(), List.of()));
  }

  @Test
  void aServiceHasTheAddressesOfItsFamilies() {
    assertThat(addresses("web.shop.svc.cluster.local", Dns.A)).containsExactly(VIP_4);
    assertThat(addresses("web.shop.svc.cluster.local", Dns.AAAA)).containsExactly(VIP_6);
  }

  @Test
  void aFamilyThatIsMissingIsNoDataAndNotNxdomain() {
    DnsAnswer answer = answer("four.shop.svc.cluster.local", Dns.AAAA);
    assertThat(answer.rcode()).isEqualTo(Dns.NOERROR);
    assertThat(answer.answers()).isEmpty();
    assertThat(answer.authority()).hasSize(1);
  }

  @Test
  void aNameThatIsNotThereIsNxdomainInAKnownNamespaceOnly() {
    assertThat(answer("none.shop.svc.cluster.local", Dns.A).rcode()).isEqualTo(Dns.NXDOMAIN);
    assertThat(resolve("none.other.svc.cluster.local", Dns.A))
        .isEqualTo(new ServiceZone.Unknown(true));
    assertThat(resolve("www.example.com", Dns.A)).isEqualTo(new ServiceZone.Unknown(false));
    assertThat(resolve("cluster.local", Dns.A)).isEqualTo(new ServiceZone.Unknown(true));
    // What ndots:5 makes of an outside name.
    assertThat(answer("www.example.com.shop.svc.cluster.local", Dns.A).rcode())
        .isEqualTo(Dns.NXDOMAIN);
    assertThat(answer("shop.svc.cluster.local", Dns.A).rcode()).isEqualTo(Dns.NOERROR);
  }

  @Test
  void aHeadlessServiceIsItsPodsAndEachHasAName() {
    assertThat(addresses("db.shop.svc.cluster.local", Dns.A)).containsExactly(POD_0, POD_1);
    assertThat(addresses("db-0.db.shop.svc.cluster.local", Dns.A)).containsExactly(POD_0);
    assertThat(addresses("10-244-2-6.db.shop.svc.cluster.local", Dns.A)).containsExactly(POD_1);
    assertThat(answer("db-1.db.shop.svc.cluster.local", Dns.A).rcode()).isEqualTo(Dns.NXDOMAIN);
    assertThat(answer("db-0.db.shop.svc.cluster.local", Dns.AAAA).rcode()).isEqualTo(Dns.NOERROR);
    assertThat(answer("empty.shop.svc.cluster.local", Dns.A).rcode()).isEqualTo(Dns.NXDOMAIN);
  }

  @Test
  void srvTellsPortsOfNamedPortsAndOfPods() {
    assertThat(answer("_http._tcp.web.shop.svc.cluster.local", Dns.SRV).answers())
        .containsExactly(
            new DnsRecord.Server(
                "_http._tcp.web.shop.svc.cluster.local",
                5,
                0,
                100,
                80,
                "web.shop.svc.cluster.local"));
    DnsAnswer headless = answer("_sql._tcp.db.shop.svc.cluster.local", Dns.SRV);
    assertThat(headless.answers())
        .extracting(record ->
            ((DnsRecord.Server) record).target() + ":" + ((DnsRecord.Server) record).port())
        .containsExactly(
            "db-0.db.shop.svc.cluster.local:15432", "10-244-2-6.db.shop.svc.cluster.local:25432");
    assertThat(headless.additional()).hasSize(2);
    assertThat(answer("_sql._udp.db.shop.svc.cluster.local", Dns.SRV).rcode())
        .isEqualTo(Dns.NXDOMAIN);
    assertThat(answer("_sql._tcp.db.shop.svc.cluster.local", Dns.A).rcode()).isEqualTo(Dns.NOERROR);
    assertThat(answer("_tcp.db.shop.svc.cluster.local", Dns.A).rcode()).isEqualTo(Dns.NOERROR);
  }

  @Test
  void anExternalNameIsAnAliasAndLeadsOutOrOn() {
    assertThat(resolve("out.shop.svc.cluster.local", Dns.A))
        .isEqualTo(
            new ServiceZone.External(
                new DnsRecord.Alias("out.shop.svc.cluster.local", 5, "www.example.com"),
                "www.example.com"));
    assertThat(answer("out.shop.svc.cluster.local", Dns.CNAME).answers()).hasSize(1);
    assertThat(answer("in.shop.svc.cluster.local", Dns.A).answers())
        .containsExactly(
            new DnsRecord.Alias("in.shop.svc.cluster.local", 5, "web.shop.svc.cluster.local"),
            new DnsRecord.Address("web.shop.svc.cluster.local", 5, VIP_4));
    assertThat(answer("loop.shop.svc.cluster.local", Dns.A).rcode()).isEqualTo(Dns.SERVFAIL);
  }

  @Test
  void aServiceAddressLeadsBackToItsName() {
    assertThat(answer("7.0.96.10.in-addr.arpa", Dns.PTR).answers())
        .containsExactly(
            new DnsRecord.Pointer("7.0.96.10.in-addr.arpa", 5, "web.shop.svc.cluster.local"));
    assertThat(resolve("7.0.96.in-addr.arpa", Dns.PTR)).isInstanceOf(ServiceZone.Unknown.class);
    assertThat(resolve("256.0.96.10.in-addr.arpa", Dns.PTR))
        .isInstanceOf(ServiceZone.Unknown.class);
    assertThat(
            ReverseName.address(
                "7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.6.9.0.0.0.0.d.f.ip6.arpa"))
        .isEqualTo(VIP_6);
  }

  private ServiceZone.Resolution resolve(String name, int type) {
    return zone.resolve(new DnsQuestion(name, type, Dns.CLASS_IN));
  }

  private DnsAnswer answer(String name, int type) {
    return ((ServiceZone.Answered) resolve(name, type)).answer();
  }

  private List<InetAddress> addresses(String name, int type) {
    return answer(name, type).answers().stream()
        .map(record -> ((DnsRecord.Address) record).address())
        .toList();
  }
}
