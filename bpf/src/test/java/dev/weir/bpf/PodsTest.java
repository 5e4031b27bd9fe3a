package dev.weir.bpf;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assumptions.assumeThat;

import dev.weir.ffi.Fd;
import dev.weir.testing.NeedsKernel;
import java.io.IOException;
import java.net.ConnectException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ProtocolFamily;
import java.net.SocketTimeoutException;
import java.net.StandardProtocolFamily;
import java.nio.ByteBuffer;
import java.nio.channels.DatagramChannel;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The hooks that need real sockets, between two real pods. */
@NeedsKernel
class PodsTest {
  private static final int PORT = 8080;
  private static final int CALLED_FROM = 40_000;
  private static final InetSocketAddress ANY_FROM = new InetSocketAddress(CALLED_FROM);
  private static final int CONNECT_MILLIS = 900;
  private static final int TIME_WAIT = 6;
  private static final int NO_AGENT = 1;
  private static final int NO_ENDPOINT = 2;
  private static final int ESCAPE = 3;
  private static final int SELF_PORT = 8;
  private static final int DNS_NO_AGENT = 9;
  private static final int SO_PEERNAME = 28;
  private static final InetAddress SERVICE4 = InetAddress.ofLiteral("10.96.0.7");
  private static final InetAddress SERVICE6 = InetAddress.ofLiteral("fd00:96::7");

  private final TestPods pods = new TestPods();

  @AfterEach
  void remove() throws IOException {
    pods.close();
  }

  /** Family of the socket, and an address to ask for: v4, v6, and v4 by a v6 socket. */
  static List<Arguments> ways() {
    return List.of(
        Arguments.of(StandardProtocolFamily.INET, TestPods.SERVER4),
        Arguments.of(StandardProtocolFamily.INET6, TestPods.SERVER6),
        Arguments.of(StandardProtocolFamily.INET6, TestPods.SERVER4));
  }

  static List<Arguments> serviceWays() {
    return List.of(
        Arguments.of(StandardProtocolFamily.INET, SERVICE4, TestPods.SERVER4),
        Arguments.of(StandardProtocolFamily.INET6, SERVICE6, TestPods.SERVER6),
        Arguments.of(StandardProtocolFamily.INET6, SERVICE4, TestPods.SERVER4));
  }

  private ServerSocketChannel clientsAgent(InetAddress asked) {
    return pods.agentOutbound(
        pods.client, asked.getAddress().length == 4 ? TestPods.LOOPBACK4 : TestPods.LOOPBACK6);
  }

  private Layouts.OriginalEntry original(SocketChannel accepted) throws IOException {
    InetSocketAddress peer = (InetSocketAddress) accepted.getRemoteAddress();
    byte[] value =
        pods.loaded
            .map(Programs.ORIGINALS)
            .lookup(Layouts.originalKey(Loaded.KERNEL.namespaces().cookie(pods.client), peer));
    assertThat(value).as("original of %s", peer).isNotNull();
    return Layouts.OriginalEntry.of(value == null ? new byte[0] : value);
  }

  private void refused(int pod, int reason, long count) {
    assertThat(pods.loaded.drops()).isEqualTo(Map.of(new Layouts.DropKey(pod, reason), count));
  }

  private static void echo(SocketChannel from, SocketChannel to, String text) throws IOException {
    from.write(ByteBuffer.wrap(text.getBytes(UTF_8)));
    assertThat(new String(to.socket().getInputStream().readNBytes(text.length()), UTF_8))
        .isEqualTo(text);
  }

  private InetSocketAddress peerName(SocketChannel socket, ProtocolFamily family)
      throws IOException {
    int port = ((InetSocketAddress) socket.getLocalAddress()).getPort();
    // sockaddr_in or sockaddr_in6; the kernel wants to be asked for exactly that many bytes.
    boolean four = family == StandardProtocolFamily.INET;
    byte[] name = TestPods.option(TestPods.socket(pods.client, port), SO_PEERNAME, four ? 16 : 28);
    ByteBuffer bytes = ByteBuffer.wrap(name);
    int peer = bytes.getShort(2) & 0xffff;
    byte[] address = four ? Arrays.copyOfRange(name, 4, 8) : Arrays.copyOfRange(name, 8, 24);
    return new InetSocketAddress(InetAddress.getByAddress(address), peer);
  }

  @ParameterizedTest
  @MethodSource("ways")
  void aConnectionGoesToTheAgentWhichLearnsWhatWasAsked(ProtocolFamily family, InetAddress asked)
      throws IOException {
    ServerSocketChannel outbound = clientsAgent(asked);
    pods.enrolClient(0);
    SocketChannel socket = pods.connect(pods.client, family, asked, PORT);
    SocketChannel accepted = pods.accept(outbound);
    InetSocketAddress wanted = new InetSocketAddress(asked, PORT);
    assertThat(original(accepted))
        .isEqualTo(new Layouts.OriginalEntry(wanted, wanted, 0, TestPods.CLIENT));
    assertThat(peerName(socket, family)).isEqualTo(wanted);
    echo(socket, accepted, "to the agent");
    echo(accepted, socket, "and back");
    assertThat(pods.loaded.drops()).isEmpty();
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void whoHasBoundAnAddressMayHaveThePortOfWhoHasNot(boolean four) throws IOException {
    InetAddress server = four ? TestPods.SERVER4 : TestPods.SERVER6;
    InetAddress own = four ? TestPods.CLIENT4 : TestPods.CLIENT6;
    InetAddress loopback = four ? TestPods.LOOPBACK4 : TestPods.LOOPBACK6;
    ServerSocketChannel outbound = clientsAgent(server);
    pods.enrolClient(0);
    for (InetAddress from : List.of(own, loopback)) {
      InetSocketAddress bound = new InetSocketAddress(from, CALLED_FROM);
      pods.connectFrom(bound, pods.client, server, from.equals(own) ? 81 : 82, CONNECT_MILLIS);
    }
    for (int accepted = 0; accepted < 2; accepted++) {
      SocketChannel each = pods.accept(outbound);
      InetAddress from = ((InetSocketAddress) each.getRemoteAddress()).getAddress();
      assertThat(original(each).asked().getPort())
          .as("from %s", from)
          .isEqualTo(from.equals(own) ? 81 : 82);
    }
  }

  @ParameterizedTest
  @MethodSource("ways")
  void aVerdictMakesItDirect(ProtocolFamily family, InetAddress asked) throws IOException {
    ServerSocketChannel listener = pods.listen(pods.server, asked, PORT);
    clientsAgent(asked);
    pods.agentInbound(pods.server);
    pods.enrolClient(0).enrolServer(0);
    pods.loaded.allow(TestPods.CLIENT, TestPods.SERVER, PORT, true);
    SocketChannel socket = pods.connect(pods.client, family, asked, PORT);
    SocketChannel accepted = pods.accept(listener);
    assertThat(((InetSocketAddress) accepted.getRemoteAddress()).getAddress())
        .isEqualTo(asked.getAddress().length == 4 ? TestPods.CLIENT4 : TestPods.CLIENT6);
    echo(socket, accepted, "direct");
    Layouts.Flow flow = onlyFlow();
    assertThat(flow.path()).isEqualTo(Layouts.PATH_DIRECT);
    assertThat(flow.sourcePod()).isEqualTo(TestPods.CLIENT);
    assertThat(flow.destinationPod()).isEqualTo(TestPods.SERVER);
    assertThat(flow.establishedNanos()).isGreaterThanOrEqualTo(flow.openedNanos());
    assertThat(pods.loaded.drops()).isEmpty();
  }

  @Test
  void aDirectConnectionIsNotPacedUnlessItsProgramChoseTo() throws IOException {
    Path known = Path.of("/proc/sys/net/ipv4/tcp_available_congestion_control");
    assumeThat(Files.readString(known)).as("this kernel has BBR loaded").contains("bbr");
    for (Fd netns : List.of(pods.client, pods.server)) {
      TestPods.within(
          netns,
          () -> Files.writeString(Path.of("/proc/sys/net/ipv4/tcp_congestion_control"), "bbr"));
    }
    ServerSocketChannel listener = pods.listen(pods.server, TestPods.SERVER4, PORT);
    clientsAgent(TestPods.SERVER4);
    pods.agentInbound(pods.server);
    SocketChannel outside = pods.connect(pods.client, TestPods.SERVER4, PORT);
    assertThat(TestPods.congestion(TestPods.socket(pods.client, portOf(outside)))).isEqualTo("bbr");
    pods.accept(listener);
    pods.enrolClient(0).enrolServer(0);
    pods.loaded.allow(TestPods.CLIENT, TestPods.SERVER, PORT, true);
    SocketChannel socket = pods.connect(pods.client, TestPods.SERVER4, PORT);
    pods.accept(listener);
    int port = portOf(socket);
    assertThat(TestPods.congestion(TestPods.socket(pods.client, port))).isEqualTo("reno");
    assertThat(TestPods.congestion(TestPods.socketFrom(pods.server, port))).isEqualTo("reno");
    try (Fd chosen = pods.connectWith("bbr", pods.client, TestPods.SERVER4, PORT)) {
      assertThat(TestPods.congestion(chosen)).isEqualTo("bbr");
    }
  }

  private static int portOf(SocketChannel socket) throws IOException {
    return ((InetSocketAddress) socket.getLocalAddress()).getPort();
  }

  private Layouts.Flow onlyFlow() {
    List<Layouts.Flow> flows = new ArrayList<>();
    pods.loaded.map(Programs.FLOWS).forEach((_, value) -> flows.add(Layouts.Flow.of(value)));
    assertThat(flows).hasSize(1);
    return flows.getFirst();
  }

  @Test
  void aPodThatIsOffGoesThroughTheAgentInSpiteOfAVerdict() throws IOException {
    ServerSocketChannel outbound = clientsAgent(TestPods.SERVER4);
    pods.enrolClient(0).enrolServer(Layouts.PodEntry.OFF);
    pods.loaded.allow(TestPods.CLIENT, TestPods.SERVER, PORT, true);
    pods.connect(pods.client, TestPods.SERVER4, PORT);
    assertThat(original(pods.accept(outbound)).asked())
        .isEqualTo(new InetSocketAddress(TestPods.SERVER4, PORT));
  }

  @ParameterizedTest
  @MethodSource("serviceWays")
  void aServiceIsResolvedBeforeTheSyn(
      ProtocolFamily family, InetAddress service, InetAddress endpoint) throws IOException {
    ServerSocketChannel listener = pods.listen(pods.server, endpoint, PORT);
    ServerSocketChannel outbound = clientsAgent(service);
    pods.agentInbound(pods.server);
    pods.enrolClient(0).enrolServer(0);
    pods.loaded.service(9, service, 80, endpoint, PORT);

    pods.connect(pods.client, family, service, 80);
    assertThat(original(pods.accept(outbound)))
        .isEqualTo(
            new Layouts.OriginalEntry(
                new InetSocketAddress(service, 80),
                new InetSocketAddress(endpoint, PORT),
                9,
                TestPods.CLIENT));

    pods.loaded.allow(TestPods.CLIENT, TestPods.SERVER, PORT, false);
    SocketChannel direct = pods.connect(pods.client, family, service, 80);
    echo(direct, pods.accept(listener), "by name");
    assertThat(peerName(direct, family)).isEqualTo(new InetSocketAddress(service, 80));
    Layouts.Flow flow = onlyFlow();
    assertThat(flow.service()).isEqualTo(9);
    assertThat(flow.asked()).isEqualTo(service);
    assertThat(flow.askedPort()).isEqualTo(80);
  }

  @Test
  void aServiceWithoutEndpointsIsRefusedAtOnce() {
    clientsAgent(SERVICE4);
    pods.enrolClient(0);
    pods.loaded.service(9, SERVICE4, 80, null, 0);
    assertThatThrownBy(() -> pods.connect(pods.client, SERVICE4, 80))
        .isInstanceOf(ConnectException.class)
        .hasMessageContaining("refused");
    refused(TestPods.CLIENT, NO_ENDPOINT, 1);
  }

  @Test
  void aPodReachesItselfAndItselfByItsService() throws IOException {
    ServerSocketChannel listener = pods.listen(pods.client, TestPods.CLIENT4, PORT);
    clientsAgent(TestPods.CLIENT4);
    pods.enrolClient(0);
    echo(pods.connect(pods.client, TestPods.CLIENT4, PORT), pods.accept(listener), "itself");
    pods.loaded.service(9, SERVICE4, 80, TestPods.CLIENT4, PORT);
    SocketChannel socket = pods.connect(pods.client, SERVICE4, 80);
    echo(socket, pods.accept(listener), "by its Service");
    assertThat(peerName(socket, StandardProtocolFamily.INET))
        .isEqualTo(new InetSocketAddress(SERVICE4, 80));
    assertThat(pods.loaded.drops()).isEmpty();
  }

  @ParameterizedTest
  @ValueSource(ints = {15_001, 15_006})
  void aPodDoesNotCallTheAgentsPorts(int port) {
    clientsAgent(TestPods.CLIENT4);
    pods.enrolClient(0);
    assertThatThrownBy(() -> pods.connect(pods.client, TestPods.LOOPBACK4, port))
        .isInstanceOf(ConnectException.class);
    refused(TestPods.CLIENT, SELF_PORT, 1);
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void whatComesFromOutsideTheMeshGoesToTheInboundListener(boolean four) throws IOException {
    InetAddress address = four ? TestPods.SERVER4 : TestPods.SERVER6;
    ServerSocketChannel program = pods.listen(pods.server, address, PORT);
    ServerSocketChannel inbound = pods.agentInbound(pods.server);
    pods.enrolServer(0);
    SocketChannel socket = pods.connect(pods.client, address, PORT);
    SocketChannel accepted = pods.accept(inbound);
    assertThat(accepted.getLocalAddress()).isEqualTo(new InetSocketAddress(address, PORT));
    assertThat(((InetSocketAddress) accepted.getRemoteAddress()).getAddress())
        .isEqualTo(four ? TestPods.CLIENT4 : TestPods.CLIENT6);
    echo(socket, accepted, "inbound");
    echo(accepted, socket, "and back");
    program.configureBlocking(false);
    assertThat(program.accept()).isNull();
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void aPortIsCalledFromAgainThoughItsLastConnectionRestsThere(boolean four) throws IOException {
    InetAddress address = four ? TestPods.SERVER4 : TestPods.SERVER6;
    ServerSocketChannel program = pods.listen(pods.server, address, PORT);
    ServerSocketChannel inbound = pods.agentInbound(pods.server);
    pods.enrolServer(0);
    for (int time = 0; time < 3; time++) {
      SocketChannel socket = pods.connectFrom(ANY_FROM, pods.client, address, PORT, CONNECT_MILLIS);
      restAtTheServer(socket, pods.accept(inbound));
    }
    program.configureBlocking(false);
    assertThat(program.accept()).isNull();
    assertThat(pods.loaded.drops()).isEmpty();
  }

  /** Without TIME-WAIT assassination nothing ends what rests, and nothing may be sent round. */
  @Test
  void whatCannotBeEndedIsWaitedForWithoutAStormOfCopies() throws IOException {
    ServerSocketChannel inbound = pods.agentInbound(pods.server);
    pods.enrolServer(0);
    TestPods.within(
        pods.server, () -> Files.writeString(Path.of("/proc/sys/net/ipv4/tcp_rfc1337"), "1"));
    SocketChannel socket =
        pods.connectFrom(ANY_FROM, pods.client, TestPods.SERVER4, PORT, CONNECT_MILLIS);
    restAtTheServer(socket, pods.accept(inbound));
    long before = received(pods.server);
    assertThatThrownBy(() -> pods.connectFrom(ANY_FROM, pods.client, TestPods.SERVER4, PORT, 1_500))
        .isInstanceOf(SocketTimeoutException.class);
    // Two SYNs, each with one copy, and what neighbours say.
    assertThat(received(pods.server) - before).isBetween(2L, 20L);
  }

  /** The server's side ends it first, and keeps it in TIME-WAIT. */
  private void restAtTheServer(SocketChannel socket, SocketChannel accepted) throws IOException {
    echo(socket, accepted, "there");
    echo(accepted, socket, "and back");
    accepted.close();
    assertThat(socket.read(ByteBuffer.allocate(1))).isEqualTo(-1);
    socket.close();
    TestPods.await(
        "the connection rests",
        () ->
            TestPods.within(pods.server, () -> Loaded.KERNEL.netlink().tcpSockets()).stream()
                .anyMatch(one -> one.remotePort() == CALLED_FROM && one.state() == TIME_WAIT));
  }

  private static final Pattern RECEIVED = Pattern.compile("eth0: *\\d+ +(\\d+)");

  /** Packets that its eth0 has had. */
  private static long received(Fd netns) {
    String devices =
        TestPods.within(netns, () -> Files.readString(Path.of("/proc/thread-self/net/dev")));
    Matcher found = RECEIVED.matcher(devices);
    assertThat(found.find()).as(devices).isTrue();
    return Long.parseLong(found.group(1));
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void withNoAgentAClosedPodIsRefusedBothWays(boolean four) throws IOException {
    InetAddress server = four ? TestPods.SERVER4 : TestPods.SERVER6;
    InetAddress client = four ? TestPods.CLIENT4 : TestPods.CLIENT6;
    pods.listen(pods.server, server, PORT);
    pods.listen(pods.client, client, PORT);
    clientsAgent(server);
    pods.agentInbound(pods.client);
    pods.enrolClient(0);
    pods.killAgent();
    assertThatThrownBy(() -> pods.connect(pods.client, server, PORT))
        .isInstanceOf(ConnectException.class)
        .hasMessageContaining("refused");
    refused(TestPods.CLIENT, NO_AGENT, 1);
    // The answer is a reset made by the ingress program: at once, not after a timeout.
    long start = System.nanoTime();
    assertThatThrownBy(() -> pods.connect(pods.server, client, PORT))
        .isInstanceOf(ConnectException.class)
        .hasMessageContaining("refused");
    assertThat(Duration.ofNanos(System.nanoTime() - start)).isLessThan(Duration.ofMillis(900));
    refused(TestPods.CLIENT, NO_AGENT, 2);
  }

  @Test
  void withNoAgentAnOpenPodGoesPlainBothWays() throws IOException {
    ServerSocketChannel there = pods.listen(pods.server, TestPods.SERVER4, PORT);
    ServerSocketChannel here = pods.listen(pods.client, TestPods.CLIENT4, PORT);
    pods.enrolClient(Layouts.PodEntry.LOSS_OPEN);
    echo(pods.connect(pods.client, TestPods.SERVER4, PORT), pods.accept(there), "out");
    assertThat(onlyFlow().path()).isEqualTo(Layouts.PATH_OPEN);
    echo(pods.connect(pods.server, TestPods.CLIENT4, PORT), pods.accept(here), "in");
    assertThat(pods.loaded.drops()).isEmpty();
  }

  @Test
  void excludedPortsAndNetworksAreNotCaptured() throws IOException {
    ServerSocketChannel listener = pods.listen(pods.server, TestPods.SERVER4, PORT);
    ServerSocketChannel six = pods.listen(pods.server, TestPods.SERVER6, PORT);
    clientsAgent(TestPods.SERVER4);
    pods.enrolClient(Layouts.PodEntry.PORT_RULES | Layouts.PodEntry.CIDR_RULES);
    pods.loaded.rule(pods.client, PORT, Layouts.PORT_EXCLUDE_OUTBOUND);
    echo(pods.connect(pods.client, TestPods.SERVER4, PORT), pods.accept(listener), "by port");
    pods.loaded
        .map(Programs.PORTS)
        .delete(
            Layouts.portKey(
                Loaded.KERNEL.namespaces().cookie(pods.client),
                PORT,
                Layouts.PORT_EXCLUDE_OUTBOUND));
    long cookie = Loaded.KERNEL.namespaces().cookie(pods.client);
    pods.loaded
        .map(Programs.CIDRS)
        .update(Layouts.cidrKey(cookie, InetAddress.ofLiteral("10.98.0.0"), 24), new byte[] {1});
    pods.loaded
        .map(Programs.CIDRS)
        .update(Layouts.cidrKey(cookie, InetAddress.ofLiteral("fd98::"), 64), new byte[] {1});
    echo(pods.connect(pods.client, TestPods.SERVER4, PORT), pods.accept(listener), "by network");
    echo(pods.connect(pods.client, TestPods.SERVER6, PORT), pods.accept(six), "of both families");
  }

  @Test
  void aSocketThatTheHooksDidNotSeeDoesNotLeave() throws IOException {
    clientsAgent(TestPods.SERVER4);
    // A full queue ignores a SYN, so that it is sent again a second later, by then from an enrolled
    // pod.
    List<SocketChannel> waiting = new ArrayList<>();
    try (ServerSocketChannel full =
        TestPods.within(
            pods.server,
            () ->
                ServerSocketChannel.open(StandardProtocolFamily.INET)
                    .bind(new InetSocketAddress(TestPods.SERVER4, PORT), 1))) {
      for (int i = 0; i < 4; i++) {
        SocketChannel socket =
            TestPods.within(pods.client, () -> SocketChannel.open(StandardProtocolFamily.INET));
        waiting.add(socket);
        socket.configureBlocking(false);
        assertThat(socket.connect(full.getLocalAddress())).isFalse();
      }
      pods.enrolClient(0);
      TestPods.await(
          "a SYN is dropped and counted",
          () -> pods.loaded.drops().containsKey(new Layouts.DropKey(TestPods.CLIENT, ESCAPE)));
    } finally {
      for (SocketChannel each : waiting) {
        each.close();
      }
    }
  }

  static List<Arguments> dnsWays() {
    return List.of(
        Arguments.of(StandardProtocolFamily.INET, InetAddress.ofLiteral("10.96.0.10")),
        Arguments.of(StandardProtocolFamily.INET6, InetAddress.ofLiteral("fd00:96::10")),
        Arguments.of(StandardProtocolFamily.INET6, InetAddress.ofLiteral("10.96.0.10")));
  }

  private DatagramChannel clientsDns(InetAddress asked) {
    return pods.agentDns(
        pods.client, asked.getAddress().length == 4 ? TestPods.LOOPBACK4 : TestPods.LOOPBACK6);
  }

  private static void answer(DatagramChannel dns) throws IOException {
    ByteBuffer question = ByteBuffer.allocate(64);
    InetSocketAddress from = (InetSocketAddress) dns.receive(question);
    dns.send(ByteBuffer.wrap("answer".getBytes(UTF_8)), from);
  }

  @ParameterizedTest
  @MethodSource("dnsWays")
  void aQuestionWithoutConnectIsAnsweredUnderTheServersAddress(
      ProtocolFamily family, InetAddress server) throws IOException {
    DatagramChannel dns = clientsDns(server);
    pods.enrolClient(Layouts.PodEntry.DNS);
    DatagramChannel asking = pods.datagrams(pods.client, family);
    asking.send(ByteBuffer.wrap("question".getBytes(UTF_8)), new InetSocketAddress(server, 53));
    answer(dns);
    ByteBuffer answer = ByteBuffer.allocate(64);
    assertThat(asking.receive(answer)).isEqualTo(new InetSocketAddress(server, 53));
    assertThat(answer.position()).isEqualTo(6);
  }

  @ParameterizedTest
  @MethodSource("dnsWays")
  void aConnectedQuestionIsAnsweredToo(ProtocolFamily family, InetAddress server)
      throws IOException {
    DatagramChannel dns = clientsDns(server);
    pods.enrolClient(Layouts.PodEntry.DNS);
    DatagramChannel asking = pods.datagrams(pods.client, family);
    asking.connect(new InetSocketAddress(server, 53));
    asking.write(ByteBuffer.wrap("question".getBytes(UTF_8)));
    answer(dns);
    ByteBuffer answer = ByteBuffer.allocate(64);
    assertThat(asking.read(answer)).isEqualTo(6);
  }

  @Test
  void dnsOverTcpGoesToItsListenerAndOtherDatagramsGoTheirWay() throws IOException {
    ServerSocketChannel dns = pods.listen(pods.client, TestPods.LOOPBACK4, 15_053);
    clientsAgent(TestPods.SERVER4);
    pods.enrolClient(Layouts.PodEntry.DNS);
    echo(
        pods.connect(pods.client, InetAddress.ofLiteral("10.96.0.10"), 53),
        pods.accept(dns),
        "by TCP");
    DatagramChannel there = pods.datagrams(pods.server, StandardProtocolFamily.INET);
    there.bind(new InetSocketAddress(TestPods.SERVER4, 5_353));
    DatagramChannel here = pods.datagrams(pods.client, StandardProtocolFamily.INET);
    here.send(ByteBuffer.allocate(3), new InetSocketAddress(TestPods.SERVER4, 5_353));
    ByteBuffer got = ByteBuffer.allocate(9);
    assertThat(((InetSocketAddress) there.receive(got)).getAddress()).isEqualTo(TestPods.CLIENT4);
  }

  @Test
  void withNoAgentAQuestionIsRefused() throws IOException {
    pods.enrolClient(Layouts.PodEntry.DNS);
    DatagramChannel asking = pods.datagrams(pods.client, StandardProtocolFamily.INET);
    // Java says nothing of a refused datagram; the kernel counts it.
    asking.send(ByteBuffer.allocate(3), new InetSocketAddress(TestPods.SERVER4, 53));
    refused(TestPods.CLIENT, DNS_NO_AGENT, 1);
  }

  @Test
  void aClosedFlowIsAccountedToTheByteAndGone() throws IOException {
    ServerSocketChannel listener = pods.listen(pods.server, TestPods.SERVER4, PORT);
    clientsAgent(TestPods.SERVER4);
    pods.enrolClient(0).enrolServer(0);
    pods.loaded.allow(TestPods.CLIENT, TestPods.SERVER, PORT, false);
    List<Layouts.Event> events = new ArrayList<>();
    try (var ring =
        Loaded.KERNEL
            .bpf()
            .ringBuffer(
                pods.loaded.map(Programs.EVENTS), one -> events.add(Layouts.Event.of(one)))) {
      SocketChannel socket = pods.connect(pods.client, TestPods.SERVER4, PORT);
      SocketChannel accepted = pods.accept(listener);
      echo(socket, accepted, "twelve bytes");
      echo(accepted, socket, "five.");
      accepted.shutdownOutput();
      assertThat(socket.read(ByteBuffer.allocate(1))).isEqualTo(-1);
      socket.close();
      accepted.close();
      TestPods.await(
          "the flow is reported as closed",
          () -> {
            ring.poll(Duration.ofMillis(10));
            return !events.isEmpty();
          });
      assertThat(events)
          .singleElement()
          .satisfies(event -> {
            assertThat(event.kind()).isEqualTo(Layouts.Event.CLOSED);
            assertThat(event.sent()).isEqualTo(12);
            assertThat(event.received()).isEqualTo(5);
          });
      List<byte[]> left = new ArrayList<>();
      pods.loaded.map(Programs.FLOWS).forEach((key, _) -> left.add(key));
      assertThat(left).isEmpty();
    }
  }
}
