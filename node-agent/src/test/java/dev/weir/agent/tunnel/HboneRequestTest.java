package dev.weir.agent.tunnel;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import dev.weir.api.model.WorkloadKind;
import io.netty.handler.codec.http2.DefaultHttp2Headers;
import io.netty.handler.codec.http2.Http2Headers;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.List;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class HboneRequestTest {
  @ParameterizedTest
  @ValueSource(
      strings = {"10.0.1.5:8080", "[fd00::1]:15008", "svc.ns.svc.cluster.local:80", "a-1:65535"})
  void anAuthorityReadsAsItIsWritten(String text) {
    assertThat(Authority.parse(text)).hasToString(text);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        ":",
        ":80",
        "10.0.1.5",
        "10.0.1.5:",
        "10.0.1.5:0",
        "10.0.1.5:080",
        "10.0.1.5:65536",
        "10.0.1.5:-1",
        "10.0.1.5:+1",
        "10.0.1.5: 80",
        "10.0.1:80",
        "10.0.1.5.6:80",
        "010.0.1.5:80",
        "256.0.0.1:80",
        "1:80",
        "fd00::1:80",
        "[fd00::1]",
        "[fd00::1:80",
        "[10.0.0.1]:80",
        "[::ffff:10.0.0.1]:80",
        "[fe80::1%eth0]:80",
        "[[fd00::1]]:80",
        "user@host:80",
        "a b:80",
        "-a:80",
        "a-:80",
        "a..b:80",
        "a.:80",
        ".a:80",
        "a_b:80",
        "a/b:80",
        "0x7f.1:80x",
        "a.1:80",
        "host:80:80",
        "hôst:80",
        "10.0.1.5:٨٠"
      })
  void nothingElseIsAnAuthority(String text) {
    assertThat(Authority.parse(text)).isNull();
  }

  @Property(tries = 500)
  void noTextMakesTheParsersThrow(@ForAll String text) {
    Authority.parse(text);
    Authority.parse('[' + text + "]:1");
    Baggage.parse(List.of(text, "k8s.pod.name=" + text));
    Forwarded.parse(text);
    Forwarded.parse("for=" + text);
    TraceParent.parse(text);
  }

  @Test
  void aRequestSurvivesItsHeaders() throws Exception {
    Baggage baggage =
        new Baggage("C", "shop", WorkloadKind.CRONJOB, "till", "till", "v2", "eu", "eu-a");
    HboneRequest request =
        new HboneRequest(
            Authority.of(InetAddress.getByName("10.0.1.5"), 8080),
            baggage,
            new Forwarded(
                new InetSocketAddress(InetAddress.getByName("fd00::9"), 41234), "till.shop"),
            TraceParent.fresh(),
            "net-2");
    assertThat(parse(Wire.headersOf(request))).isEqualTo(request);
    assertThat(Wire.headersOf(request).get("forwarded"))
        .hasToString("for=\"[fd00::9]:41234\";host=till.shop");
    assertThat(baggage)
        .hasToString(
            "k8s.cluster.name=C,k8s.namespace.name=shop,k8s.cronjob.name=till,service.name=till,"
                + "service.version=v2,cloud.region=eu,cloud.availability_zone=eu-a");
  }

  @Test
  void baggageIsReadLenientlyAndWithinBounds() {
    Baggage read =
        Baggage.parse(
            List.of(
                "x=y, k8s.namespace.name = shop ;p=1,=,k8s.pod.name=till\u0001",
                "k8s.pod.name=till,service.name=" + "a".repeat(300)));
    assertThat(read.namespace()).isEqualTo("shop");
    assertThat(read.workload()).isEqualTo("till");
    assertThat(read.kind()).isEqualTo(WorkloadKind.POD);
    assertThat(read.service()).isEmpty();
    assertThat(Baggage.parse(List.of("a=b,".repeat(64) + "service.name=late")).service()).isEmpty();
    assertThat(new Baggage("a,b=c", "ns", WorkloadKind.POD, "", "", "", "", "").toString())
        .isEqualTo("k8s.namespace.name=ns");
  }

  @Test
  void aTraceIsReadStrictly() {
    String good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    assertThat(TraceParent.parse(good)).hasToString(good);
    assertThat(TraceParent.parse(good.replace('a', 'A'))).isNull();
    assertThat(TraceParent.parse(good.replace('-', '0'))).isNull();
    assertThat(TraceParent.parse("x".repeat(55))).isNull();
    assertThat(TraceParent.parse(good.replace("0af7651916cd43dd8448eb211c80319c", "0".repeat(32))))
        .isNull();
    assertThat(TraceParent.parse(TraceParent.fresh().toString())).isNotNull();
    assertThat(TraceParent.fresh()).isNotEqualTo(TraceParent.fresh());
  }

  @Test
  void whatIsNotATunnelIsRefused() {
    refused(connect().method("GET"), 400);
    refused(new DefaultHttp2Headers(false).method("CONNECT"), 400);
    refused(connect().add(":authority", "10.0.0.2:2"), 400);
    refused(connect().authority("10.0.0.1"), 400);
    refused(connect().path("/"), 0);
    refused(connect().scheme("http"), 0);
    refused(connect().add(":protocol", "websocket"), 0);
  }

  private static Http2Headers connect() {
    return new DefaultHttp2Headers(false).method("CONNECT").authority("10.0.0.1:1");
  }

  private static HboneRequest parse(Http2Headers headers) throws HboneRequest.Refused {
    return HboneRequest.parse(headers, Baggage::parse);
  }

  private static void refused(Http2Headers headers, int status) {
    assertThatExceptionOfType(HboneRequest.Refused.class)
        .isThrownBy(() -> parse(headers))
        .satisfies(refusal -> assertThat(refusal.status()).isEqualTo(status));
  }

  @Test
  void aBadTraceOrOriginIsAsIfItWereNotThere() throws Exception {
    HboneRequest request =
        parse(connect().add("traceparent", "x".repeat(55)).add("forwarded", "for=nobody"));
    assertThat(request.trace()).isNull();
    assertThat(request.forwarded()).isNull();
  }
}
