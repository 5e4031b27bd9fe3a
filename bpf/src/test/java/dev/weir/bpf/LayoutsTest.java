package dev.weir.bpf;

import static org.assertj.core.api.Assertions.assertThat;

import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

/** Each layout, field by field, through the BTF that clang wrote into the very object that runs. */
class LayoutsTest {
  private static final InetAddress FOUR = InetAddress.ofLiteral("10.1.2.3");
  private static final InetAddress SIX = InetAddress.ofLiteral("fd00::7");
  private static final byte[] FOUR_MAPPED = Layouts.mapped(FOUR);
  private static final byte[] SIX_BYTES = SIX.getAddress();

  private final Btf btf = new Btf(Programs.object());

  private Btf.Value read(String struct, byte[] bytes) {
    assertThat(bytes).as("size of %s", struct).hasSize(btf.struct(struct).bytes());
    return btf.value(struct, bytes);
  }

  @Test
  void anAddressOfEitherFamilyIsSixteenBytes() {
    assertThat(btf.struct("weir_addr").bytes()).isEqualTo(Layouts.ADDRESS_BYTES);
    assertThat(Layouts.address(FOUR_MAPPED)).isEqualTo(FOUR);
    assertThat(Layouts.address(SIX_BYTES)).isEqualTo(SIX);
  }

  @Test
  void aPodIsWrittenAsTheProgramsReadIt() {
    Layouts.PodEntry pod = new Layouts.PodEntry(7, 8, 9, FOUR_MAPPED, SIX_BYTES);
    Btf.Value value = read("weir_pod", pod.bytes());
    assertThat(value.u32("pod")).isEqualTo(7);
    assertThat(value.u32("identity")).isEqualTo(8);
    assertThat(value.u32("flags")).isEqualTo(9);
    assertThat(value.address("ip4")).isEqualTo(FOUR_MAPPED);
    assertThat(value.address("ip6")).isEqualTo(SIX_BYTES);
    assertThat(Layouts.PodEntry.of(pod.bytes())).usingRecursiveComparison().isEqualTo(pod);
  }

  @Test
  void theFlagsAreTheHeaders() {
    assertThat(Layouts.PodEntry.JOINED).isEqualTo(btf.constant("WEIR_POD_JOINED"));
    assertThat(Layouts.PodEntry.OFF).isEqualTo(btf.constant("WEIR_POD_OFF"));
    assertThat(Layouts.PodEntry.LOSS_OPEN).isEqualTo(btf.constant("WEIR_POD_LOSS_OPEN"));
    assertThat(Layouts.PodEntry.DNS).isEqualTo(btf.constant("WEIR_POD_DNS"));
    assertThat(Layouts.PodEntry.PORT_RULES).isEqualTo(btf.constant("WEIR_POD_PORT_RULES"));
    assertThat(Layouts.PodEntry.CIDR_RULES).isEqualTo(btf.constant("WEIR_POD_CIDR_RULES"));
    assertThat(Layouts.PodEntry.SELF_TEST).isEqualTo(btf.constant("WEIR_POD_SELF_TEST"));
    assertThat(Layouts.AddressEntry.POD).isEqualTo(btf.constant("WEIR_ADDRESS_POD"));
    assertThat(Layouts.AddressEntry.NODE).isEqualTo(btf.constant("WEIR_ADDRESS_NODE"));
    assertThat(Layouts.ServiceEntry.AGENT).isEqualTo(btf.constant("WEIR_SERVICE_AGENT"));
    assertThat(Layouts.PORT_EXCLUDE_INBOUND).isEqualTo(btf.constant("WEIR_PORT_EXCLUDE_INBOUND"));
    assertThat(Layouts.PORT_EXCLUDE_OUTBOUND).isEqualTo(btf.constant("WEIR_PORT_EXCLUDE_OUTBOUND"));
    assertThat(Layouts.PORT_PROBE).isEqualTo(btf.constant("WEIR_PORT_PROBE"));
    assertThat(Layouts.PATH_AGENT).isEqualTo(btf.constant("WEIR_PATH_AGENT"));
    assertThat(Layouts.PATH_DIRECT).isEqualTo(btf.constant("WEIR_PATH_DIRECT"));
    assertThat(Layouts.PATH_JOINED).isEqualTo(btf.constant("WEIR_PATH_JOINED"));
    assertThat(Layouts.PATH_EXCLUDED).isEqualTo(btf.constant("WEIR_PATH_EXCLUDED"));
    assertThat(Layouts.PATH_OPEN).isEqualTo(btf.constant("WEIR_PATH_OPEN"));
    assertThat(Layouts.Event.CLOSED).isEqualTo(btf.constant("WEIR_EVENT_FLOW_CLOSED"));
    assertThat(Layouts.Event.FAILED).isEqualTo(btf.constant("WEIR_EVENT_FLOW_FAILED"));
    assertThat(Layouts.Event.DROP).isEqualTo(btf.constant("WEIR_EVENT_DROP"));
  }

  @Test
  void anAddressEntryIsWrittenAsTheProgramsReadIt() {
    Layouts.AddressEntry entry = new Layouts.AddressEntry(1L << 40, 5, 3);
    Btf.Value value = read("weir_address", entry.bytes());
    assertThat(value.u64("cookie")).isEqualTo(1L << 40);
    assertThat(value.u32("pod")).isEqualTo(5);
    assertThat(value.u32("flags")).isEqualTo(3);
    assertThat(Layouts.AddressEntry.of(entry.bytes())).isEqualTo(entry);
  }

  @Test
  void aServiceAndItsEndpointsAreWrittenAsTheProgramsReadThem() {
    Btf.Value key = read("weir_service_key", Layouts.serviceKey(FOUR, 50_000));
    assertThat(key.address("addr")).isEqualTo(FOUR_MAPPED);
    assertThat(key.u16("port")).isEqualTo(50_000);
    assertThat(key.u16("proto")).isEqualTo(6);

    Layouts.ServiceEntry entry = new Layouts.ServiceEntry(1, 2, 3, 4);
    Btf.Value service = read("weir_service", entry.bytes());
    assertThat(service.u32("id")).isEqualTo(1);
    assertThat(service.u32("generation")).isEqualTo(2);
    assertThat(service.u32("count")).isEqualTo(3);
    assertThat(service.u32("flags")).isEqualTo(4);
    assertThat(Layouts.ServiceEntry.of(entry.bytes())).isEqualTo(entry);

    Btf.Value slot = read("weir_endpoint_key", Layouts.endpointKey(1, 2, 3));
    assertThat(slot.u32("service")).isEqualTo(1);
    assertThat(slot.u32("generation")).isEqualTo(2);
    assertThat(slot.u32("slot")).isEqualTo(3);

    Btf.Value endpoint = read("weir_endpoint", Layouts.endpoint(SIX, 8080, 65_535, 9));
    assertThat(endpoint.address("addr")).isEqualTo(SIX_BYTES);
    assertThat(endpoint.u16("port")).isEqualTo(8080);
    assertThat(endpoint.u16("threshold")).isEqualTo(65_535);
    assertThat(endpoint.u32("alias")).isEqualTo(9);
  }

  @Test
  void aVerdictIsWrittenAsTheProgramsReadIt() {
    Layouts.VerdictKey entry = new Layouts.VerdictKey(3, 4, 60_000);
    Btf.Value key = read("weir_verdict_key", entry.bytes());
    assertThat(key.u32("identity")).isEqualTo(3);
    assertThat(key.u32("pod")).isEqualTo(4);
    assertThat(key.u16("port")).isEqualTo(60_000);
    assertThat(Layouts.VerdictKey.of(entry.bytes())).isEqualTo(entry);

    Btf.Value verdict = read("weir_verdict", Layouts.verdict(Layouts.VERDICT_JOINED, 6));
    assertThat(verdict.u32("flags")).isEqualTo(btf.constant("WEIR_VERDICT_JOINED"));
    assertThat(verdict.u32("generation")).isEqualTo(6);
  }

  @Test
  void anOriginalIsReadAsTheProgramsWroteIt() {
    Btf.Value key =
        read(
            "weir_original_key",
            Layouts.originalKey(77, new InetSocketAddress(TestPods.LOOPBACK6, 40_000)));
    assertThat(key.u64("cookie")).isEqualTo(77);
    assertThat(key.u16("port")).isEqualTo(40_000);
    assertThat(key.u16("family")).isEqualTo(10);
    assertThat(key.u32("from")).isZero();
    InetSocketAddress bound = new InetSocketAddress(InetAddress.ofLiteral("10.0.0.3"), 40_000);
    Btf.Value other = read("weir_original_key", Layouts.originalKey(77, bound));
    assertThat(other.u16("family")).isEqualTo(2);
    assertThat(other.u32("from")).isEqualTo(Integer.reverseBytes(0x0a000003));

    byte[] value =
        btf.empty("weir_original")
            .with("asked", FOUR_MAPPED)
            .with("picked", SIX_BYTES)
            .with16("asked_port", 80)
            .with16("picked_port", 8080)
            .with32("service", 5)
            .with32("pod", 6)
            .array();
    assertThat(Layouts.OriginalEntry.of(value))
        .isEqualTo(
            new Layouts.OriginalEntry(
                new InetSocketAddress(FOUR, 80), new InetSocketAddress(SIX, 8080), 5, 6));
  }

  @Test
  void rulesAreWrittenAsTheProgramsReadThem() {
    Btf.Value port = read("weir_port_key", Layouts.portKey(9, 9090, Layouts.PORT_PROBE));
    assertThat(port.u64("cookie")).isEqualTo(9);
    assertThat(port.u16("port")).isEqualTo(9090);
    assertThat(port.u16("kind")).isEqualTo(btf.constant("WEIR_PORT_PROBE"));

    long cookie = 0x0102030405060708L;
    byte[] bytes = Layouts.cidrKey(cookie, FOUR, 8);
    Btf.Value cidr = read("weir_cidr_key", bytes);
    assertThat(cidr.u32("prefixlen")).isEqualTo(64 + 96 + 8);
    assertThat(cidr.address("addr")).isEqualTo(FOUR_MAPPED);
    assertThat(Layouts.cidrCookie(bytes)).isEqualTo(cookie);
    // A trie compares from the first byte on: high word first.
    assertThat(Arrays.copyOfRange(bytes, 4, 12)).containsExactly(1, 2, 3, 4, 5, 6, 7, 8);
  }

  @Test
  void theControlWordsAreWhereTheProgramsLook() {
    Btf.Struct control = btf.struct("weir_control");
    assertThat(control.members().get("beat_ns"))
        .isEqualTo(new Btf.Member("beat_ns", Layouts.CONTROL_BEAT_NANOS));
    assertThat(control.members().get("flags"))
        .isEqualTo(new Btf.Member("flags", Layouts.CONTROL_FLAGS));
    assertThat(control.members().get("agent"))
        .isEqualTo(new Btf.Member("agent", Layouts.CONTROL_AGENT));
    assertThat(control.members().get("next_beat_ns"))
        .isEqualTo(new Btf.Member("next_beat_ns", Layouts.CONTROL_NEXT_BEAT_NANOS));
    assertThat(control.members().get("next"))
        .isEqualTo(new Btf.Member("next", Layouts.CONTROL_NEXT));
    assertThat(control.members().get("next_asks"))
        .isEqualTo(new Btf.Member("next_asks", Layouts.CONTROL_NEXT_ASKS));
    assertThat(Layouts.CONTROL_FLAG_JOINING).isEqualTo(btf.constant("WEIR_CONTROL_JOINING"));
  }

  @Test
  void aDropIsReadAsTheProgramsWroteIt() {
    byte[] key = btf.empty("weir_drop_key").with32("pod", 4).with32("reason", 8).array();
    assertThat(Layouts.DropKey.of(key)).isEqualTo(new Layouts.DropKey(4, 8));
  }

  private Btf.Value tuple() {
    return btf.empty("weir_tuple")
        .with("saddr", FOUR_MAPPED)
        .with("daddr", SIX_BYTES)
        .with16("sport", 50_001)
        .with16("dport", 443)
        .with32("scope", 12);
  }

  private Btf.Value flow() {
    return btf.empty("weir_flow")
        .with64("cookie", 1)
        .with64("opened_ns", 2)
        .with64("established_ns", 3)
        .with64("joined_tx", 4)
        .with64("joined_rx", 5)
        .with("asked", FOUR_MAPPED)
        .with16("asked_port", 60_006)
        .with8("path", Layouts.PATH_JOINED)
        .with32("service", 7)
        .with32("src_pod", 8)
        .with32("dst_pod", 9);
  }

  private static final Layouts.Flow FLOW =
      new Layouts.Flow(1, 2, 3, 4, 5, FOUR, 60_006, Layouts.PATH_JOINED, 7, 8, 9);

  @Test
  void aFlowIsReadAsTheProgramsWroteIt() {
    byte[] key = tuple().array();
    assertThat(key).hasSize(Layouts.TUPLE_BYTES);
    Layouts.Tuple tuple = new Layouts.Tuple(FOUR, 50_001, SIX, 443, 12);
    assertThat(Layouts.Tuple.of(key)).isEqualTo(tuple);
    assertThat(tuple.bytes()).isEqualTo(key);

    byte[] value = flow().array();
    assertThat(value).hasSize(Layouts.FLOW_BYTES);
    assertThat(Layouts.Flow.of(value)).isEqualTo(FLOW);
  }

  @Test
  void anEventIsReadAsTheProgramsWroteIt() {
    byte[] bytes =
        btf.empty("weir_event")
            .with32("kind", 2)
            .with32("reason", 3)
            .with("tuple", tuple().array())
            .with("flow", flow().array())
            .with64("bytes_sent", 10)
            .with64("bytes_received", 11)
            .with32("srtt_us", 12)
            .with32("retransmits", 13)
            .with64("closed_ns", 14)
            .array();
    assertThat(Layouts.Event.of(ByteBuffer.wrap(bytes)))
        .isEqualTo(
            new Layouts.Event(
                2, 3, new Layouts.Tuple(FOUR, 50_001, SIX, 443, 12), FLOW, 10, 11, 12, 13, 14));
  }

  @Test
  void everyMapAndProgramThatIsNamedIsInTheObject() {
    String object = new String(Programs.object(), java.nio.charset.StandardCharsets.ISO_8859_1);
    assertThat(Programs.MAPS).allSatisfy(name -> assertThat(object).contains(name));
    assertThat(
            IntStream.range(0, Programs.CGROUP.size()).mapToObj(i -> Programs.CGROUP.get(i).name()))
        .doesNotHaveDuplicates()
        .allSatisfy(name -> assertThat(object).contains(name));
  }
}
