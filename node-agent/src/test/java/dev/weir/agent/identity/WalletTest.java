package dev.weir.agent.identity;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.tuple;
import static org.awaitility.Awaitility.await;

import dev.weir.agent.capture.Pod;
import dev.weir.agent.capture.TestPods;
import dev.weir.agent.log.Level;
import dev.weir.agent.log.Logs;
import dev.weir.agent.metrics.Exposition;
import dev.weir.api.model.PodSettings;
import io.grpc.Status;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.MultiThreadIoEventLoopGroup;
import io.netty.channel.nio.NioIoHandler;
import io.netty.channel.socket.nio.NioSocketChannel;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.random.RandomGenerator;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.api.parallel.Execution;
import org.junit.jupiter.api.parallel.ExecutionMode;

/**
 * The wallet against a CA on a real port, well-behaved and otherwise. Mostly it waits, so all at
 * once.
 */
@Execution(ExecutionMode.CONCURRENT)
final class WalletTest {
  private static final String FRONT = "spiffe://cluster.local/ns/shop/sa/front";
  private static final String CART = "spiffe://cluster.local/ns/shop/sa/cart";
  private static final Duration SOON = Duration.ofSeconds(20);
  private static final EventLoopGroup LOOPS =
      new MultiThreadIoEventLoopGroup(1, NioIoHandler.newFactory());

  @TempDir Path folder = Path.of("");

  private final TestAuthority mesh = new TestAuthority("mesh");
  private final List<AutoCloseable> open = new ArrayList<>();
  private ScriptedAuthority authority;
  private InstantSource clock = InstantSource.system();
  private Duration life = Duration.ofHours(1);
  private Duration rootsWithin = Duration.ofMinutes(5);

  WalletTest() throws IOException {
    authority = new ScriptedAuthority(mesh);
  }

  @BeforeEach
  void files() throws IOException {
    Files.writeString(folder.resolve("root.pem"), TestAuthority.pem(mesh.root));
    Files.writeString(folder.resolve("token"), "token\n");
  }

  @AfterEach
  void close() throws Exception {
    for (AutoCloseable each : open.reversed()) {
      each.close();
    }
    authority.close();
  }

  @AfterAll
  static void end() {
    LOOPS.shutdownGracefully(0, 1, TimeUnit.SECONDS);
  }

  private Wallet wallet() {
    return wallet(authority.port(), null);
  }

  private Wallet wallet(int port, @Nullable Path crl) {
    LineOptions there =
        new LineOptions.Secure(
            "127.0.0.1:" + port, folder.resolve("root.pem"), folder.resolve("token"));
    ControlLine line = ControlLine.open(there, new LineLoop(LOOPS, NioSocketChannel.class), clock);
    open.add(line);
    Wallet wallet =
        new Wallet(
            new IdentityOptions(there, life, rootsWithin, crl),
            line,
            clock,
            RandomGenerator.getDefault(),
            new Logs(System.err, InstantSource.system(), Level.INFO).room("identity"));
    open.add(wallet);
    return wallet;
  }

  private static Pod pod(int number, String identity) {
    String account = identity.substring(identity.lastIndexOf('/') + 1);
    return TestPods.pod(number, "shop", "pod-" + number, account, List.of(), PodSettings.DEFAULT);
  }

  private static Credentials held(Wallet wallet, String identity) {
    await().atMost(SOON).until(() -> wallet.current(identity) != null);
    Credentials held = wallet.current(identity);
    assertThat(held).isNotNull();
    return java.util.Objects.requireNonNull(held);
  }

  private static Obtained obtain(Wallet wallet, String identity) throws Exception {
    CompletableFuture<Obtained> answer = new CompletableFuture<>();
    wallet.obtain(identity, LOOPS.next(), answer::complete);
    return answer.get(15, TimeUnit.SECONDS);
  }

  private static String reason(Obtained obtained) {
    return obtained instanceof Obtained.Failed failed ? failed.reason() : "had it";
  }

  private static CertificateReport report(Wallet wallet, String identity) {
    return wallet.certificates().stream()
        .filter(each -> each.identity().equals(identity))
        .findFirst()
        .orElseThrow(() -> new AssertionError("no report of " + identity));
  }

  private static void awaitCause(Wallet wallet, String identity, String cause) {
    await()
        .atMost(SOON)
        .untilAsserted(() -> assertThat(report(wallet, identity).lastCause()).isEqualTo(cause));
  }

  @Test
  void an_identity_is_asked_for_at_enrolment_as_the_facts_say() throws Exception {
    Wallet wallet = wallet();
    wallet.enrolled(pod(1, FRONT));
    ScriptedAuthority.Asked asked = authority.next();
    assertThat(asked.identity()).isEqualTo(FRONT);
    assertThat(asked.sanOfRequest()).isEqualTo(FRONT);
    assertThat(asked.critical()).isTrue();
    assertThat(asked.life()).isEqualTo(3600);
    Credentials held = held(wallet, FRONT);
    assertThat(held.identity()).isEqualTo(FRONT);
    // It is in force a moment before the report of it.
    await()
        .atMost(SOON)
        .untilAsserted(() ->
            assertThat(report(wallet, FRONT).state()).isEqualTo(CertificateReport.State.AVAILABLE));
    assertThat(obtain(wallet, FRONT)).isInstanceOf(Obtained.Have.class);
  }

  @Test
  void pods_of_one_identity_share_it_and_the_last_takes_it_along() throws Exception {
    Wallet wallet = wallet();
    wallet.enrolled(pod(1, FRONT));
    wallet.enrolled(pod(2, FRONT));
    held(wallet, FRONT);
    wallet.withdrawn(pod(1, FRONT));
    assertThat(obtain(wallet, FRONT)).isInstanceOf(Obtained.Have.class);
    wallet.withdrawn(pod(2, FRONT));
    await().atMost(SOON).until(() -> wallet.current(FRONT) == null);
    assertThat(reason(obtain(wallet, FRONT))).contains("no pod of " + FRONT);
    assertThat(authority.asked).hasSize(1);
    assertThat(wallet.certificates()).isEmpty();
  }

  @Test
  void who_waits_for_a_new_pod_gets_its_certificate() throws Exception {
    Wallet wallet = wallet();
    CompletableFuture<Runnable> held = new CompletableFuture<>();
    authority.script = (asked, to) -> held.complete(() -> authority.issue(asked, to));
    wallet.enrolled(pod(1, FRONT));
    CompletableFuture<Obtained> answer = new CompletableFuture<>();
    wallet.obtain(FRONT, LOOPS.next(), answer::complete);
    held.get(10, TimeUnit.SECONDS).run();
    assertThat(answer.get(10, TimeUnit.SECONDS))
        .isInstanceOfSatisfying(
            Obtained.Have.class,
            have -> assertThat(have.credentials().identity()).isEqualTo(FRONT));
  }

  @Test
  void a_certificate_is_renewed_at_half_its_life_with_a_new_key() throws Exception {
    authority.life = Duration.ofSeconds(4);
    life = Duration.ofSeconds(4);
    Wallet wallet = wallet();
    List<Credentials> told = new CopyOnWriteArrayList<>();
    wallet.onRotation(told::add);
    Instant begin = Instant.now();
    wallet.enrolled(pod(1, FRONT));
    String first = held(wallet, FRONT).serial();
    await().atMost(SOON).until(() -> !held(wallet, FRONT).serial().equals(first));
    assertThat(Duration.between(begin, Instant.now())).isGreaterThan(Duration.ofMillis(1_500));
    assertThat(told).hasSizeGreaterThanOrEqualTo(2);
    Set<Object> keys = new HashSet<>();
    keys.add(authority.next().key());
    keys.add(authority.next().key());
    assertThat(keys).hasSize(2);
  }

  @Test
  void what_is_in_force_stays_so_until_it_expires_when_the_CA_goes() throws Exception {
    authority.life = Duration.ofSeconds(5);
    life = Duration.ofSeconds(5);
    Wallet wallet = wallet();
    wallet.enrolled(pod(1, FRONT));
    Credentials held = held(wallet, FRONT);
    authority.close();
    awaitCause(wallet, FRONT, "ca-unreachable");
    assertThat(wallet.current(FRONT)).isEqualTo(held);
    assertThat(report(wallet, FRONT).state()).isEqualTo(CertificateReport.State.AVAILABLE);
    await().atMost(SOON).until(() -> wallet.current(FRONT) == null);
    assertThat(Instant.now()).isAfterOrEqualTo(held.notAfter());
    assertThat(reason(obtain(wallet, FRONT))).contains("the CA is not reachable");
  }

  @Test
  void a_CA_that_is_down_fails_those_who_wait_and_is_found_again() throws Exception {
    int port = authority.port();
    authority.close();
    Wallet wallet = wallet(port, null);
    wallet.enrolled(pod(1, FRONT));
    assertThat(reason(obtain(wallet, FRONT))).contains("the CA is not reachable");
    authority = new ScriptedAuthority(mesh, mesh, "127.0.0.1", port);
    // Back-off has grown by now; who waits makes the next try come.
    await()
        .atMost(SOON)
        .pollInterval(Duration.ofMillis(200))
        .until(() -> obtain(wallet, FRONT) instanceof Obtained.Have);
  }

  @Test
  void who_has_nothing_asks_each_second_for_a_minute_and_then_ever_more_rarely() {
    assertThat(IntStream.rangeClosed(1, 5).mapToLong(n -> Wallet.waitMillis(n, false)))
        .containsExactly(500L, 1_000L, 2_000L, 4_000L, 8_000L);
    assertThat(Wallet.waitMillis(100_000, false)).isEqualTo(150_000);
    assertThat(IntStream.rangeClosed(1, 61).mapToLong(n -> Wallet.waitMillis(n, true)))
        .startsWith(500L)
        .allMatch(wait -> wait <= 1_000)
        .satisfies(
            all -> assertThat(all.stream().mapToLong(each -> each).sum()).isGreaterThan(60_000));
    assertThat(Wallet.waitMillis(63, true)).isEqualTo(4_000);
    assertThat(Wallet.waitMillis(100_000, true)).isEqualTo(150_000);
  }

  @Test
  void a_CA_that_refuses_again_and_again_is_asked_again_within_the_second() throws Exception {
    authority.script = ScriptedAuthority.refusing(Status.UNAVAILABLE);
    Wallet wallet = wallet();
    wallet.enrolled(pod(1, FRONT));
    for (int i = 0; i < 5; i++) {
      authority.next();
    }
    await().atMost(SOON).until(() -> report(wallet, FRONT).failures() >= 5);
    Instant due = report(wallet, FRONT).nextAttempt();
    // A fifth more, at random; null while one is under way.
    assertThat(due == null ? Instant.EPOCH : due).isBefore(Instant.now().plusMillis(1_201));
  }

  @Test
  void a_CA_that_is_silent_fails_those_who_wait_within_ten_seconds() throws Exception {
    authority.script = (_, _) -> {};
    Wallet wallet = wallet();
    wallet.enrolled(pod(1, FRONT));
    assertThat(reason(obtain(wallet, FRONT))).contains("did not answer in time");
  }

  @Test
  void a_port_that_never_shakes_hands_fails_those_who_wait() throws Exception {
    try (ServerSocket mute = new ServerSocket()) {
      mute.bind(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0));
      Wallet wallet = wallet(mute.getLocalPort(), null);
      wallet.enrolled(pod(1, FRONT));
      // The call and the handshake have ten seconds each, and begin within a millisecond.
      assertThat(reason(obtain(wallet, FRONT)))
          .containsAnyOf("did not answer in time", "handshake timed out");
    }
  }

  @Test
  void a_certificate_of_another_identity_is_refused() throws Exception {
    authority.script = (asked, to) -> authority.give(CART, asked.key(), to);
    Wallet wallet = wallet();
    wallet.enrolled(pod(1, FRONT));
    assertThat(reason(obtain(wallet, FRONT)))
        .contains("gave a certificate of " + CART)
        .contains("expected: " + FRONT);
    awaitCause(wallet, FRONT, "wrong-identity");
    assertThat(wallet.current(FRONT)).isNull();
  }

  @Test
  void a_certificate_for_another_key_is_refused() throws Exception {
    authority.script =
        (asked, to) -> authority.give(FRONT, TestAuthority.newPair().getPublic(), to);
    Wallet wallet = wallet();
    wallet.enrolled(pod(1, FRONT));
    assertThat(reason(obtain(wallet, FRONT))).contains("not for the key that was sent");
    awaitCause(wallet, FRONT, "bad-answer");
  }

  @Test
  void a_certificate_that_its_own_roots_do_not_bear_is_refused() throws Exception {
    authority.roots.clear();
    authority.roots.add(new TestAuthority("other").root);
    Wallet wallet = wallet();
    wallet.enrolled(pod(1, FRONT));
    awaitCause(wallet, FRONT, "bad-answer");
    assertThat(report(wallet, FRONT).lastError()).contains("leads to no trusted root");
  }

  @Test
  void a_certificate_of_another_time_is_refused_for_its_clock() throws Exception {
    Instant now = Instant.now();
    authority.script =
        (asked, to) ->
            authority.give(
                TestAuthority.Leaf.of(FRONT).valid(now.plusSeconds(120), now.plusSeconds(600)),
                asked.key(),
                to);
    Wallet wallet = wallet();
    wallet.enrolled(pod(1, FRONT));
    awaitCause(wallet, FRONT, "clock");
  }

  @Test
  void a_node_whose_clock_is_a_minute_behind_gets_its_certificate() {
    clock = () -> Instant.now().minusSeconds(59);
    Wallet wallet = wallet();
    wallet.enrolled(pod(1, FRONT));
    assertThat(held(wallet, FRONT).identity()).isEqualTo(FRONT);
  }

  @Test
  void refusals_of_the_CA_are_told_apart() throws Exception {
    Wallet wallet = wallet();
    authority.script =
        ScriptedAuthority.refusing(Status.PERMISSION_DENIED.withDescription("not on node-1"));
    wallet.enrolled(pod(1, FRONT));
    awaitCause(wallet, FRONT, "not-allowed");
    assertThat(report(wallet, FRONT).lastError()).contains("not on node-1");
    authority.script =
        ScriptedAuthority.refusing(Status.UNAUTHENTICATED.withDescription("token: expired"));
    awaitCause(wallet, FRONT, "token-refused");
    authority.script = authority::issue;
    held(wallet, FRONT);
    assertThat(report(wallet, FRONT).failures()).isZero();
    Exposition metrics = new Exposition();
    wallet.write(metrics);
    assertThat(metrics.toString())
        .contains("weir_cert_identities{state=\"available\"} 1")
        .containsPattern("weir_cert_fetch_failures_total\\{cause=\"not-allowed\"} [1-9]")
        .containsPattern("weir_cert_fetch_failures_total\\{cause=\"token-refused\"} [1-9]");
  }

  @Test
  void a_CA_of_another_root_or_another_name_is_not_trusted() throws Exception {
    try (ScriptedAuthority impostor =
            new ScriptedAuthority(mesh, new TestAuthority("evil"), "127.0.0.1", 0);
        ScriptedAuthority misnamed = new ScriptedAuthority(mesh, mesh, "127.0.0.9", 0)) {
      Wallet first = wallet(impostor.port(), null);
      first.enrolled(pod(1, FRONT));
      awaitCause(first, FRONT, "ca-not-trusted");
      assertThat(report(first, FRONT).lastError()).contains("untrusted");
      Wallet second = wallet(misnamed.port(), null);
      second.enrolled(pod(1, FRONT));
      awaitCause(second, FRONT, "ca-not-trusted");
      assertThat(report(second, FRONT).lastError()).contains("not for 127.0.0.1");
      assertThat(impostor.asked).as("requests that an impostor saw").isEmpty();
      assertThat(misnamed.asked).isEmpty();
    }
  }

  @Test
  void a_token_file_that_is_not_there_is_named_and_read_when_it_comes() throws Exception {
    Path token = folder.resolve("token");
    Files.delete(token);
    Wallet wallet = wallet();
    wallet.enrolled(pod(1, FRONT));
    awaitCause(wallet, FRONT, "token-unreadable");
    assertThat(report(wallet, FRONT).lastError()).contains(token.toString());
    Files.writeString(token, "fresh");
    held(wallet, FRONT);
  }

  @Test
  void without_a_CA_who_asks_is_told_so() throws Exception {
    Wallet none =
        new Wallet(
            null,
            null,
            clock,
            RandomGenerator.getDefault(),
            new Logs(System.err, InstantSource.system(), Level.INFO).room("identity"));
    open.add(none);
    none.enrolled(pod(1, FRONT));
    assertThat(none.current(FRONT)).isNull();
    assertThat(reason(obtain(none, FRONT))).contains("without --ca");
  }

  @Test
  void a_new_root_comes_to_every_identity_without_waiting_for_half_life() throws Exception {
    rootsWithin = Duration.ofSeconds(1);
    Wallet wallet = wallet();
    wallet.enrolled(pod(1, FRONT));
    wallet.enrolled(pod(2, CART));
    Credentials before = held(wallet, FRONT);
    held(wallet, CART);
    // First both roots are trusted, then the new one signs, then the old one goes.
    TestAuthority next = new TestAuthority("next");
    authority.roots.add(next.root);
    await().atMost(SOON).until(() -> report(wallet, CART).roots().size() == 2);
    await().atMost(SOON).until(() -> held(wallet, FRONT).generation() > before.generation());
    authority.signing = next;
    await()
        .atMost(SOON)
        .until(
            () -> issuer(wallet, FRONT).contains("next") && issuer(wallet, CART).contains("next"));
    authority.roots.removeFirst();
    await().atMost(SOON).until(() -> report(wallet, FRONT).roots().size() == 1);
    assertThat(report(wallet, FRONT).failures()).isZero();
  }

  private static String issuer(Wallet wallet, String identity) {
    return held(wallet, identity).certificate().getIssuerX500Principal().getName();
  }

  @Test
  void at_most_eight_are_asked_for_at_once_and_those_first_for_whom_somebody_waits()
      throws Exception {
    List<Runnable> held = new CopyOnWriteArrayList<>();
    authority.script = (asked, to) -> held.add(() -> authority.issue(asked, to));
    Wallet wallet = wallet();
    for (int i = 0; i < 20; i++) {
      wallet.enrolled(pod(i, FRONT + i));
    }
    await().atMost(SOON).until(() -> held.size() == 8);
    CompletableFuture<Obtained> answer = new CompletableFuture<>();
    wallet.obtain(FRONT + 19, LOOPS.next(), answer::complete);
    for (int i = 0; i < 8; i++) {
      authority.next();
    }
    assertThat(authority.asked).isEmpty();
    await().atMost(SOON).until(() -> wallet.certificates().size() == 20);
    held.removeFirst().run();
    assertThat(authority.next().identity()).isEqualTo(FRONT + 19);
    AtomicInteger done = new AtomicInteger();
    authority.script = authority::issue;
    held.forEach(each -> {
      each.run();
      done.incrementAndGet();
    });
    assertThat(done).hasValueGreaterThanOrEqualTo(7);
    for (int i = 0; i < 20; i++) {
      held(wallet, FRONT + i);
    }
    assertThat(answer.get(10, TimeUnit.SECONDS)).isInstanceOf(Obtained.Have.class);
  }

  @Test
  void a_revoked_certificate_is_known_once_the_list_names_it() throws Exception {
    Path crl = folder.resolve("crl.pem");
    TestAuthority.Held bad = mesh.issue(TestAuthority.Leaf.of(CART));
    TestAuthority.Held good = mesh.issue(TestAuthority.Leaf.of(CART));
    Files.writeString(crl, mesh.crl());
    Wallet wallet = wallet(authority.port(), crl);
    AtomicInteger told = new AtomicInteger();
    wallet.onRevocation(told::incrementAndGet);
    wallet.enrolled(pod(1, FRONT));
    held(wallet, FRONT);
    assertThat(wallet.revoked(bad.certificate())).isFalse();
    // A list by somebody else says nothing; what cannot be read leaves the former in force.
    replace(crl, new TestAuthority("mesh").crl(bad.certificate()));
    await().atMost(SOON).until(() -> crlProblem(wallet).contains("nobody whom this node knows is"));
    replace(crl, mesh.crl(bad.certificate()));
    await().atMost(SOON).until(() -> wallet.revoked(bad.certificate()));
    assertThat(wallet.revoked(good.certificate())).isFalse();
    assertThat(told).hasValue(1);
    assertThat(crlProblem(wallet)).isEmpty();
    replace(crl, "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n");
    await().atMost(SOON).until(() -> crlProblem(wallet).contains("the former stays in force"));
    replace(crl, mesh.crl(bad.certificate(), good.certificate()));
    await().atMost(SOON).until(() -> wallet.revoked(good.certificate()));
    assertThat(wallet.revoked(bad.certificate())).isTrue();
  }

  @Test
  void a_pod_s_own_certificate_that_is_revoked_is_told() throws Exception {
    Path crl = folder.resolve("crl.pem");
    Files.writeString(crl, mesh.crl());
    Wallet wallet = wallet(authority.port(), crl);
    wallet.enrolled(pod(1, FRONT));
    Credentials own = held(wallet, FRONT);
    authority.script = (_, _) -> {};
    replace(crl, mesh.crl(own.certificate()));
    await()
        .atMost(SOON)
        .untilAsserted(() ->
            assertThat(wallet.certificates())
                .extracting(
                    CertificateReport::state,
                    CertificateReport::lastCause,
                    CertificateReport::lastError)
                .containsExactly(
                    tuple(
                        CertificateReport.State.REVOKED,
                        "revoked",
                        "the CRL names serial " + own.serial())));
    assertThat(wallet.current(FRONT)).as("nobody is to show it").isNull();
  }

  @Test
  void who_is_revoked_asks_at_once_for_another_certificate() throws Exception {
    Path crl = folder.resolve("crl.pem");
    Files.writeString(crl, mesh.crl());
    Wallet wallet = wallet(authority.port(), crl);
    List<Credentials> told = new CopyOnWriteArrayList<>();
    wallet.onRotation(told::add);
    wallet.enrolled(pod(1, FRONT));
    wallet.enrolled(pod(2, CART));
    Credentials own = held(wallet, FRONT);
    Credentials other = held(wallet, CART);
    Object key = keyAsked(FRONT);
    replace(crl, mesh.crl(own.certificate()));
    await()
        .atMost(SOON)
        .until(() -> wallet.revoked(own.certificate()) && wallet.current(FRONT) != null);
    Credentials fresh = held(wallet, FRONT);
    assertThat(fresh.serial()).isNotEqualTo(own.serial());
    assertThat(keyAsked(FRONT)).isNotEqualTo(key);
    assertThat(told).contains(fresh);
    assertThat(wallet.current(CART)).as("who is not named").isSameAs(other);
    assertThat(report(wallet, FRONT).state()).isEqualTo(CertificateReport.State.AVAILABLE);
    assertThat(authority.asked).extracting(ScriptedAuthority.Asked::identity).isEmpty();
  }

  @Test
  void who_is_revoked_while_the_CA_refuses_tries_on_and_connections_wait_for_it() throws Exception {
    Path crl = folder.resolve("crl.pem");
    Files.writeString(crl, mesh.crl());
    Wallet wallet = wallet(authority.port(), crl);
    wallet.enrolled(pod(1, FRONT));
    Credentials own = held(wallet, FRONT);
    keyAsked(FRONT);
    authority.script = ScriptedAuthority.refusing(Status.UNAVAILABLE);
    replace(crl, mesh.crl(own.certificate()));
    keyAsked(FRONT);
    keyAsked(FRONT);
    assertThat(wallet.current(FRONT)).isNull();
    authority.script = authority::issue;
    await()
        .atMost(SOON)
        .until(() ->
            obtain(wallet, FRONT) instanceof Obtained.Have(Credentials fresh)
                && !fresh.serial().equals(own.serial()));
  }

  @Test
  void who_was_revoked_by_mistake_is_in_force_again_when_the_list_is_mended() throws Exception {
    Path crl = folder.resolve("crl.pem");
    Files.writeString(crl, mesh.crl());
    Wallet wallet = wallet(authority.port(), crl);
    wallet.enrolled(pod(1, FRONT));
    Credentials own = held(wallet, FRONT);
    authority.script = ScriptedAuthority.refusing(Status.UNAVAILABLE);
    replace(crl, mesh.crl(own.certificate()));
    await().atMost(SOON).until(() -> wallet.current(FRONT) == null);
    replace(crl, mesh.crl());
    await().atMost(SOON).until(() -> wallet.current(FRONT) == own);
  }

  /** The key of the next request, which must be for that identity. */
  private Object keyAsked(String identity) throws InterruptedException {
    ScriptedAuthority.Asked next = authority.next();
    while (!next.identity().equals(identity)) {
      next = authority.next();
    }
    return next.key();
  }

  private static String crlProblem(Wallet wallet) {
    return Objects.requireNonNull(wallet.crl()).problem();
  }

  private static void replace(Path file, String text) throws IOException {
    Path fresh = file.resolveSibling(file.getFileName() + ".new");
    Files.writeString(fresh, text);
    Files.move(fresh, file, StandardCopyOption.ATOMIC_MOVE);
  }
}
