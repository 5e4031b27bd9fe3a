package dev.weir.agent.identity;

import dev.weir.agent.capture.Pod;
import dev.weir.agent.capture.PodListener;
import dev.weir.agent.log.Log;
import dev.weir.agent.metrics.Exposition;
import dev.weir.agent.metrics.MetricSource;
import dev.weir.api.model.SpiffeId;
import io.netty.util.concurrent.EventExecutor;
import java.security.GeneralSecurityException;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.cert.CertificateException;
import java.security.cert.CertificateExpiredException;
import java.security.cert.CertificateNotYetValidException;
import java.security.cert.X509Certificate;
import java.security.spec.ECGenParameterSpec;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.Date;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Consumer;
import java.util.random.RandomGenerator;
import javax.net.ssl.SSLException;
import org.jspecify.annotations.Nullable;

/**
 * Holds what this node's pods show of themselves. An identity is asked for when its first pod is
 * enrolled and forgotten with its last. It is renewed at half its life, spread a little; a failure
 * is tried again after 0.5 s, doubled up to 150 s, and each second where a connection waits, or for
 * the first minute of an identity that has nothing in force. What is in force stays so until it
 * expires, whatever the CA does meanwhile, or until the CRL names it: then another one is asked for
 * at once, and until that comes there is none.
 *
 * <p>Roots come with every certificate. Where they differ from those in force they are trusted at
 * once by all contexts, and all identities are asked for again, since what signs may have changed
 * with them. So that nodes whose certificates live long notice, too, one identity is renewed
 * whenever nothing was heard from the CA for {@link IdentityOptions#rootsWithin}.
 */
public final class Wallet implements Identities, PodListener, MetricSource, AutoCloseable {
  /** As many as ztunnel. */
  private static final int MOST_AT_ONCE = 8;

  private static final Duration FIRST_WAIT = Duration.ofMillis(500);
  private static final Duration MOST_WAIT = Duration.ofSeconds(150);

  /**
   * For so many failures in a row, a minute or more, who has no certificate at all asks each
   * second: without one its pods are reached by nobody. Later it is the CA that is spared.
   */
  private static final int EAGER_TRIES = 60;

  /** Who waits makes the next try come, but not in a storm. */
  private static final Duration WAIT_WHEN_WANTED = Duration.ofSeconds(1);

  private static final Duration OBTAINED_WITHIN = Duration.ofSeconds(10);
  private static final Duration REQUEST_WITHIN = Duration.ofSeconds(5);
  private static final Duration HANDSHAKE_WITHIN = Duration.ofSeconds(10);
  private static final Duration REPLACED_LIVES_ON = Duration.ofMinutes(1);
  private static final Duration CLOSE_WITHIN = Duration.ofSeconds(1);
  private static final Duration LOOK_AT_CRL = Duration.ofSeconds(2);

  /** Failures in a row after which who asks is told at once, and not at the end of its wait. */
  private static final int HOPELESS = 3;

  private static final int MOST_WAITERS = 10_000;
  private static final int MOST_CHAIN = 8;

  private final @Nullable IdentityOptions options;
  private final @Nullable AuthorityClient authority;
  private final InstantSource clock;
  private final RandomGenerator random;
  private final Duration handshakeWithin;
  private final Log log;
  private final ScheduledThreadPoolExecutor thread;

  /** What event loops read. */
  private final Map<String, Credentials> inForce = new ConcurrentHashMap<>();

  private final List<Consumer<Credentials>> rotationListeners = new CopyOnWriteArrayList<>();
  private final List<Runnable> revocationListeners = new CopyOnWriteArrayList<>();
  private final @Nullable Revocations revocations;
  private volatile TrustRoots roots = TrustRoots.NONE;
  private volatile List<CertificateReport> report = List.of();
  private volatile boolean failing;
  private final AtomicLong fetches = new AtomicLong();
  private final AtomicLong rotations = new AtomicLong();
  private final Map<FetchFailure.Cause, AtomicLong> failures =
      new EnumMap<>(FetchFailure.Cause.class);

  // From here on the identity thread only.
  private final Map<String, Entry> entries = new LinkedHashMap<>();
  private final List<Credentials> retired = new ArrayList<>();
  private @Nullable ScheduledFuture<?> nextTurn;
  private int fetching;
  private int waiting;
  private long generation;
  private Instant heard = Instant.EPOCH;
  private boolean followingCrl;

  /** Somebody who needs an identity now. */
  private static final class Waiter {
    final EventExecutor loop;
    final Consumer<Obtained> answer;
    @Nullable ScheduledFuture<?> deadline;

    Waiter(EventExecutor loop, Consumer<Obtained> answer) {
      this.loop = loop;
      this.answer = answer;
    }
  }

  private static final class Entry {
    final String identity;
    int pods;
    @Nullable Credentials held;
    Instant due;
    Instant triedAt = Instant.EPOCH;
    boolean fetching;
    boolean forgotten;
    int failures;
    @Nullable FetchFailure lastFailure;
    final List<Waiter> waiters = new ArrayList<>();

    Entry(String identity, Instant due) {
      this.identity = identity;
      this.due = due;
    }
  }

  /**
   * @param options null where there is no CA: every request is answered by that
   * @param line to the CA; whoever opened it closes it, after this
   */
  public Wallet(
      @Nullable IdentityOptions options,
      @Nullable ControlLine line,
      InstantSource clock,
      RandomGenerator random,
      Log log) {
    this(options, line, clock, random, HANDSHAKE_WITHIN, log);
  }

  Wallet(
      @Nullable IdentityOptions options,
      @Nullable ControlLine line,
      InstantSource clock,
      RandomGenerator random,
      Duration handshakeWithin,
      Log log) {
    this.options = options;
    this.clock = clock;
    this.random = random;
    this.handshakeWithin = handshakeWithin;
    this.log = log;
    this.revocations =
        options == null || options.crl() == null ? null : new Revocations(options.crl(), log);
    for (FetchFailure.Cause cause : FetchFailure.Cause.values()) {
      failures.put(cause, new AtomicLong());
    }
    // Its thread begins with its first task.
    this.thread =
        new ScheduledThreadPoolExecutor(1, Thread.ofPlatform().daemon().name("identity").factory());
    this.authority = line == null ? null : new AuthorityClient(line, REQUEST_WITHIN, thread);
    thread.setRemoveOnCancelPolicy(true);
    thread.setExecuteExistingDelayedTasksAfterShutdownPolicy(false);
  }

  // ---- any thread

  @Override
  public @Nullable Credentials current(String identity) {
    Credentials known = inForce.get(identity);
    return known != null && clock.millis() < known.notAfterMillis() ? known : null;
  }

  @Override
  public void obtain(String identity, EventExecutor on, Consumer<Obtained> answer) {
    Credentials known = current(identity);
    if (known != null) {
      on.execute(() -> answer.accept(new Obtained.Have(known)));
      return;
    }
    if (options == null) {
      on.execute(
          () -> answer.accept(new Obtained.Failed("no CA: the agent was started without --ca")));
      return;
    }
    try {
      thread.execute(() -> guarded(() -> await(identity, new Waiter(on, answer))));
    } catch (RejectedExecutionException e) {
      on.execute(() -> answer.accept(new Obtained.Failed("the agent is ending")));
    }
  }

  @Override
  public void onRotation(Consumer<Credentials> listener) {
    rotationListeners.add(listener);
  }

  @Override
  public void onRevocation(Runnable listener) {
    revocationListeners.add(listener);
  }

  @Override
  public boolean revoked(X509Certificate peer) {
    Revocations known = revocations;
    return known != null && known.names(peer);
  }

  /** How the CRL stands; null where none was asked for. */
  public @Nullable CrlReport crl() {
    Revocations known = revocations;
    return known == null ? null : known.report();
  }

  /**
   * The control plane has said something, so a failure of a moment ago may have healed: it is there
   * again, or knows a pod that it did not know.
   */
  public void controlPlaneSpoke() {
    if (failing) {
      post(() -> {
        for (Entry each : entries.values()) {
          if (each.failures > 0) {
            hurry(each);
          }
        }
      });
    }
  }

  /** How each identity stands. */
  public List<CertificateReport> certificates() {
    return report;
  }

  // ---- PodListener: the capture thread

  @Override
  public void enrolled(Pod pod) {
    if (options != null) {
      post(() -> add(pod.identity()));
    }
  }

  @Override
  public void changed(Pod before, Pod now) {
    if (options != null && !before.identity().equals(now.identity())) {
      post(() -> {
        add(now.identity());
        remove(before.identity());
      });
    }
  }

  @Override
  public void withdrawn(Pod pod) {
    if (options != null) {
      post(() -> remove(pod.identity()));
    }
  }

  private void post(Runnable news) {
    try {
      thread.execute(() -> guarded(news));
    } catch (RejectedExecutionException e) {
      log.debug("pods come and go after the end", "reason", String.valueOf(e.getMessage()));
    }
  }

  // ---- the identity thread

  private void guarded(Runnable work) {
    try {
      work.run();
      turn();
    } catch (RuntimeException | LinkageError e) {
      // One identity's trouble must not end the others' renewals; a LinkageError is a machine for
      // which there is no BoringSSL.
      log.error("identities", "reason", e);
    }
  }

  private void add(String identity) {
    Entry known = entries.get(identity);
    if (known == null) {
      known = new Entry(identity, clock.instant());
      entries.put(identity, known);
    }
    known.pods++;
    followCrl();
  }

  private void remove(String identity) {
    Entry known = entries.get(identity);
    if (known == null || --known.pods > 0) {
      return;
    }
    entries.remove(identity);
    known.forgotten = true;
    inForce.remove(identity);
    answer(known, new Obtained.Failed("the last pod of " + identity + " has gone"));
    retire(known.held);
    known.held = null;
  }

  private void await(String identity, Waiter waiter) {
    Entry known = entries.get(identity);
    Credentials held = current(identity);
    FetchFailure last = known == null ? null : known.lastFailure;
    if (held != null) {
      tell(waiter, new Obtained.Have(held));
    } else if (known == null) {
      tell(waiter, new Obtained.Failed("no pod of " + identity + " is enrolled on this node"));
    } else if (waiting >= MOST_WAITERS) {
      tell(waiter, new Obtained.Failed(waiting + " connections wait for certificates already"));
    } else {
      hurry(known);
      if (last != null && known.failures >= HOPELESS && failedJustNow(known)) {
        tell(waiter, new Obtained.Failed(last.reason()));
        return;
      }
      known.waiters.add(waiter);
      waiting++;
      waiter.deadline =
          thread.schedule(
              () -> {
                if (known.waiters.remove(waiter)) {
                  waiting--;
                  FetchFailure why = known.lastFailure;
                  tell(
                      waiter,
                      new Obtained.Failed(
                          why == null
                              ? "no certificate of " + identity + " came within 10 s"
                              : why.reason()));
                }
              },
              OBTAINED_WITHIN.toMillis(),
              TimeUnit.MILLISECONDS);
    }
  }

  /** Otherwise a try is under way, or begins with this request. */
  private boolean failedJustNow(Entry entry) {
    return !entry.fetching && clock.instant().isBefore(entry.triedAt.plus(WAIT_WHEN_WANTED));
  }

  private static void hurry(Entry entry) {
    Instant soon = entry.triedAt.plus(WAIT_WHEN_WANTED);
    if (!entry.fetching && soon.isBefore(entry.due)) {
      entry.due = soon;
    }
  }

  private void answer(Entry entry, Obtained obtained) {
    List<Waiter> all = List.copyOf(entry.waiters);
    entry.waiters.clear();
    waiting -= all.size();
    for (Waiter each : all) {
      ScheduledFuture<?> deadline = each.deadline;
      if (deadline != null) {
        deadline.cancel(false);
      }
      tell(each, obtained);
    }
  }

  private void tell(Waiter waiter, Obtained obtained) {
    try {
      waiter.loop.execute(() -> waiter.answer.accept(obtained));
    } catch (RejectedExecutionException e) {
      log.debug("who waited has ended", "reason", String.valueOf(e.getMessage()));
    }
  }

  /** Begins what is due, those first for whom somebody waits, and comes back for the rest. */
  private void turn() {
    Instant now = clock.instant();
    askForRoots(now);
    List<Entry> due = new ArrayList<>();
    for (Entry each : entries.values()) {
      if (!each.fetching && !each.due.isAfter(now)) {
        due.add(each);
      }
    }
    due.sort(
        Comparator.comparing((Entry entry) -> entry.waiters.isEmpty())
            .thenComparing(entry -> entry.due));
    for (Entry each : due) {
      if (fetching == MOST_AT_ONCE) {
        break;
      }
      if (!each.fetching) {
        fetch(each);
      }
    }
    // After the requests: one that fails at once has a new time already.
    Instant next = now.plus(MOST_WAIT);
    for (Entry each : entries.values()) {
      if (!each.fetching && each.due.isAfter(now) && each.due.isBefore(next)) {
        next = each.due;
      }
    }
    report(now);
    ScheduledFuture<?> before = nextTurn;
    if (before != null) {
      before.cancel(false);
    }
    if (!entries.isEmpty() && !thread.isShutdown()) {
      // With all places taken, the end of a request is the next turn.
      long millis = Math.max(1, Math.min(Duration.between(now, next).toMillis(), rootsMillis()));
      nextTurn = thread.schedule(() -> guarded(() -> {}), millis, TimeUnit.MILLISECONDS);
    }
  }

  private long rootsMillis() {
    return options == null ? MOST_WAIT.toMillis() : options.rootsWithin().toMillis();
  }

  /** An identity that does well is renewed early where the CA was silent for long. */
  private void askForRoots(Instant now) {
    if (heard.plusMillis(rootsMillis()).isAfter(now)) {
      return;
    }
    Entry oldest = null;
    for (Entry each : entries.values()) {
      Credentials held = each.held;
      Credentials other = oldest == null ? null : oldest.held;
      if (each.fetching || each.failures > 0) {
        // It is asking, or will.
        return;
      }
      if (held != null && (other == null || held.notAfter().isBefore(other.notAfter()))) {
        oldest = each;
      }
    }
    if (oldest != null && oldest.due.isAfter(now)) {
      oldest.due = now;
    }
  }

  private void fetch(Entry entry) {
    IdentityOptions asked = Objects.requireNonNull(options);
    entry.fetching = true;
    entry.triedAt = clock.instant();
    fetching++;
    fetches.incrementAndGet();
    KeyPair pair;
    String csr;
    AuthorityClient client = Objects.requireNonNull(authority, "a CA without a line to it");
    try {
      pair = newPair();
      csr = SigningRequest.pem(pair, entry.identity);
    } catch (GeneralSecurityException | RuntimeException e) {
      failed(
          entry,
          new FetchFailure(FetchFailure.Cause.UNUSABLE, "no key can be made here: " + reason(e)));
      return;
    }
    client.request(
        entry.identity,
        csr,
        asked.life(),
        new AuthorityClient.Answer() {
          @Override
          public void chain(List<String> pems) {
            guarded(() -> take(entry, pair, pems));
          }

          @Override
          public void failed(FetchFailure failure) {
            guarded(() -> Wallet.this.failed(entry, failure));
          }
        });
  }

  private static KeyPair newPair() throws GeneralSecurityException {
    KeyPairGenerator generator = KeyPairGenerator.getInstance("EC");
    generator.initialize(new ECGenParameterSpec("secp256r1"));
    return generator.generateKeyPair();
  }

  private void take(Entry entry, KeyPair pair, List<String> pems) {
    if (entry.forgotten) {
      entry.fetching = false;
      fetching--;
      return;
    }
    try {
      List<X509Certificate> chain = new ArrayList<>();
      for (String pem : pems.subList(0, Math.max(0, pems.size() - 1))) {
        chain.addAll(PemFile.certificates(pem));
      }
      List<X509Certificate> bundle =
          pems.isEmpty() ? List.of() : PemFile.certificates(pems.getLast());
      check(entry, pair, chain, bundle);
      TrustRoots before = roots;
      boolean otherRoots = !before.same(bundle);
      TrustRoots next = otherRoots ? new TrustRoots(before.generation() + 1, bundle) : before;
      next.check(chain.toArray(X509Certificate[]::new), clock.instant());
      SpiffeId own = own(entry.identity);
      trust(next);
      Tls tls = null;
      try {
        tls =
            new Tls(
                entry.identity,
                pair.getPrivate(),
                chain.toArray(X509Certificate[]::new),
                new PeerVerifier(own, () -> roots, this::revoked, clock),
                handshakeWithin);
      } finally {
        if (tls == null) {
          trust(before);
        }
      }
      entry.fetching = false;
      fetching--;
      put(entry, new Credentials(entry.identity, ++generation, chain, tls));
      if (otherRoots) {
        rootsChanged(entry);
      }
    } catch (PeerRefused e) {
      failed(entry, failure(e));
    } catch (CertificateException e) {
      failed(
          entry,
          new FetchFailure(
              FetchFailure.Cause.BAD_ANSWER, "the CA's answer cannot be used: " + e.getMessage()));
    } catch (SSLException | RuntimeException e) {
      failed(
          entry,
          new FetchFailure(
              FetchFailure.Cause.UNUSABLE, "the new certificate makes no handshake: " + reason(e)));
    }
  }

  private void trust(TrustRoots now) {
    roots = now;
    if (authority != null) {
      authority.learn(now);
    }
  }

  private static String reason(Throwable e) {
    PeerRefused refused = PeerRefused.of(e);
    Throwable told = refused == null ? e : refused;
    return told.getMessage() == null ? told.toString() : told.getMessage();
  }

  private static FetchFailure failure(PeerRefused e) {
    return switch (e.why()) {
      case EXPIRED, NOT_YET_VALID ->
          new FetchFailure(
              FetchFailure.Cause.CLOCK,
              "the CA's certificate is not valid by this node's clock: " + e.getMessage());
      case WRONG_IDENTITY ->
          new FetchFailure(FetchFailure.Cause.WRONG_IDENTITY, String.valueOf(e.getMessage()));
      default ->
          new FetchFailure(
              FetchFailure.Cause.BAD_ANSWER, "the CA's answer cannot be used: " + e.getMessage());
    };
  }

  private void check(
      Entry entry, KeyPair pair, List<X509Certificate> chain, List<X509Certificate> bundle)
      throws CertificateException {
    if (chain.isEmpty() || chain.size() > MOST_CHAIN || bundle.isEmpty()) {
      throw new CertificateException(
          "%d certificates and %d roots (expected: a leaf, its issuers, then roots)"
              .formatted(chain.size(), bundle.size()));
    }
    X509Certificate leaf = chain.getFirst();
    if (!leaf.getPublicKey().equals(pair.getPublic())) {
      throw new CertificateException("it is not for the key that was sent");
    }
    SpiffeId is = SpiffeSan.of(leaf);
    if (!is.toString().equals(entry.identity)) {
      throw new PeerRefused(
          PeerRefused.Cause.WRONG_IDENTITY,
          "the CA gave a certificate of %s (expected: %s)".formatted(is, entry.identity));
    }
    try {
      leaf.checkValidity(Date.from(clock.instant()));
    } catch (CertificateExpiredException e) {
      throw new PeerRefused(PeerRefused.Cause.EXPIRED, String.valueOf(e.getMessage()), e);
    } catch (CertificateNotYetValidException e) {
      throw new PeerRefused(PeerRefused.Cause.NOT_YET_VALID, String.valueOf(e.getMessage()), e);
    }
  }

  private static SpiffeId own(String identity) throws PeerRefused {
    return switch (SpiffeId.parse(identity)) {
      case SpiffeId.Valid valid -> valid.id();
      case SpiffeId.Invalid invalid ->
          throw new PeerRefused(PeerRefused.Cause.MALFORMED_SAN, invalid.reason());
    };
  }

  private void put(Entry entry, Credentials fresh) {
    Credentials before = entry.held;
    Instant now = clock.instant();
    heard = now;
    entry.held = fresh;
    entry.failures = 0;
    entry.lastFailure = null;
    Duration left = Duration.between(now, fresh.notAfter());
    // A node whose clock is behind sees more life than there is.
    Duration life = left.compareTo(lifeAsked()) > 0 ? lifeAsked() : left;
    long half = life.toMillis() / 2;
    entry.due = now.plusMillis(half - random.nextLong(half / 10 + 1));
    inForce.put(entry.identity, fresh);
    if (before == null) {
      log.info(
          "certificate",
          "identity",
          entry.identity,
          "serial",
          fresh.serial(),
          "until",
          fresh.notAfter());
    } else {
      rotations.incrementAndGet();
      log.debug(
          "certificate renewed",
          "identity",
          entry.identity,
          "serial",
          fresh.serial(),
          "until",
          fresh.notAfter());
    }
    answer(entry, new Obtained.Have(fresh));
    tellRotation(fresh);
    retire(before);
  }

  private Duration lifeAsked() {
    return options == null ? Duration.ofDays(1) : options.life();
  }

  private void tellRotation(Credentials fresh) {
    for (Consumer<Credentials> listener : rotationListeners) {
      try {
        listener.accept(fresh);
      } catch (RuntimeException e) {
        log.error("a room could not follow a rotation", "reason", e);
      }
    }
  }

  /** New roots hold for all; and what signs may have changed with them. */
  private void rootsChanged(Entry by) {
    log.info("trusted roots", "generation", roots.generation(), "roots", roots.roots().size());
    Instant now = clock.instant();
    for (Entry each : entries.values()) {
      Credentials held = each.held;
      if (each.equals(by) || held == null) {
        continue;
      }
      Credentials same =
          new Credentials(each.identity, ++generation, held.chain(), held.tls().retain());
      each.held = same;
      // One that is revoked is not in force, and other roots do not change that.
      if (inForce.replace(each.identity, same) != null) {
        tellRotation(same);
      }
      retire(held);
      if (each.failures == 0) {
        each.due = now;
      }
    }
  }

  private void retire(@Nullable Credentials old) {
    if (old != null) {
      // Somebody may have asked for it a moment ago and make a handler of it in the next.
      retired.add(old);
      var _ =
          thread.schedule(
              () -> {
                retired.remove(old);
                old.tls().release();
              },
              REPLACED_LIVES_ON.toMillis(),
              TimeUnit.MILLISECONDS);
    }
  }

  private void failed(Entry entry, FetchFailure failure) {
    entry.fetching = false;
    fetching--;
    AtomicLong counter = failures.get(failure.cause());
    if (counter != null) {
      counter.incrementAndGet();
    }
    if (entry.forgotten) {
      return;
    }
    entry.failures++;
    FetchFailure before = entry.lastFailure;
    entry.lastFailure = failure;
    long whole = waitMillis(entry.failures, current(entry.identity) == null);
    // 20 % to either side, so that identities do not march; never over the most.
    long wait = Math.min(MOST_WAIT.toMillis(), whole * 4 / 5 + random.nextLong(whole * 2 / 5 + 1));
    entry.due = clock.instant().plusMillis(wait);
    Credentials held = entry.held;
    // The same answer at each try is not news.
    if (before == null || !before.reason().equals(failure.reason())) {
      log.warn(
          "no certificate",
          "identity",
          entry.identity,
          "cause",
          failure.cause().label(),
          "reason",
          failure.reason(),
          "in-force-until",
          held == null ? "none" : held.notAfter());
    }
    if (entry.failures >= HOPELESS) {
      answer(entry, new Obtained.Failed(failure.reason()));
    } else if (!entry.waiters.isEmpty()) {
      hurry(entry);
    }
  }

  /**
   * Before the next try.
   *
   * @param failures in a row
   * @param bare nothing is in force
   */
  static long waitMillis(int failures, boolean bare) {
    int doubled = failures - 1;
    if (bare) {
      doubled = Math.min(doubled, Math.max(1, failures - EAGER_TRIES));
    }
    return Math.min(MOST_WAIT.toMillis(), FIRST_WAIT.toMillis() << Math.min(doubled, 10));
  }

  private void followCrl() {
    if (!followingCrl && revocations != null) {
      followingCrl = true;
      var _ =
          thread.scheduleWithFixedDelay(
              () -> guarded(this::lookAtCrl), 0, LOOK_AT_CRL.toMillis(), TimeUnit.MILLISECONDS);
    }
  }

  private void lookAtCrl() {
    Revocations known = revocations;
    if (known == null || roots.roots().isEmpty()) {
      return;
    }
    List<X509Certificate> issuers = new ArrayList<>(roots.roots());
    for (Entry each : entries.values()) {
      Credentials held = each.held;
      if (held != null) {
        issuers.addAll(held.chain().subList(1, held.chain().size()));
      }
    }
    if (known.look(issuers)) {
      judgeOwn();
      report(clock.instant());
      for (Runnable listener : revocationListeners) {
        listener.run();
      }
    }
  }

  /**
   * Takes certificates that the CRL names out of force, so that nobody makes a tunnel with them,
   * and asks for others; one that it names no more is as good as before.
   */
  private void judgeOwn() {
    for (Entry each : entries.values()) {
      Credentials held = each.held;
      if (held == null) {
        continue;
      }
      if (!revoked(held.certificate())) {
        if (inForce.putIfAbsent(each.identity, held) == null) {
          answer(each, new Obtained.Have(held));
        }
      } else if (inForce.remove(each.identity, held)) {
        log.warn(
            "certificate revoked: asking for another",
            "identity",
            each.identity,
            "serial",
            held.serial());
        hurry(each);
      }
    }
  }

  private void report(Instant now) {
    List<CertificateReport> all = new ArrayList<>(entries.size());
    List<X509Certificate> trusted = roots.roots();
    for (Entry each : entries.values()) {
      Credentials held = each.held;
      FetchFailure failure = each.lastFailure;
      CertificateReport.State state;
      if (held == null) {
        state =
            failure == null
                ? CertificateReport.State.INITIALIZING
                : CertificateReport.State.UNAVAILABLE;
      } else {
        state =
            !held.notAfter().isAfter(now)
                ? CertificateReport.State.EXPIRED
                : revoked(held.certificate())
                    ? CertificateReport.State.REVOKED
                    : CertificateReport.State.AVAILABLE;
      }
      boolean named = state == CertificateReport.State.REVOKED;
      all.add(
          new CertificateReport(
              each.identity,
              state,
              each.pods,
              held == null ? 0 : held.generation(),
              held == null ? List.of() : held.chain(),
              trusted,
              each.fetching ? null : each.due,
              each.failures,
              named ? "revoked" : failure == null ? "" : failure.cause().label(),
              named && held != null
                  ? "the CRL names serial "
                      + held.serial()
                      + (failure == null ? "" : "; no other yet: " + failure.reason())
                  : failure == null ? "" : failure.reason()));
    }
    report = List.copyOf(all);
    failing = all.stream().anyMatch(each -> each.failures() > 0);
  }

  @Override
  public void write(Exposition out) {
    Instant now = clock.instant();
    long available = 0;
    long soonest = Long.MAX_VALUE;
    long oldest = 0;
    List<CertificateReport> all = report;
    for (CertificateReport each : all) {
      if (!each.chain().isEmpty()) {
        X509Certificate leaf = each.chain().getFirst();
        long left = Duration.between(now, leaf.getNotAfter().toInstant()).toSeconds();
        soonest = Math.min(soonest, left);
        oldest =
            Math.max(oldest, Duration.between(leaf.getNotBefore().toInstant(), now).toSeconds());
        available += left > 0 && each.state() != CertificateReport.State.REVOKED ? 1 : 0;
      }
    }
    out.family("weir_cert_identities", Exposition.Kind.GAUGE, "Identities of enrolled pods.");
    out.sample("weir_cert_identities", Exposition.labels("state", "available"), available);
    out.sample(
        "weir_cert_identities", Exposition.labels("state", "missing"), all.size() - available);
    if (soonest != Long.MAX_VALUE) {
      out.single(
          "weir_cert_soonest_expiry_seconds",
          Exposition.Kind.GAUGE,
          "Until the first certificate expires; negative where one has.",
          soonest);
      out.single(
          "weir_cert_oldest_age_seconds",
          Exposition.Kind.GAUGE,
          "Age of the oldest certificate in force.",
          oldest);
    }
    out.single("weir_cert_roots", Exposition.Kind.GAUGE, "Trusted roots.", roots.roots().size());
    out.single(
        "weir_cert_revoked",
        Exposition.Kind.GAUGE,
        "Certificates that the CRL names.",
        revocations == null ? 0 : revocations.report().names());
    out.single(
        "weir_cert_fetches_total",
        Exposition.Kind.COUNTER,
        "Requests for certificates.",
        fetches.get());
    out.single(
        "weir_cert_rotations_total",
        Exposition.Kind.COUNTER,
        "Certificates that replaced another.",
        rotations.get());
    out.family(
        "weir_cert_fetch_failures_total",
        Exposition.Kind.COUNTER,
        "Requests for certificates that failed, by cause.");
    failures.forEach((cause, count) ->
        out.sample(
            "weir_cert_fetch_failures_total",
            Exposition.labels("cause", cause.label()),
            count.get()));
  }

  @Override
  public void close() {
    if (thread.getTaskCount() > 0) {
      try {
        thread.submit(this::end).get(CLOSE_WITHIN.toMillis(), TimeUnit.MILLISECONDS);
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
      } catch (ExecutionException | TimeoutException e) {
        log.warn("identities did not end in good order", "reason", e);
      }
    }
    thread.shutdownNow();
  }

  private void end() {
    for (Entry each : entries.values()) {
      answer(each, new Obtained.Failed("the agent is ending"));
      Credentials held = each.held;
      if (held != null) {
        retired.add(held);
      }
    }
    entries.clear();
    inForce.clear();
    retired.forEach(each -> each.tls().release());
    retired.clear();
  }
}
