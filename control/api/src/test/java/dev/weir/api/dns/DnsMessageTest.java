package dev.weir.api.dns;

import static org.assertj.core.api.Assertions.assertThat;

import java.net.InetAddress;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.Size;
import org.junit.jupiter.api.Test;

class DnsMessageTest {
  private static final HexFormat HEX = HexFormat.of();

  @Test
  void aQueryIsReadInLowerCaseAndEchoedBitByBit() {
    byte[] message =
        HEX.parseHex("1234010000010000000000000353 76430363 6f6d0000010001".replace(" ", ""));
    DnsQuery query = query(message);
    assertThat(query.question()).isEqualTo(new DnsQuestion("svc.com", Dns.A, Dns.CLASS_IN));
    byte[] answer = DnsAnswer.failure(Dns.SERVFAIL).encode(query, 512);
    assertThat(HEX.formatHex(answer, 12, answer.length)).isEqualTo("0353764303636f6d0000010001");
    assertThat(answer[3] & 0xf).isEqualTo(Dns.SERVFAIL);
  }

  @Test
  void anAnswerSurvivesItsOwnReader() throws DnsException {
    DnsQuery query =
        query(
            DnsQuery.encode(
                7, new DnsQuestion("_http._tcp.web.shop.svc.cluster.local", Dns.SRV, 1)));
    List<DnsRecord> records =
        List.of(
            new DnsRecord.Alias("a.example", 5, "b.example"),
            new DnsRecord.Server(
                "_http._tcp.web.shop.svc.cluster.local",
                5,
                0,
                50,
                8080,
                "web-0.web.shop.svc.cluster.local"),
            new DnsRecord.Address("b.example", 30, InetAddress.ofLiteral("10.0.0.1")),
            new DnsRecord.Address("b.example", 30, InetAddress.ofLiteral("fd00::1")),
            new DnsRecord.Pointer("1.0.0.10.in-addr.arpa", 30, "web.shop.svc.cluster.local"));
    DnsReply reply = DnsReply.parse(DnsAnswer.of(records).encode(query, Dns.MAX_TCP_BYTES));
    assertThat(reply.id()).isEqualTo(7);
    assertThat(reply.question()).isEqualTo(query.question());
    assertThat(reply.answers()).isEqualTo(records);
    assertThat(reply.truncated()).isFalse();
  }

  @Test
  void whatDoesNotFitIsLeftOutAndSaysSo() throws DnsException {
    DnsQuery plain =
        query(HEX.parseHex("00010100000100000000000003777777000001 0001".replace(" ", "")));
    List<DnsRecord> many = new ArrayList<>();
    for (int i = 0; i < 200; i++) {
      many.add(new DnsRecord.Address("www", 5, InetAddress.ofLiteral("10.0.0." + i)));
    }
    byte[] message = DnsAnswer.of(many).encode(plain, plain.udpLimit(4096));
    assertThat(message).hasSizeLessThanOrEqualTo(512);
    DnsReply reply = DnsReply.parse(message);
    assertThat(reply.truncated()).isTrue();
    assertThat(reply.answers()).hasSizeGreaterThan(20).isSubsetOf(many);
    assertThat(DnsReply.parse(DnsAnswer.of(many).encode(plain, Dns.MAX_TCP_BYTES)).answers())
        .hasSize(200);
  }

  @Test
  void edns0RaisesTheLimitAndIsAnsweredInKind() throws DnsException {
    DnsQuery query = query(DnsQuery.encode(1, new DnsQuestion("www", Dns.A, 1)));
    assertThat(query.udpLimit(4096)).isEqualTo(Dns.MAX_UDP_BYTES);
    byte[] message = DnsAnswer.failure(Dns.NOERROR).encode(query, 512);
    assertThat(HEX.formatHex(message, message.length - 11, message.length)).startsWith("000029");
    assertThat(query.forwarded(0xbeef, 600))
        .startsWith(0xbe, 0xef)
        .endsWith(2, 88, 0, 0, 0, 0, 0, 0);
  }

  @Test
  void aPointerThatLeadsForwardToItselfOrIntoTheHeaderIsRefused() {
    for (String name : List.of("c00c", "c00e", "c000", "03777777c010", "c0ff")) {
      DnsQuery.Parsed parsed =
          DnsQuery.parse(HEX.parseHex("000101000001000000000000" + name + "00010001"));
      assertThat(parsed).as(name).isInstanceOf(DnsQuery.Malformed.class);
    }
  }

  @Test
  void twoQuestionsAForeignOpcodeAndTrailingBytesAreRefusedWithTheRightCode() {
    assertThat(malformed("000101000002000000000000" + "00000100010000010001").rcode())
        .isEqualTo(Dns.FORMERR);
    assertThat(malformed("000129000001000000000000" + "0000010001").rcode()).isEqualTo(Dns.NOTIMP);
    assertThat(malformed("000101000001000000000000" + "0000010001ff").rcode())
        .isEqualTo(Dns.FORMERR);
    assertThat(malformed("000101000001000000000000").answer()).hasSize(12);
  }

  @Test
  void aResponseIsNeverAnswered() {
    assertThat(DnsQuery.parse(HEX.parseHex("000181800001000000000000" + "0000010001")))
        .isInstanceOf(DnsQuery.Ignored.class);
    assertThat(DnsQuery.parse(new byte[11])).isInstanceOf(DnsQuery.Ignored.class);
  }

  @Test
  void bytesOutsideOfTheAlphabetCannotForgeAName() {
    // One label that holds "a.b" is not the two labels a and b.
    DnsQuery query =
        query(HEX.parseHex("000101000001000000000000" + "03612e6203636f6d00" + "00010001"));
    assertThat(query.question().name()).isEqualTo("a\\046b.com");
  }

  @Property(tries = 3000)
  void noBytesBreakTheParsers(@ForAll @Size(max = 600) byte[] message) throws Exception {
    switch (DnsQuery.parse(message)) {
      case DnsQuery.Query parsed -> DnsAnswer.failure(Dns.SERVFAIL).encode(parsed.query(), 512);
      case DnsQuery.Malformed malformed ->
          assertThat(malformed.answer()).hasSizeLessThanOrEqualTo(message.length);
      case DnsQuery.Ignored ignored -> assertThat(ignored.reason()).isNotEmpty();
    }
    readReply(message);
  }

  @Property(tries = 3000)
  void noDamageToARealMessageBreaksTheParsers(
      @ForAll @IntRange(max = 200) int at,
      @ForAll byte value,
      @ForAll @IntRange(max = 220) int cut) {
    DnsQuery query =
        query(DnsQuery.encode(7, new DnsQuestion("web.shop.svc.cluster.local", Dns.A, 1)));
    byte[] asked = damaged(query.message(), at, value, cut);
    assertThat(DnsQuery.parse(asked)).isNotNull();
    byte[] answer =
        DnsAnswer.of(
                List.of(
                    new DnsRecord.Alias(
                        "web.shop.svc.cluster.local", 5, "db.shop.svc.cluster.local"),
                    new DnsRecord.Address(
                        "db.shop.svc.cluster.local", 5, InetAddress.ofLiteral("fd00::1"))))
            .encode(query, 512);
    readReply(damaged(answer, at, value, cut));
  }

  @Property(tries = 500)
  void everyNameComesBackAsItWent(@ForAll("names") List<byte[]> labels) throws DnsException {
    int size = 1;
    StringBuilder wire = new StringBuilder("000101000001000000000000");
    for (byte[] label : labels) {
      size += label.length + 1;
      wire.append(HEX.toHexDigits((byte) label.length)).append(HEX.formatHex(label));
    }
    DnsQuery.Parsed parsed = DnsQuery.parse(HEX.parseHex(wire + "0000010001"));
    if (size > Dns.MAX_NAME_BYTES) {
      assertThat(parsed).isInstanceOf(DnsQuery.Malformed.class);
      return;
    }
    DnsQuery query = ((DnsQuery.Query) parsed).query();
    String name = query.question().name();
    byte[] answer =
        DnsAnswer.of(List.of(new DnsRecord.Alias(name, 1, "x." + name))).encode(query, 65535);
    if (size + 2 <= Dns.MAX_NAME_BYTES) {
      DnsReply reply = DnsReply.parse(answer);
      assertThat(reply.answers()).containsExactly(new DnsRecord.Alias(name, 1, "x." + name));
    }
  }

  @Provide
  Arbitrary<List<byte[]>> names() {
    Arbitrary<byte[]> label =
        Arbitraries.oneOf(
            Arbitraries.strings()
                .withCharRange('a', 'z')
                .ofMinLength(1)
                .ofMaxLength(63)
                .map(s -> s.getBytes(StandardCharsets.ISO_8859_1)),
            Arbitraries.bytes().array(byte[].class).ofMinSize(1).ofMaxSize(40));
    return label.list().ofMinSize(1).ofMaxSize(6);
  }

  private static byte[] damaged(byte[] message, int at, byte value, int cut) {
    byte[] copy = Arrays.copyOf(message, Math.min(message.length, cut));
    if (at < copy.length) {
      copy[at] = value;
    }
    return copy;
  }

  private static void readReply(byte[] message) {
    try {
      assertThat(DnsReply.parse(message).answers()).isNotNull();
    } catch (DnsException e) {
      assertThat(e.getMessage()).isNotEmpty();
    }
  }

  private static DnsQuery query(byte[] message) {
    return ((DnsQuery.Query) DnsQuery.parse(message)).query();
  }

  private static DnsQuery.Malformed malformed(String hex) {
    return (DnsQuery.Malformed) DnsQuery.parse(HEX.parseHex(hex));
  }
}
