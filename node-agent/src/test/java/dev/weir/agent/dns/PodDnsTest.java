package dev.weir.agent.dns;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.awaitility.Awaitility.await;

import dev.weir.agent.capture.Pod;
import dev.weir.agent.capture.TestPods;
import dev.weir.agent.config.MeshView;
import dev.weir.agent.config.Meshes;
import dev.weir.agent.log.Level;
import dev.weir.agent.log.Logs;
import dev.weir.agent.metrics.Exposition;
import dev.weir.agent.telemetry.Refusal;
import dev.weir.api.dns.Dns;
import dev.weir.api.dns.DnsAnswer;
import dev.weir.api.dns.DnsQuery;
import dev.weir.api.dns.DnsQuestion;
import dev.weir.api.dns.DnsRecord;
import dev.weir.api.dns.DnsReply;
import dev.weir.api.model.PodSettings;
import io.netty.channel.ChannelHandler;
import io.netty.channel.EventLoop;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.MultiThreadIoEventLoopGroup;
import io.netty.channel.nio.NioIoHandler;
import io.netty.channel.socket.DatagramChannel;
import io.netty.channel.socket.ServerSocketChannel;
import io.netty.channel.socket.SocketProtocolFamily;
import io.netty.channel.socket.nio.NioDatagramChannel;
import io.netty.channel.socket.nio.NioServerSocketChannel;
import io.netty.channel.socket.nio.NioSocketChannel;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.net.DatagramPacket;
import java.net.DatagramSocket;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.net.SocketTimeoutException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class PodDnsTest {
  private static final InetAddress LOOPBACK = InetAddress.ofLiteral("127.0.0.1");

  private final EventLoopGroup loops =
      new MultiThreadIoEventLoopGroup(
          1, Thread.ofPlatform().daemon().name("dns-test").factory(), NioIoHandler.newFactory());
  private final Map<Refusal, Integer> refusals = new ConcurrentHashMap<>();
  private final FakeServer upstream = new FakeServer();
  private final MeshView view =
      MeshView.of(
          List.of(
              Meshes.service("web", "10.96.0.7"),
              Meshes.service("db"),
              Meshes.externalName("out", "www.example.com")),
          List.of(
              Meshes.pod(
                  "db-0", "db", "db-0.db.shop.svc.cluster.local", List.of("10.244.1.5"), "db"),
              Meshes.pod(
                  "db-1", "db", "db-1.db.shop.svc.cluster.local", List.of("10.244.1.6"), "db")));
  private final PodDns dns = dns(List.of(upstream.address()));
  private final PodDns.Serving serving = dns.serve(pod(), new LocalSockets());

  @AfterEach
  void giveBack() throws Exception {
    serving.close();
    upstream.close();
    loops.shutdownGracefully(0, 1, TimeUnit.SECONDS).await(10, TimeUnit.SECONDS);
  }

  @Test
  void aServiceIsAnsweredFromTheMeshOverUdpAndTcp() throws Exception {
    DnsReply udp =
        DnsReply.parse(udp(DnsQuery.encode(1, question("web.shop.svc.cluster.local", Dns.A))));
    DnsReply tcp =
        DnsReply.parse(tcp(DnsQuery.encode(2, question("web.shop.svc.cluster.local", Dns.A))));
    assertThat(udp.answers())
        .containsExactly(address("web.shop.svc.cluster.local", "10.96.0.7"))
        .isEqualTo(tcp.answers());
    assertThat(List.of(udp.id(), tcp.id())).containsExactly(1, 2);
    assertThat(upstream.asked()).isEmpty();
  }

  @Test
  void aHeadlessServiceIsItsPodsInAnyOrderAndPodsHaveNames() throws Exception {
    Set<DnsRecord> first = new HashSet<>();
    for (int i = 0; i < 40; i++) {
      DnsReply reply =
          DnsReply.parse(udp(DnsQuery.encode(i, question("db.shop.svc.cluster.local", Dns.A))));
      assertThat(reply.answers()).hasSize(2);
      first.add(reply.answers().getFirst());
    }
    assertThat(first).hasSize(2);
    assertThat(
            DnsReply.parse(
                    udp(DnsQuery.encode(1, question("db-1.db.shop.svc.cluster.local", Dns.A))))
                .answers())
        .containsExactly(address("db-1.db.shop.svc.cluster.local", "10.244.1.6"));
    assertThat(
            DnsReply.parse(
                    udp(
                        DnsQuery.encode(
                            1, question("_http._tcp.db.shop.svc.cluster.local", Dns.SRV))))
                .answers())
        .hasSize(2);
  }

  @Test
  void whatTheMeshDoesNotKnowIsForwardedUnderAnotherIdAndComesBackUnderItsOwn() throws Exception {
    upstream.answers(query ->
        DnsAnswer.of(List.of(address(query.question().name(), "192.0.2.1"))).encode(query, 1232));
    DnsReply reply = DnsReply.parse(udp(DnsQuery.encode(4711, question("www.example.com", Dns.A))));
    assertThat(reply.id()).isEqualTo(4711);
    assertThat(reply.answers()).containsExactly(address("www.example.com", "192.0.2.1"));
    Set<Integer> ids = new HashSet<>();
    for (int i = 0; i < 8; i++) {
      udp(DnsQuery.encode(4711, question("www.example.com", Dns.A)));
    }
    upstream.asked().forEach(query -> ids.add(query.id()));
    assertThat(ids).hasSizeGreaterThan(6);
  }

  @Test
  void anExternalNameIsChasedUpstream() throws Exception {
    upstream.answers(query ->
        DnsAnswer.of(List.of(address(query.question().name(), "192.0.2.1"))).encode(query, 1232));
    assertThat(
            DnsReply.parse(udp(DnsQuery.encode(1, question("out.shop.svc.cluster.local", Dns.A))))
                .answers())
        .containsExactly(
            new DnsRecord.Alias("out.shop.svc.cluster.local", 5, "www.example.com"),
            address("www.example.com", "192.0.2.1"));
  }

  @Test
  void anAnswerThatIsCutOffIsFetchedWholeForWhoAskedOverTcp() throws Exception {
    List<DnsRecord> many = new ArrayList<>();
    for (int i = 0; i < 300; i++) {
      many.add(address("big.example.com", "192.0." + i / 256 + "." + i % 256));
    }
    upstream.answers(query -> DnsAnswer.of(many).encode(query, 512));
    upstream.answersTcp(query -> DnsAnswer.of(many).encode(query, Dns.MAX_TCP_BYTES));
    assertThat(
            DnsReply.parse(udp(DnsQuery.encode(1, question("big.example.com", Dns.A)))).truncated())
        .isTrue();
    assertThat(
            DnsReply.parse(tcp(DnsQuery.encode(1, question("big.example.com", Dns.A)))).answers())
        .hasSize(300);
  }

  @Test
  void aForgedAnswerChangesNothing() throws Exception {
    upstream.answers(query -> {
      byte[] forged =
          DnsAnswer.of(List.of(address("evil.example.com", "203.0.113.66")))
              .encode(asked("evil.example.com", query.id()), 512);
      byte[] wrongId =
          DnsAnswer.of(List.of(address("www.example.com", "203.0.113.66")))
              .encode(asked("www.example.com", query.id() + 1), 512);
      upstream.alsoSend(forged, wrongId);
      return DnsAnswer.of(List.of(address("www.example.com", "192.0.2.1"))).encode(query, 512);
    });
    assertThat(
            DnsReply.parse(udp(DnsQuery.encode(1, question("www.example.com", Dns.A)))).answers())
        .containsExactly(address("www.example.com", "192.0.2.1"));
    Exposition metrics = new Exposition();
    dns.write(metrics);
    assertThat(metrics.toString()).contains("weir_dns_upstream_mismatches_total 2");
  }

  @Test
  void aSilentServerIsPassedOverAndInTheEndTheClientIsTold() throws Exception {
    try (FakeServer silent = new FakeServer()) {
      PodDns.Serving both =
          dns(List.of(silent.address(), upstream.address())).serve(pod(), new LocalSockets());
      upstream.answers(query ->
          DnsAnswer.of(List.of(address(query.question().name(), "192.0.2.1"))).encode(query, 512));
      assertThat(
              DnsReply.parse(udp(both, DnsQuery.encode(1, question("www.example.com", Dns.A))))
                  .answers())
          .hasSize(1);
      // The one that answered is asked first from now on.
      long before = System.nanoTime();
      udp(both, DnsQuery.encode(1, question("www.example.com", Dns.A)));
      assertThat(System.nanoTime() - before).isLessThan(TimeUnit.SECONDS.toNanos(2));
      both.close();
      PodDns.Serving none = dns(List.of(silent.address())).serve(pod(), new LocalSockets());
      assertThat(
              DnsReply.parse(udp(none, DnsQuery.encode(1, question("www.example.com", Dns.A))))
                  .rcode())
          .isEqualTo(Dns.SERVFAIL);
      none.close();
    }
  }

  @Test
  void tooManyQuestionsOnTheirWayAreRefusedAndCounted() throws Exception {
    try (DatagramSocket client = new DatagramSocket()) {
      client.connect(serverAddress(serving, "udp"));
      client.setSoTimeout(10_000);
      byte[] message = DnsQuery.encode(1, question("www.example.com", Dns.A));
      for (int i = 0; i <= Upstream.MAX_IN_FLIGHT; i++) {
        client.send(new DatagramPacket(message, message.length));
        if (i % 32 == 31) {
          int sent = i + 1;
          await()
              .until(() -> upstream.asked().size() >= Math.min(sent, Upstream.MAX_IN_FLIGHT) - 16);
        }
      }
      await().until(() -> refusals.getOrDefault(Refusal.DNS_OVERLOAD, 0) > 0);
      assertThat(DnsReply.parse(received(client)).rcode()).isEqualTo(Dns.SERVFAIL);
    }
  }

  @Test
  void manyQuestionsInOneTcpConnectionAreAllAnswered() throws Exception {
    try (Socket socket = connected()) {
      DataOutputStream out = new DataOutputStream(socket.getOutputStream());
      DataInputStream in = new DataInputStream(socket.getInputStream());
      for (int i = 0; i < 200; i++) {
        byte[] message = DnsQuery.encode(i, question("web.shop.svc.cluster.local", Dns.A));
        out.writeShort(message.length);
        out.write(message);
      }
      out.flush();
      Set<Integer> ids = new HashSet<>();
      for (int i = 0; i < 200; i++) {
        ids.add(DnsReply.parse(in.readNBytes(in.readUnsignedShort())).id());
      }
      assertThat(ids).hasSize(200);
    }
  }

  @Test
  void garbageIsAnsweredWithNoMoreThanItBringsOrNotAtAllAndTheNextQuestionIsAnswered()
      throws Exception {
    SplittableRandom random = new SplittableRandom(42);
    try (DatagramSocket client = new DatagramSocket()) {
      client.connect(serverAddress(serving, "udp"));
      client.setSoTimeout(1);
      for (int i = 0; i < 2_000; i++) {
        byte[] noise = new byte[random.nextInt(200)];
        random.nextBytes(noise);
        if (noise.length > 3) {
          // Half of them a query of QDCOUNT 1, so that the parser gets past the header.
          noise[2] &= 1;
        }
        client.send(new DatagramPacket(noise, noise.length));
        assertThat(answerLength(client)).isLessThanOrEqualTo(Math.max(12, noise.length + 11));
      }
    }
    assertThat(refusals.get(Refusal.DNS_MALFORMED)).isPositive();
    assertThat(
            DnsReply.parse(udp(DnsQuery.encode(9, question("web.shop.svc.cluster.local", Dns.A))))
                .answers())
        .hasSize(1);
    try (Socket socket = connected()) {
      socket.getOutputStream().write(new byte[] {(byte) 0xff, (byte) 0xff, 1, 2, 3});
      assertThat(socket.getInputStream().read()).isEqualTo(-1);
    }
  }

  @Test
  void upstreamsAreReadFromTheFlagAndFromResolvConf() throws Exception {
    assertThat(Upstreams.parse("10.96.0.10,[fd00::a]:5353,fd00::b"))
        .extracting(InetSocketAddress::getPort)
        .containsExactly(53, 5353, 53);
    assertThatIllegalArgumentException()
        .isThrownBy(() -> Upstreams.parse("dns.example:53"))
        .withMessageContaining("dns.example:53");
    Path file = Files.createTempFile("resolv", ".conf");
    Files.writeString(
        file, "search x\nnameserver 10.96.0.10\nnameserver what\nnameserver fd00::a\n");
    assertThat(Upstreams.fromResolvConf(file)).hasSize(2);
    Files.delete(file);
  }

  private PodDns dns(List<InetSocketAddress> servers) {
    return new PodDns(
        Meshes.fixed(view),
        "cluster.local",
        servers,
        loops,
        (pod, reason) -> refusals.merge(reason, 1, Integer::sum),
        new Logs(System.err, InstantSource.system(), Level.INFO).room("dns"));
  }

  private static DnsQuestion question(String name, int type) {
    return new DnsQuestion(name, type, Dns.CLASS_IN);
  }

  private static DnsQuery asked(String name, int id) {
    return ((DnsQuery.Query) DnsQuery.parse(DnsQuery.encode(id & 0xffff, question(name, Dns.A))))
        .query();
  }

  private static DnsRecord address(String name, String address) {
    return new DnsRecord.Address(name, 5, InetAddress.ofLiteral(address));
  }

  private byte[] udp(byte[] message) throws IOException {
    return udp(serving, message);
  }

  private static byte[] udp(PodDns.Serving to, byte[] message) throws IOException {
    try (DatagramSocket client = new DatagramSocket()) {
      client.connect(serverAddress(to, "udp"));
      client.setSoTimeout(20_000);
      client.send(new DatagramPacket(message, message.length));
      return received(client);
    }
  }

  private static byte[] received(DatagramSocket client) throws IOException {
    DatagramPacket packet = new DatagramPacket(new byte[5000], 5000);
    client.receive(packet);
    return Arrays.copyOf(packet.getData(), packet.getLength());
  }

  /** 0 where none came. */
  private static int answerLength(DatagramSocket client) throws IOException {
    try {
      return received(client).length;
    } catch (SocketTimeoutException e) {
      return 0;
    }
  }

  private byte[] tcp(byte[] message) throws IOException {
    try (Socket socket = connected()) {
      DataOutputStream out = new DataOutputStream(socket.getOutputStream());
      out.writeShort(message.length);
      out.write(message);
      out.flush();
      DataInputStream in = new DataInputStream(socket.getInputStream());
      return in.readNBytes(in.readUnsignedShort());
    }
  }

  private Socket connected() throws IOException {
    Socket socket = new Socket();
    socket.connect(serverAddress(serving, "tcp"), 5_000);
    socket.setSoTimeout(20_000);
    return socket;
  }

  private static InetSocketAddress serverAddress(PodDns.Serving serving, String protocol) {
    String text =
        serving.listeners().stream()
            .filter(each -> each.startsWith(protocol + " 127."))
            .findFirst()
            .orElseThrow();
    return new InetSocketAddress(
        LOOPBACK, Integer.parseInt(text.substring(text.lastIndexOf(':') + 1)));
  }

  private static Pod pod() {
    return TestPods.pod(1, "shop", "front", "front", List.of(), PodSettings.DEFAULT);
  }

  /** Sockets of this namespace on ports of the kernel's choice. */
  private static final class LocalSockets implements DnsSockets {
    @Override
    public DatagramChannel datagram(
        EventLoop loop, InetSocketAddress address, ChannelHandler handler) {
      NioDatagramChannel channel = new NioDatagramChannel(family(address));
      channel.pipeline().addLast(handler);
      loop.register(channel).syncUninterruptibly();
      channel.bind(new InetSocketAddress(address.getAddress(), 0)).syncUninterruptibly();
      return channel;
    }

    @Override
    public ServerSocketChannel listen(
        EventLoop loop, InetSocketAddress address, ChannelHandler handler) {
      NioServerSocketChannel channel = new NioServerSocketChannel();
      channel.pipeline().addLast(handler);
      loop.register(channel).syncUninterruptibly();
      channel.bind(new InetSocketAddress(address.getAddress(), 0)).syncUninterruptibly();
      return channel;
    }

    @Override
    public void stopTaking(DatagramChannel socket) {
      // Each has a port of its own here: there is no other socket to leave it to.
      socket.config().setAutoRead(false);
    }

    @Override
    public void dial(EventLoop loop, Taker taker) {
      loop.execute(() -> taker.socket(new NioSocketChannel()));
    }

    private static SocketProtocolFamily family(InetSocketAddress address) {
      return address.getAddress().getAddress().length == 4
          ? SocketProtocolFamily.INET
          : SocketProtocolFamily.INET6;
    }
  }
}
