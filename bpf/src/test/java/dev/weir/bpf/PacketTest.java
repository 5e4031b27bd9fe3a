package dev.weir.bpf;

import static org.assertj.core.api.Assertions.assertThat;

import dev.weir.ffi.Bpf.TestRun;
import dev.weir.ffi.Fd;
import dev.weir.testing.NeedsKernel;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.ServerSocketChannel;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Ingress and egress by BPF_PROG_TEST_RUN, in the namespace of the pod. The kernel refuses
 * bpf_sk_assign there, so that a SYN reaches the listener is {@link PodsTest}'s to show; here it
 * ends as {@code ASSIGN_FAILED}, which only a packet that was to be given to the agent can.
 */
@NeedsKernel
class PacketTest {
  private static final int NEXT = -1;
  private static final int DROP = 2;
  private static final int REDIRECT = 7;

  private static final int POD = 3;
  private static final int CLIENT_PORT = 40_000;

  private static final int NO_AGENT = 1;
  private static final int ESCAPE = 3;
  private static final int ASSIGN_FAILED = 5;
  private static final int MALFORMED = 7;
  private static final int SELF_PORT = 8;

  private static final byte[] NOPS = {1, 1, 1, 1, 1, 1, 1, 1};
  private static final InetAddress POD4 = InetAddress.ofLiteral("10.0.0.3");
  private static final InetAddress POD6 = InetAddress.ofLiteral("fd00::3");
  private static final InetAddress OTHER4 = InetAddress.ofLiteral("10.0.0.9");
  private static final InetAddress OTHER6 = InetAddress.ofLiteral("fd00::9");

  private final Loaded loaded = new Loaded();
  private final Fd netns = Loaded.KERNEL.namespaces().newNetwork();

  @BeforeEach
  void enrol() {
    loaded.enrol(netns, POD, Layouts.PodEntry.PORT_RULES, POD4, POD6);
    loaded.beat();
  }

  @AfterEach
  void unload() {
    loaded.close();
    netns.close();
  }

  private static InetAddress pod(boolean four) {
    return four ? POD4 : POD6;
  }

  private static InetAddress other(boolean four) {
    return four ? OTHER4 : OTHER6;
  }

  private TestRun run(String program, byte[] packet, int mark) {
    // struct __sk_buff: mark is its third word.
    byte[] context =
        ByteBuffer.allocate(192).order(ByteOrder.nativeOrder()).putInt(8, mark).array();
    return Loaded.KERNEL
        .namespaces()
        .inNetwork(netns, () -> loaded.program(program).testRun(packet, context, 1));
  }

  private int ingress(byte[] packet) {
    return run(Programs.INGRESS, packet, 0).retval();
  }

  private int egress(byte[] packet, int mark) {
    return run(Programs.EGRESS, packet, mark).retval();
  }

  private static byte[] in(boolean four, int port, int flags) {
    return Packet.tcp(other(four), CLIENT_PORT, pod(four), port, flags);
  }

  private static byte[] out(boolean four, int port, int flags) {
    return Packet.tcp(pod(four), CLIENT_PORT, other(four), port, flags);
  }

  private void refused(int reason, long count) {
    assertThat(loaded.drops()).isEqualTo(Map.of(new Layouts.DropKey(POD, reason), count));
  }

  private ServerSocketChannel listenInbound() {
    return Loaded.KERNEL
        .namespaces()
        .inNetwork(
            netns,
            () -> {
              try {
                return ServerSocketChannel.open().bind(new InetSocketAddress(15_006));
              } catch (IOException e) {
                throw new UncheckedIOException(e);
              }
            });
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void whatFollowsASynPassesBothWays(boolean four) {
    for (int flags :
        new int[] {Packet.ACK, Packet.SYN | Packet.ACK, Packet.FIN | Packet.ACK, Packet.RST}) {
      assertThat(ingress(in(four, 80, flags))).as("flags %x in", flags).isEqualTo(NEXT);
      assertThat(egress(out(four, 80, flags), 0)).as("flags %x out", flags).isEqualTo(NEXT);
    }
    assertThat(loaded.drops()).isEmpty();
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void aSynToAnyPortIsForTheListener(boolean four) throws IOException {
    try (ServerSocketChannel _ = listenInbound()) {
      assertThat(ingress(in(four, 80, Packet.SYN))).isEqualTo(REDIRECT);
      refused(ASSIGN_FAILED, 1);
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void aSynToTheMeshPortPasses(boolean four) {
    assertThat(ingress(in(four, 15_008, Packet.SYN))).isEqualTo(NEXT);
    assertThat(loaded.drops()).isEmpty();
  }

  @ParameterizedTest
  @ValueSource(ints = {15_001, 15_006, 15_053})
  void aSynToAPortOfTheAgentIsRefused(int port) {
    assertThat(ingress(in(true, port, Packet.SYN))).isEqualTo(REDIRECT);
    refused(SELF_PORT, 1);
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void withoutAnAgentASynIsAnsweredByAResetThatItsSenderTakes(boolean four) {
    byte[] syn = in(four, 80, Packet.SYN);
    TestRun run = run(Programs.INGRESS, syn, 0);
    assertThat(run.retval()).isEqualTo(REDIRECT);
    refused(NO_AGENT, 1);

    byte[] reset = run.dataOut();
    assertThat(reset).hasSameSizeAs(syn);
    int addresses = Packet.ETHERNET_BYTES + (four ? 12 : 8);
    int width = four ? 4 : 16;
    int tcp = Packet.ETHERNET_BYTES + (four ? 20 : 40);
    ByteBuffer out = ByteBuffer.wrap(reset);
    assertThat(reset).startsWith(2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1);
    assertThat(Packet.address(reset, addresses, width)).isEqualTo(pod(four));
    assertThat(Packet.address(reset, addresses + width, width)).isEqualTo(other(four));
    assertThat(out.getShort(tcp)).isEqualTo((short) 80);
    assertThat(out.getShort(tcp + 2) & 0xffff).isEqualTo(CLIENT_PORT);
    assertThat(out.getInt(tcp + 4)).isZero();
    assertThat(out.getInt(tcp + 8)).isEqualTo(0x01020305);
    assertThat(out.get(tcp + 13)).isEqualTo((byte) (Packet.RST | Packet.ACK));
    // Options without a meaning, in place of the sender's own.
    assertThat(out.slice(tcp + 20, 8)).isEqualTo(ByteBuffer.wrap(NOPS));
    assertThat(Packet.checks(reset, four)).isTrue();
  }

  @Test
  void aHungAgentIsNoAgent() throws IOException {
    loaded.stopBeating();
    try (ServerSocketChannel _ = listenInbound()) {
      assertThat(ingress(in(true, 80, Packet.SYN))).isEqualTo(REDIRECT);
      refused(NO_AGENT, 1);
    }
  }

  @Test
  void aPodThatAskedForOpenIsReachedPlainWithoutAnAgent() {
    loaded.enrol(netns, POD, Layouts.PodEntry.LOSS_OPEN, POD4, POD6);
    assertThat(ingress(in(true, 80, Packet.SYN))).isEqualTo(NEXT);
    assertThat(loaded.drops()).isEmpty();
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void aSynOfADirectFlowToThisPodPasses(boolean four) {
    flow(four, Layouts.PATH_DIRECT, POD);
    assertThat(ingress(in(four, 80, Packet.SYN))).isEqualTo(NEXT);
    flow(four, Layouts.PATH_JOINED, POD);
    assertThat(ingress(in(four, 80, Packet.SYN))).isEqualTo(NEXT);
    assertThat(loaded.drops()).isEmpty();
  }

  @Test
  void aClientsExclusionOrAnotherPodsFlowOpensNothing() {
    flow(true, Layouts.PATH_EXCLUDED, POD);
    assertThat(ingress(in(true, 80, Packet.SYN))).isEqualTo(REDIRECT);
    flow(true, Layouts.PATH_DIRECT, POD + 1);
    assertThat(ingress(in(true, 80, Packet.SYN))).isEqualTo(REDIRECT);
    refused(NO_AGENT, 2);
  }

  private void flow(boolean four, int path, int destination) {
    Btf btf = new Btf(Programs.object());
    loaded
        .map(Programs.FLOWS)
        .update(
            new Layouts.Tuple(other(four), CLIENT_PORT, pod(four), 80, 0).bytes(),
            btf.empty("weir_flow").with8("path", path).with32("dst_pod", destination).array());
  }

  @Test
  void anExcludedPortIsReachedByAll() {
    loaded.rule(netns, 22, Layouts.PORT_EXCLUDE_INBOUND);
    assertThat(ingress(in(true, 22, Packet.SYN))).isEqualTo(NEXT);
    assertThat(ingress(in(true, 23, Packet.SYN))).isEqualTo(REDIRECT);
  }

  @Test
  void aProbePortIsReachedByTheNodeOnly() {
    loaded.rule(netns, 8081, Layouts.PORT_PROBE);
    assertThat(ingress(in(true, 8081, Packet.SYN))).isEqualTo(REDIRECT);
    loaded
        .map(Programs.ADDRESSES)
        .update(
            Layouts.mapped(OTHER4),
            new Layouts.AddressEntry(0, 0, Layouts.AddressEntry.NODE).bytes());
    assertThat(ingress(in(true, 8081, Packet.SYN))).isEqualTo(NEXT);
    assertThat(ingress(in(true, 8080, Packet.SYN))).isEqualTo(REDIRECT);
    refused(NO_AGENT, 2);
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void aSynThatWentPastTheHooksDoesNotLeaveThePod(boolean four) {
    assertThat(egress(out(four, 80, Packet.SYN), 0)).isEqualTo(DROP);
    refused(ESCAPE, 1);
  }

  @ParameterizedTest
  @ValueSource(ints = {0x539, 0x53a})
  void theAgentsOwnSynsLeave(int mark) {
    assertThat(egress(out(true, 80, Packet.SYN), mark)).isEqualTo(NEXT);
    assertThat(loaded.drops()).isEmpty();
  }

  @Test
  void aSynOfAKnownFlowLeaves() {
    Btf btf = new Btf(Programs.object());
    loaded
        .map(Programs.FLOWS)
        .update(
            new Layouts.Tuple(POD4, CLIENT_PORT, OTHER4, 80, 0).bytes(),
            btf.empty("weir_flow").with8("path", Layouts.PATH_EXCLUDED).array());
    assertThat(egress(out(true, 80, Packet.SYN), 0)).isEqualTo(NEXT);
    assertThat(loaded.drops()).isEmpty();
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void aPodOutsideTheMeshIsLeftAlone(boolean four) {
    loaded.withdraw(netns);
    assertThat(ingress(in(four, 80, Packet.SYN))).isEqualTo(NEXT);
    assertThat(egress(out(four, 80, Packet.SYN), 0)).isEqualTo(NEXT);
    assertThat(loaded.drops()).isEmpty();
  }

  @Test
  void aSynBehindOptionsOrExtensionHeadersIsSeen() {
    byte[] fillers = {1, 1, 1, 0};
    Packet.Head four = new Packet.Head(POD4, OTHER4, 0, 6, fillers);
    assertThat(egress(Packet.tcp(four, CLIENT_PORT, 80, Packet.SYN), 0)).isEqualTo(DROP);
    assertThat(egress(Packet.tcp(four, CLIENT_PORT, 80, Packet.ACK), 0)).isEqualTo(NEXT);
    // A destination options header of 8 bytes, then a hop-by-hop one, then TCP.
    byte[] extensions = {0, 0, 1, 4, 0, 0, 0, 0, 6, 0, 1, 4, 0, 0, 0, 0};
    Packet.Head six = new Packet.Head(POD6, OTHER6, 0, 60, extensions);
    assertThat(egress(Packet.tcp(six, CLIENT_PORT, 80, Packet.SYN), 0)).isEqualTo(DROP);
    assertThat(egress(Packet.tcp(six, CLIENT_PORT, 80, Packet.ACK), 0)).isEqualTo(NEXT);
    refused(ESCAPE, 2);
  }

  @Test
  void aSynInFragmentsIsNoSyn() {
    int more = 0x2000;
    Packet.Head first = new Packet.Head(OTHER4, POD4, more, 6, new byte[0]);
    assertThat(ingress(Packet.tcp(first, CLIENT_PORT, 80, Packet.SYN))).isEqualTo(DROP);
    assertThat(ingress(Packet.tcp(first, CLIENT_PORT, 80, Packet.ACK))).isEqualTo(NEXT);
    // A second fragment at offset 8 would overwrite the flags of the first.
    Packet.Head overlapping = new Packet.Head(OTHER4, POD4, 1, 6, new byte[0]);
    assertThat(ingress(Packet.tcp(overlapping, CLIENT_PORT, 80, Packet.ACK))).isEqualTo(DROP);
    Packet.Head later = new Packet.Head(OTHER4, POD4, 100, 6, new byte[0]);
    assertThat(ingress(Packet.tcp(later, CLIENT_PORT, 80, Packet.SYN))).isEqualTo(NEXT);
    byte[] fragment = {6, 0, 0, 1, 0, 0, 0, 1};
    Packet.Head six = new Packet.Head(OTHER6, POD6, 0, 44, fragment);
    assertThat(ingress(Packet.tcp(six, CLIENT_PORT, 80, Packet.SYN))).isEqualTo(DROP);
    refused(MALFORMED, 3);
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void aSegmentTooShortToJudgeIsDropped(boolean four) {
    byte[] shortTcp = new byte[8];
    byte[] packet = Packet.ip(new Packet.Head(other(four), pod(four)), shortTcp);
    assertThat(ingress(packet)).isEqualTo(DROP);
    refused(MALFORMED, 1);
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void whatIsNotTcpPasses(boolean four) {
    Packet.Head udp = new Packet.Head(other(four), pod(four), 0, 17, new byte[0]);
    assertThat(ingress(Packet.ip(udp, new byte[8]))).isEqualTo(NEXT);
    assertThat(ingress(Packet.ip(udp, new byte[64]))).isEqualTo(NEXT);
    assertThat(egress(Packet.ip(udp, new byte[64]), 0)).isEqualTo(NEXT);
    byte[] arp = new byte[42];
    arp[12] = 0x08;
    arp[13] = 0x06;
    assertThat(ingress(arp)).isEqualTo(NEXT);
    assertThat(loaded.drops()).isEmpty();
  }
}
