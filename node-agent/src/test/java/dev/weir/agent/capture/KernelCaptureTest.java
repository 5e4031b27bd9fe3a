package dev.weir.agent.capture;

import static dev.weir.agent.capture.TestNode.CLIENT4;
import static dev.weir.agent.capture.TestNode.SERVER4;
import static dev.weir.agent.capture.TestNode.SERVER6;
import static dev.weir.agent.capture.TestNode.await;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.tuple;

import dev.weir.agent.log.Level;
import dev.weir.agent.log.Log;
import dev.weir.agent.log.Logs;
import dev.weir.agent.relay.Nft;
import dev.weir.agent.transport.PodSocket;
import dev.weir.agent.transport.PodSockets;
import dev.weir.agent.transport.PodSupply;
import dev.weir.agent.transport.Transport;
import dev.weir.api.model.FastPath;
import dev.weir.api.model.OnAgentLoss;
import dev.weir.api.model.PortRange;
import dev.weir.testing.NeedsKernel;
import io.netty.channel.EventLoop;
import io.netty.channel.EventLoopGroup;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.ConnectException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.SocketTimeoutException;
import java.net.StandardProtocolFamily;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.time.InstantSource;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

@NeedsKernel
final class KernelCaptureTest {
  private static final int PORT = 8080;

  private final TestNode node = new TestNode();

  @BeforeEach
  void start() {
    node.start();
  }

  @AfterEach
  void stop() throws IOException {
    node.close();
  }

  @Test
  void anEnrolledPodsConnectionComesToTheListenerWithWhatItAskedFor() throws IOException {
    Pod client = node.enrolClient();
    try (SocketChannel socket = node.connect(node.client, SERVER4, PORT)) {
      assertThat(socket.getRemoteAddress()).isEqualTo(new InetSocketAddress(SERVER4, PORT));
      assertOriginal(client, accepted4(client), SERVER4);
    }
    try (SocketChannel socket = node.connect(node.client, SERVER6, PORT)) {
      assertThat(socket.isConnected()).isTrue();
      SocketChannel accepted =
          Objects.requireNonNull(node.listeners.outbound6.get(client.number())).accept();
      assertThat(
              node.running()
                  .originals()
                  .take(client, (InetSocketAddress) accepted.getRemoteAddress()))
          .isEqualTo(
              new Original(
                  new InetSocketAddress(SERVER6, PORT), new InetSocketAddress(SERVER6, PORT), 0));
    }
    // As Java and Go do by default.
    try (SocketChannel socket =
        node.connect(node.client, StandardProtocolFamily.INET6, SERVER4, PORT)) {
      assertThat(socket.isConnected()).isTrue();
      assertOriginal(client, accepted4(client), SERVER4);
    }
  }

  private SocketChannel accepted4(Pod pod) throws IOException {
    return Objects.requireNonNull(node.listeners.outbound4.get(pod.number())).accept();
  }

  private void assertOriginal(Pod client, SocketChannel accepted, InetAddress asked)
      throws IOException {
    InetSocketAddress caller = (InetSocketAddress) accepted.getRemoteAddress();
    assertThat(node.running().originals().take(client, caller))
        .isEqualTo(
            new Original(
                new InetSocketAddress(asked, PORT), new InetSocketAddress(asked, PORT), 0));
    assertThat(node.running().originals().take(client, caller)).as("taken once").isNull();
    accepted.close();
  }

  /** Both pods enrolled, verdict written, and a connection that took it. */
  private SocketChannel direct(Pod client, Pod server) throws IOException {
    node.running().verdicts().allow(client, server, PORT);
    SocketChannel[] found = new SocketChannel[1];
    await(
        "a direct connection",
        () -> {
          try {
            SocketChannel socket = node.connect(node.client, SERVER4, PORT);
            ServerSocketChannel agents =
                Objects.requireNonNull(node.listeners.outbound4.get(client.number()));
            agents.configureBlocking(false);
            try (SocketChannel captured = agents.accept()) {
              if (captured == null) {
                found[0] = socket;
                return true;
              }
            }
            socket.close();
            return false;
          } catch (IOException e) {
            throw new UncheckedIOException(e);
          }
        });
    return found[0];
  }

  @Test
  void aVerdictMakesTheNextConnectionDirectAndItsBytesAreCounted() throws IOException {
    Pod client = node.enrolClient();
    Pod server = node.enrolServer();
    ServerSocketChannel listening = node.listen(node.server, SERVER4, PORT);
    try (SocketChannel socket = direct(client, server);
        SocketChannel accepted = listening.accept()) {
      assertThat(((InetSocketAddress) accepted.getRemoteAddress()).getAddress()).isEqualTo(CLIENT4);
      write(socket, 1000);
      read(accepted, 1000);
      write(accepted, 300);
      read(socket, 300);
      await("opened", () -> !node.flows.opened.isEmpty());
      KernelFlow flow = node.flows.opened.getFirst();
      assertThat(flow.source()).isEqualTo(client);
      assertThat(flow.destination()).isEqualTo(server);
      assertThat(flow.path()).isEqualTo(KernelPath.DIRECT);
      node.running().flows().refresh();
      assertThat(node.flows.progressed.get(flow))
          .extracting(FlowBytes::sent, FlowBytes::received)
          .containsExactly(1000L, 300L);
      assertThat(node.running().flows().live()).contains(flow);
    }
    KernelFlow flow = node.flows.opened.getFirst();
    await("closed", () -> node.flows.closed.containsKey(flow));
    assertThat(node.flows.closed.get(flow))
        .extracting(FlowBytes::sent, FlowBytes::received)
        .containsExactly(1000L, 300L);
    assertThat(node.running().flows().live()).isEmpty();
  }

  private static void write(SocketChannel to, int bytes) throws IOException {
    ByteBuffer buffer = ByteBuffer.allocate(bytes);
    while (buffer.hasRemaining()) {
      to.write(buffer);
    }
  }

  private static void read(SocketChannel from, int bytes) throws IOException {
    ByteBuffer buffer = ByteBuffer.allocate(bytes);
    while (buffer.hasRemaining()) {
      if (from.read(buffer) < 0) {
        throw new IOException("ended after %d of %d bytes".formatted(buffer.position(), bytes));
      }
    }
  }

  @Test
  void anEvictedVerdictCutsTheFlowsThatStoodOnItAndTheNextConnectionGoesToTheAgent()
      throws IOException {
    Pod client = node.enrolClient();
    Pod server = node.enrolServer();
    ServerSocketChannel listening = node.listen(node.server, SERVER4, PORT);
    try (SocketChannel socket = direct(client, server);
        SocketChannel accepted = listening.accept()) {
      node.running().verdicts().evict(server);
      assertThatThrownBy(() -> read(accepted, 1)).isInstanceOf(IOException.class);
      assertThatThrownBy(() -> read(socket, 1)).isInstanceOf(IOException.class);
    }
    try (SocketChannel socket = node.connect(node.client, SERVER4, PORT)) {
      assertThat(socket.isConnected()).isTrue();
      await("captured again", () -> acceptsCaptured(client));
    }
  }

  @Test
  void aReviewTakesBackWhatPolicyDeniesAndTouchesNothingElse() throws IOException {
    int other = PORT + 1;
    Set<Integer> denied = ConcurrentHashMap.newKeySet();
    List<Integer> ended = new CopyOnWriteArrayList<>();
    node.running()
        .admission(
            new Admission() {
              @Override
              public boolean remembers(String identity, Pod destination, int port) {
                return !denied.contains(port);
              }

              @Override
              public boolean admits(
                  @Nullable Pod source,
                  Pod destination,
                  InetSocketAddress client,
                  InetSocketAddress server) {
                assertThat(source).isNotNull();
                assertThat(client.getAddress()).isEqualTo(CLIENT4);
                assertThat(server.getAddress()).isEqualTo(SERVER4);
                return !denied.contains(server.getPort());
              }

              @Override
              public void ended(
                  @Nullable Pod source,
                  Pod destination,
                  InetSocketAddress client,
                  InetSocketAddress server) {
                ended.add(server.getPort());
              }
            });
    Pod client = node.enrolClient();
    Pod server = node.enrolServer();
    ServerSocketChannel listening = node.listen(node.server, SERVER4, PORT);
    ServerSocketChannel listeningToo = node.listen(node.server, SERVER4, other);
    try (SocketChannel doomed = direct(client, server);
        SocketChannel doomedAccepted = listening.accept()) {
      node.running().verdicts().allow(client, server, other);
      node.running().verdicts().review();
      settled();
      try (SocketChannel kept = node.connect(node.client, SERVER4, other);
          SocketChannel keptAccepted = listeningToo.accept()) {
        denied.add(PORT);
        node.running().verdicts().review();
        assertThatThrownBy(() -> read(doomedAccepted, 1)).isInstanceOf(IOException.class);
        assertThatThrownBy(() -> read(doomed, 1)).isInstanceOf(IOException.class);
        write(kept, 100);
        read(keptAccepted, 100);
        await("one flow counted as ended, once", () -> ended.equals(List.of(PORT)));
        // Neither does what was allowed a moment ago come back.
        node.running().verdicts().allow(client, server, PORT);
        settled();
        try (SocketChannel again = node.connect(node.client, SERVER4, PORT)) {
          assertThat(again.isConnected()).isTrue();
          await("captured again", () -> acceptsCaptured(client));
        }
        write(kept, 100);
        read(keptAccepted, 100);
      }
    }
  }

  /** What was asked of the capture thread before has been done. */
  private void settled() {
    var _ = TestNode.join(node.running().enroller().keep("uid-client"));
  }

  private boolean acceptsCaptured(Pod client) {
    try {
      ServerSocketChannel agents =
          Objects.requireNonNull(node.listeners.outbound4.get(client.number()));
      agents.configureBlocking(false);
      try (SocketChannel captured = agents.accept()) {
        return captured != null;
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  @Test
  void optingOutActsAtOnceAndResetsNothing() throws IOException {
    Pod client = node.enrolClient();
    Pod server = node.enrolServer();
    ServerSocketChannel listening = node.listen(node.server, SERVER4, PORT);
    try (SocketChannel socket = direct(client, server);
        SocketChannel accepted = listening.accept()) {
      node.remove("server");
      node.remove("client");
      assertThat(node.listeners.heard("withdrawn client")).isTrue();
      write(socket, 100);
      read(accepted, 100);
      try (SocketChannel plain = node.connect(node.client, SERVER4, PORT);
          SocketChannel other = listening.accept()) {
        write(plain, 10);
        read(other, 10);
      }
    }
    await("released", () -> podFolders() == 0);
  }

  private long podFolders() {
    return PodLinks.list(node.bpffs().resolve("pods")).size();
  }

  @Test
  void withNoAgentAClosedPodIsRefusedAndAnOpenOneGoesPlain() throws IOException {
    node.settings("client", TestPods.enrolled(FastPath.DIRECT, OnAgentLoss.OPEN));
    node.settings("server", TestPods.excludingInbound(new PortRange(PORT, PORT)));
    node.enrolClient();
    node.enrolServer();
    ServerSocketChannel listening = node.listen(node.server, SERVER4, PORT);
    node.listen(node.client, CLIENT4, PORT);
    node.stop();
    assertThatThrownBy(() -> node.connect(node.server, CLIENT4, PORT))
        .isInstanceOf(ConnectException.class)
        .hasMessageContaining("refused");
    try (SocketChannel socket = node.connect(node.client, SERVER4, PORT);
        SocketChannel accepted = listening.accept()) {
      write(socket, 100);
      read(accepted, 100);
    }
    KernelCapture next = node.start();
    assertThat(next.drops())
        .anySatisfy(drop -> {
          assertThat(drop.reason()).isEqualTo(Reason.NO_AGENT);
          assertThat(drop.count()).isPositive();
        });
    await("accounted for", () -> node.flows.closed.size() == 1);
    assertThat(node.flows.opened.getFirst().path()).isEqualTo(KernelPath.OPEN);
  }

  @Test
  void aNewAgentTakesOverPodsVerdictsAndFlows() throws IOException {
    Pod client = node.enrolClient();
    Pod server = node.enrolServer();
    ServerSocketChannel listening = node.listen(node.server, SERVER4, PORT);
    try (SocketChannel socket = direct(client, server);
        SocketChannel accepted = listening.accept()) {
      node.stop();
      write(socket, 5000);
      read(accepted, 5000);
      node.flows.opened.clear();
      node.start();
      Pod clientAgain = node.enrolClient();
      Pod serverAgain = node.enrolServer();
      assertThat(clientAgain.number()).isEqualTo(client.number());
      assertThat(clientAgain.identityNumber()).isEqualTo(client.identityNumber());
      assertThat(serverAgain.number()).isEqualTo(server.number());
      TestNode.join(node.running().enroller().snapshotEnd());
      // The verdict stands: no agent's listener is asked.
      try (SocketChannel next = node.connect(node.client, SERVER4, PORT);
          SocketChannel nextAccepted = listening.accept()) {
        write(next, 10);
        read(nextAccepted, 10);
        assertThat(acceptsCaptured(clientAgain)).isFalse();
      }
      await("old and new flow", () -> node.flows.opened.size() >= 2);
      write(accepted, 7);
      read(socket, 7);
    }
  }

  @Test
  void whatTheSnapshotDoesNotNameIsGone() throws IOException {
    Pod client = node.enrolClient();
    Pod server = node.enrolServer();
    ServerSocketChannel listening = node.listen(node.server, SERVER4, PORT);
    SocketChannel socket = direct(client, server);
    socket.close();
    listening.accept().close();
    node.stop();
    node.start();
    TestNode.join(node.running().enroller().snapshotBegin());
    Pod again = node.enrolServer();
    TestNode.join(node.running().enroller().snapshotEnd());
    assertThat(node.running().pods()).containsExactly(again);
    assertThat(podFolders()).isEqualTo(1);
    // The client is nobody's now, so only the server's own exception lets it in.
    node.settings("server", TestPods.excludingInbound(new PortRange(PORT, PORT)));
    await("changed", () -> node.listeners.heard("changed server"));
    try (SocketChannel plain = node.connect(node.client, SERVER4, PORT)) {
      assertThat(plain.isConnected()).isTrue();
    }
    // And a pod that comes back is another one.
    assertThat(node.enrolClient().number()).isGreaterThan(server.number());
  }

  @Test
  void aServiceAddressIsResolvedInTheKernel() throws IOException {
    Pod client = node.enrolClient();
    Pod server = node.enrolServer();
    InetAddress vip = InetAddress.ofLiteral("10.96.7.7");
    node.running()
        .services()
        .replace(
            List.of(
                new ServiceAddress(
                    "test",
                    "web.test.svc.cluster.local",
                    vip,
                    80,
                    false,
                    List.of(new ServiceAddress.Endpoint(SERVER4, PORT, 1))),
                new ServiceAddress(
                    "test", "none.test.svc.cluster.local", vip, 81, false, List.of())));
    await("refused", () -> refused(client, vip, 81));
    SocketChannel socket = node.connect(node.client, vip, 80);
    SocketChannel captured = accepted4(client);
    Original original =
        Objects.requireNonNull(
            node.running()
                .originals()
                .take(client, (InetSocketAddress) captured.getRemoteAddress()));
    assertThat(original.asked()).isEqualTo(new InetSocketAddress(vip, 80));
    assertThat(original.picked()).isEqualTo(new InetSocketAddress(SERVER4, PORT));
    ServiceAddress service =
        Objects.requireNonNull(node.running().services().serviceAddress(original.service()));
    assertThat(service.hostname()).isEqualTo("web.test.svc.cluster.local");
    captured.close();
    socket.close();
    ServerSocketChannel listening = node.listen(node.server, SERVER4, PORT);
    direct(client, server).close();
    listening.accept().close();
    try (SocketChannel byName = node.connect(node.client, vip, 80);
        SocketChannel accepted = listening.accept()) {
      assertThat(byName.getRemoteAddress()).isEqualTo(new InetSocketAddress(vip, 80));
      write(byName, 10);
      read(accepted, 10);
    }
    node.running().services().replace(List.of());
    await("gone", () -> !refused(client, vip, 81));
  }

  /** What is not refused comes to the agent, and must not be taken for a later connection. */
  private boolean refused(Pod client, InetAddress address, int port) {
    try (SocketChannel _ = node.connect(node.client, address, port);
        SocketChannel _ = accepted4(client)) {
      return false;
    } catch (ConnectException e) {
      return true;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  @Test
  void settingsApplyToALivePodAndResetNothing() throws IOException {
    Pod client = node.enrolClient();
    Pod server = node.enrolServer();
    ServerSocketChannel listening = node.listen(node.server, SERVER4, PORT);
    try (SocketChannel socket = direct(client, server);
        SocketChannel accepted = listening.accept()) {
      node.settings("server", TestPods.enrolled(FastPath.OFF, OnAgentLoss.CLOSED));
      await("changed", () -> node.listeners.heard("changed server"));
      write(socket, 100);
      read(accepted, 100);
      SocketChannel next = node.connect(node.client, SERVER4, PORT);
      assertThat(next.isConnected()).isTrue();
      await("through the agent", () -> acceptsCaptured(client));
      node.settings("client", TestPods.excludingOutbound(new PortRange(PORT, PORT)));
      await("changed", () -> node.listeners.heard("changed client"));
    }
  }

  @Test
  void aRefusedEnrolmentSaysWhyAndLeavesNothing() {
    node.listeners.refusal = "no listeners to be had";
    assertThatThrownBy(() -> node.enrolClient()).hasMessageContaining("no listeners to be had");
    assertThat(podFolders()).isZero();
    assertThat(node.running().pods()).isEmpty();
    assertThat(node.running().pending()).isEqualTo(1);
    node.remove("client");
    assertThat(node.running().pending()).isZero();
  }

  @Test
  void aSnapshotThatEndsMeanwhileLeavesTheSelfTestItsPods() {
    node.running().tryJoining();
    await(
        "tested",
        () -> {
          TestNode.join(node.running().enroller().snapshotBegin());
          TestNode.join(node.running().enroller().snapshotEnd());
          return node.running().joining().state() != Joining.State.TESTING;
        });
    assertThat(node.running().joining().reason()).isEmpty();
  }

  @Test
  void socketsAreJoinedOnceTheSelfTestHasPassed() throws IOException {
    node.settings("client", TestPods.enrolled(FastPath.JOINED, OnAgentLoss.CLOSED));
    node.settings("server", TestPods.enrolled(FastPath.JOINED, OnAgentLoss.CLOSED));
    Pod client = node.enrolClient();
    Pod server = node.enrolServer();
    assertThat(node.running().joining().state()).isEqualTo(Joining.State.TESTING);
    node.running().tryJoining();
    node.running().tryJoining();
    await("tested", () -> node.running().joining().state() != Joining.State.TESTING);
    assertThat(node.running().joining().reason()).isEmpty();
    assertThat(node.running().joining().state()).isEqualTo(Joining.State.ON);
    assertThat(node.running().pods()).containsExactlyInAnyOrder(client, server);
    ServerSocketChannel listening = node.listen(node.server, SERVER4, PORT);
    try (SocketChannel socket = direct(client, server);
        SocketChannel accepted = listening.accept()) {
      for (int i = 0; i < 10; i++) {
        write(socket, 1000);
        read(accepted, 1000);
        write(accepted, 300);
        read(socket, 300);
      }
      await("opened", () -> !node.flows.opened.isEmpty());
      KernelFlow flow = node.flows.opened.getFirst();
      assertThat(flow.path()).isEqualTo(KernelPath.JOINED);
      node.running().flows().refresh();
      assertThat(node.flows.progressed.get(flow))
          .extracting(FlowBytes::sent, FlowBytes::received)
          .containsExactly(10_000L, 3_000L);
    }
    await("closed", () -> !node.flows.closed.isEmpty());
    assertThat(node.flows.closed.values())
        .extracting(FlowBytes::sent, FlowBytes::received)
        .containsExactly(tuple(10_000L, 3_000L));
  }

  @Test
  void aPodThatIsGoneTakesItsPeersConnectionsWithIt() throws Exception {
    Pod client = node.enrolClient();
    Pod server = node.enrolServer();
    ServerSocketChannel listening = node.listen(node.server, SERVER4, PORT);
    try (SocketChannel socket = direct(client, server);
        SocketChannel accepted = listening.accept()) {
      assertThat(accepted.isConnected()).isTrue();
      node.unplug(node.server);
      node.remove("server");
      socket.socket().setSoTimeout(2_000);
      assertThatThrownBy(() -> socket.socket().getInputStream().read())
          .isInstanceOf(IOException.class)
          .isNotInstanceOf(SocketTimeoutException.class);
      await("released", () -> podFolders() == 1);
    }
  }

  @Test
  void anotherPodInTheSameNamespaceInheritsNothing() throws IOException {
    Pod client = node.enrolClient();
    Pod server = node.enrolServer();
    node.listen(node.server, SERVER4, PORT);
    SocketChannel socket = direct(client, server);
    Pod other = node.enrol(node.server, "other");
    assertThat(other.number()).isNotEqualTo(server.number());
    assertThat(node.listeners.heard("withdrawn server")).isTrue();
    assertThat(node.running().podAt(SERVER4)).isEqualTo(other);
    assertThat(node.connect(node.client, SERVER4, PORT).isConnected()).isTrue();
    await("captured", () -> acceptsCaptured(client));
    socket.close();
  }

  @Test
  void whatAnAgentLeftWithoutAWordTheNextOneEnds() throws Exception {
    node.enrolServer();
    ServerSocketChannel listening = node.listen(node.server, SERVER4, PORT);
    Log log = new Logs(System.err, InstantSource.system(), Level.INFO).room("test");
    Transport transport = Transport.named("epoll");
    EventLoopGroup loops =
        transport.loops(1, Thread.ofPlatform().name("loop-", 0).daemon().factory());
    try (PodSockets sockets = new PodSockets(transport, TestNode.KERNEL.namespaces(), log).start();
        PodSupply supply = sockets.supply(node.server)) {
      PodSocket delivered = deliver(loops.next(), supply);
      try (SocketChannel accepted = listening.accept()) {
        node.stop();
        assertThat(Nft.endUnheard(node.server, socket -> socket.local().equals(CLIENT4)))
            .isEqualTo(1);
        // The kernel lists what is bound as long as it is open.
        delivered.close();
        node.start();
        node.enrolServer();
        accepted.socket().setSoTimeout(5_000);
        assertThatThrownBy(() -> accepted.socket().getInputStream().read())
            .isInstanceOf(IOException.class)
            .isNotInstanceOf(SocketTimeoutException.class);
      }
    } finally {
      loops.shutdownGracefully(0, 5, TimeUnit.SECONDS).awaitUninterruptibly(10, TimeUnit.SECONDS);
    }
  }

  /** Connects to the server as an agent does for the client. */
  private static PodSocket deliver(EventLoop loop, PodSupply supply) throws Exception {
    CompletableFuture<PodSocket> connecting = new CompletableFuture<>();
    supply.delivering(
        loop,
        new PodSupply.Taker() {
          @Override
          public void socket(PodSocket socket) {
            socket.connect(
                loop,
                new InetSocketAddress(SERVER4, PORT),
                new InetSocketAddress(CLIENT4, 1024),
                10_000,
                failure -> {
                  if (failure == null) {
                    connecting.complete(socket);
                  } else {
                    none(failure);
                  }
                });
          }

          @Override
          public void none(Throwable why) {
            connecting.completeExceptionally(why);
          }
        });
    return connecting.get(10, TimeUnit.SECONDS);
  }

  @Test
  void twentyAgentsOneAfterTheOtherHoldNoMoreThanOne() throws IOException {
    long before = TestNode.descriptors();
    node.enrolClient();
    node.enrolServer();
    long pins = node.pins();
    for (int i = 0; i < 20; i++) {
      node.stop();
      node.start();
      node.enrolClient();
      node.enrolServer();
      TestNode.join(node.running().enroller().snapshotEnd());
      assertThat(node.pins()).isEqualTo(pins);
    }
    node.remove("client");
    node.remove("server");
    await("released", () -> TestNode.descriptors() == before);
    node.running().uninstall();
    assertThat(node.bpffs()).doesNotExist();
    node.stop();
  }

  @Test
  void aFolderOfCgroupThatWasMadeAnewIsTakenOver() throws IOException {
    node.enrolClient();
    node.stop();
    node.replaceCgroup();
    node.start();
    Pod client = node.enrolClient();
    try (SocketChannel socket = node.connect(node.client, SERVER4, PORT)) {
      assertThat(socket.isConnected()).isTrue();
      assertOriginal(client, accepted4(client), SERVER4);
    }
  }

  @Test
  void aSuccessorTakesOverWhileThePredecessorStillRuns() throws IOException {
    InetAddress vip = InetAddress.ofLiteral("10.96.7.7");
    Pod client = node.enrolClient();
    KernelCapture former = node.running();
    former.services().replace(List.of(web(vip, 80)));
    await("resolved", () -> former.services().serviceAddress(1) != null);
    node.listeners.closeAll();
    KernelCapture successor = node.start();
    Pod again = node.enrolClient();
    assertThat(again.number()).isEqualTo(client.number());
    assertThat(successor.inCharge()).as("before it asks").isFalse();
    assertThat(former.inCharge()).isTrue();
    assertThat(former.hasHeir()).isTrue();
    successor.services().replace(List.of(web(vip, 81)));
    successor.takeCharge();
    await("handed over", successor::inCharge);
    assertThat(former.inCharge()).isFalse();
    assertThat(former.isSucceeded()).isTrue();
    assertThat(successor.isSucceeded()).isFalse();
    await("resolved", () -> successor.services().serviceAddress(2) != null);
    // What the former one still hears changes nothing any more, and its end is nobody's.
    former.services().replace(List.of(web(vip, 80)));
    former.verdicts().allow(client, client, 1);
    former.close();
    try (SocketChannel socket = node.connect(node.client, vip, 81)) {
      SocketChannel captured = accepted4(again);
      InetSocketAddress caller = (InetSocketAddress) captured.getRemoteAddress();
      Original original = Objects.requireNonNull(successor.originals().take(again, caller));
      assertThat(original.picked()).isEqualTo(new InetSocketAddress(SERVER4, PORT));
      captured.close();
      assertThat(socket.isConnected()).isTrue();
    }
  }

  @Test
  void aSuccessorThatEndsGivesTheChargeBackUnlessTheFormerOneHasRetired() throws IOException {
    Pod client = node.enrolClient();
    KernelCapture former = node.running();
    for (int i = 0; i < 2; i++) {
      node.listeners.closeAll();
      KernelCapture successor = node.start();
      node.enrolClient();
      successor.takeCharge();
      await("handed over", successor::inCharge);
      assertThat(former.inCharge()).isFalse();
      if (i == 0) {
        successor.close();
        await("back", former::inCharge);
        assertThat(former.pods()).containsExactly(client);
      } else {
        former.retire();
        successor.close();
        assertThatThrownBy(() -> node.connect(node.client, SERVER4, PORT))
            .isInstanceOf(ConnectException.class);
        assertThat(former.inCharge()).isFalse();
      }
    }
    former.close();
    // Takes away what they have left.
    node.start();
  }

  private static ServiceAddress web(InetAddress vip, int port) {
    return new ServiceAddress(
        "test",
        "web.test.svc.cluster.local",
        vip,
        port,
        false,
        List.of(new ServiceAddress.Endpoint(SERVER4, PORT, 1)));
  }
}
