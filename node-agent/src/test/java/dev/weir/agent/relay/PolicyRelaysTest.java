package dev.weir.agent.relay;

import static dev.weir.agent.relay.Programs.assertReset;
import static dev.weir.agent.relay.Programs.receive;
import static dev.weir.agent.relay.Programs.send;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.weir.agent.authz.Authz;
import dev.weir.agent.config.MeshView;
import dev.weir.agent.telemetry.Refusal;
import dev.weir.api.model.Authorization;
import dev.weir.api.model.Authorization.Account;
import dev.weir.api.model.Authorization.Clause;
import dev.weir.api.model.Authorization.Match;
import dev.weir.api.model.Authorization.Rule;
import dev.weir.api.model.Authorization.Scope;
import dev.weir.testing.NeedsRoot;
import java.io.IOException;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Connections through the agent under policies. */
@NeedsRoot
@Timeout(60)
final class PolicyRelaysTest {
  private static final Duration SOON = Duration.ofSeconds(10);

  private TwoPods pods;

  @BeforeEach
  void open() {
    pods = new TwoPods("epoll");
  }

  @AfterEach
  void close() {
    pods.close();
  }

  private static Authorization deny(String account, boolean shadow) {
    return new Authorization(
        "test",
        "p",
        Scope.NAMED,
        Authorization.Action.DENY,
        shadow,
        List.of(
            new Rule(
                List.of(
                    new Clause(
                        List.of(
                            Match.accounts(List.of(new Account("test", account)), List.of())))))));
  }

  @Test
  void whomAPolicyDeniesIsResetCountedAndNeverReachesTheServer() throws IOException {
    pods.view = Meshes.twoPods(deny("client", false));
    try (ServerSocketChannel listener = pods.listen()) {
      pods.assertRefused();
      assertThat(pods.refused).containsEntry(Refusal.DENIED, 1);
      assertThat(pods.authz.counts()).containsExactly(new Authz.Count("test/p", "denied", 1));
      assertThat(pods.allowed).as("verdicts for the kernel").isEmpty();
      listener.configureBlocking(false);
      assertThat(listener.accept()).isNull();
    }
  }

  @Test
  void whomItDoesNotNameGoesOn() throws IOException {
    pods.view = Meshes.twoPods(deny("guest", false));
    try (ServerSocketChannel listener = pods.listen();
        SocketChannel client = pods.connect();
        SocketChannel server = listener.accept()) {
      send(client, "hello");
      assertThat(receive(server, 5)).isEqualTo("hello");
    }
  }

  @Test
  void aLiveConnectionThatLosesItsRightIsResetAtBothEnds() throws IOException {
    try (ServerSocketChannel listener = pods.listen();
        SocketChannel client = pods.connect();
        SocketChannel server = listener.accept()) {
      send(client, "hello");
      assertThat(receive(server, 5)).isEqualTo("hello");

      MeshView other = Meshes.twoPods(deny("guest", false));
      pods.view = other;
      pods.relays.judge(other);
      send(client, "again");
      assertThat(receive(server, 5)).as("another's policy").isEqualTo("again");

      MeshView now = Meshes.twoPods(deny("client", false));
      pods.view = now;
      pods.relays.judge(now);
      assertReset(client);
      assertReset(server);
      assertThat(pods.refused).containsEntry(Refusal.DENIED, 1);
      await().atMost(SOON).until(() -> pods.relays.liveCount() == 0);
    }
  }

  @Test
  void aShadowLetsPassAndCounts() throws IOException {
    pods.view = Meshes.twoPods(deny("client", true));
    try (ServerSocketChannel listener = pods.listen();
        SocketChannel client = pods.connect();
        SocketChannel server = listener.accept()) {
      send(client, "hello");
      assertThat(receive(server, 5)).isEqualTo("hello");
      assertThat(pods.authz.counts()).containsExactly(new Authz.Count("test/p", "would-deny", 1));
      pods.relays.judge(pods.view);
      send(server, "hello");
      assertThat(receive(client, 5)).isEqualTo("hello");
      assertThat(pods.refused).isEmpty();
    }
  }

  @Test
  void beforeTheControlPlaneHasSpokenNobodyIsLetIn() throws IOException {
    pods.view = MeshView.empty();
    try (ServerSocketChannel listener = pods.listen()) {
      assertThat(listener.isOpen()).isTrue();
      pods.assertRefused();
      assertThat(pods.refused).containsEntry(Refusal.POLICY_UNKNOWN, 1);
    }
  }
}
