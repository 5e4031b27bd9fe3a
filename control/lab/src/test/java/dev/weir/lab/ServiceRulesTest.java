package dev.weir.lab;

import static org.assertj.core.api.Assertions.assertThat;

import dev.weir.api.kube.EndpointSlice;
import dev.weir.api.kube.Manifests;
import dev.weir.api.kube.Service;
import java.net.InetAddress;
import java.util.List;
import org.junit.jupiter.api.Test;

class ServiceRulesTest {
  private static Service web(String affinity) {
    return ((Service)
            Manifests.read(
                    "web.yaml",
                    """
                    apiVersion: v1
                    kind: Service
                    metadata: {name: web}
                    spec: {sessionAffinity: %s, selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}]}
                    """
                        .formatted(affinity))
                .orThrow()
                .getFirst()
                .object())
        .withClusterIps(List.of(Addressing.serviceV4(0x101)));
  }

  private static EndpointSlice.Endpoint endpoint(
      String ip, boolean ready, boolean serving, boolean terminating) {
    return new EndpointSlice.Endpoint(
        List.<InetAddress>of(Addressing.of(ip)),
        ready,
        serving,
        terminating,
        "",
        "node-1",
        "",
        "pod",
        "");
  }

  private static String script(EndpointSlice.Endpoint... endpoints) {
    return script(web("None"), endpoints);
  }

  private static String script(Service web, EndpointSlice.Endpoint... endpoints) {
    EndpointSlice slice =
        new EndpointSlice(
            web.metadata(),
            "IPv4",
            List.of(endpoints),
            List.of(new EndpointSlice.Port("http", "TCP", 8080, "")));
    return ServiceRules.script(List.of(new ServiceRules.Backed(web, List.of(slice))));
  }

  @Test
  void readyEndpointsShareTheConnections() {
    assertThat(
            script(
                endpoint("10.244.1.2", true, true, false),
                endpoint("10.244.2.2", true, true, false),
                endpoint("10.244.2.3", false, false, false)))
        .contains("10.96.1.1 . tcp . 80 : goto s0")
        .contains("numgen random mod 2 map { 0 : 10.244.1.2 . 8080, 1 : 10.244.2.2 . 8080 }")
        .doesNotContain("10.244.2.3");
  }

  @Test
  void aClientStaysWithItsEndpointWhereTheServiceAsksForIt() {
    assertThat(
            script(
                web("ClientIP"),
                endpoint("10.244.1.2", true, true, false),
                endpoint("10.244.2.2", true, true, false)))
        .contains("jhash ip saddr mod 2 seed 0x1 map { 0 : 10.244.1.2 . 8080, 1 : ");
  }

  @Test
  void endpointsThatEndButServeAreUsedOnlyWhereNoneIsReady() {
    EndpointSlice.Endpoint ending = endpoint("10.244.1.9", false, true, true);
    assertThat(script(ending, endpoint("10.244.1.2", true, true, false)))
        .doesNotContain("10.244.1.9");
    assertThat(script(ending)).contains("10.244.1.9 . 8080");
  }

  @Test
  void aServiceWithoutEndpointsHasNoEntryAndSoIsRefused() {
    assertThat(script())
        .doesNotContain("10.96.1.1 .")
        .contains("ip daddr 10.96.0.0/16 goto refused");
  }
}
