package dev.weir.agent.identity;

import dev.weir.api.model.SpiffeId;
import io.netty.handler.ssl.SslHandler;
import io.netty.util.concurrent.EventExecutor;
import java.security.cert.X509Certificate;
import java.time.Duration;
import java.time.InstantSource;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.function.Consumer;
import javax.net.ssl.SSLException;
import org.jspecify.annotations.Nullable;

/** Identities with real certificates of a root of their own, made when asked for. */
public final class TestIdentities implements Identities {
  private final TestAuthority authority = new TestAuthority("test");
  private final Map<String, Credentials> made = new ConcurrentHashMap<>();
  private final List<Runnable> revocationListeners = new CopyOnWriteArrayList<>();
  private final Set<X509Certificate> revoked = ConcurrentHashMap.newKeySet();

  /** The key answers with another name than its own: as if an address had gone to somebody else. */
  public final Map<String, String> impostors = new ConcurrentHashMap<>();

  /** Identities that nobody certifies. */
  public final Set<String> uncertified = ConcurrentHashMap.newKeySet();

  private final Map<String, TestAuthority.Held> held = new ConcurrentHashMap<>();
  private long generation;

  @Override
  public @Nullable Credentials current(String identity) {
    return uncertified.contains(identity)
        ? null
        : made.computeIfAbsent(impostors.getOrDefault(identity, identity), this::make);
  }

  @Override
  public void obtain(String identity, EventExecutor loop, Consumer<Obtained> answer) {
    Credentials found = current(identity);
    loop.execute(() ->
        answer.accept(
            found == null
                ? new Obtained.Failed("the test's CA refuses")
                : new Obtained.Have(found)));
  }

  /** Another implementation's end of a handshake, which calls with the certificate in force. */
  public SslHandler strangerCalling(String identity) {
    return TlsPeers.client(held(identity), "TLSv1.3", "h2");
  }

  /** The same, which is called. */
  public SslHandler strangerCalled(String identity) {
    return TlsPeers.server(held(identity), "TLSv1.3", "h2");
  }

  private TestAuthority.Held held(String identity) {
    if (current(identity) == null) {
      throw new IllegalStateException(identity + " has no certificate");
    }
    return Objects.requireNonNull(held.get(impostors.getOrDefault(identity, identity)));
  }

  /** The next to be asked for is a new certificate. */
  public void rotate(String identity) {
    made.remove(identity);
  }

  /** The certificate in force is none any more, for those who ask. */
  public void revoke(String identity) {
    revoke(identity, made.get(identity));
  }

  /** The same, and the next to be asked for is a new one. */
  public void revokeAndRenew(String identity) {
    revoke(identity, made.remove(identity));
  }

  private void revoke(String identity, @Nullable Credentials held) {
    if (held == null) {
      throw new IllegalStateException(identity + " has no certificate");
    }
    revoked.add(held.certificate());
    revocationListeners.forEach(Runnable::run);
  }

  @Override
  public void onRotation(Consumer<Credentials> listener) {
    // Nobody here changes roots.
  }

  @Override
  public void onRevocation(Runnable listener) {
    revocationListeners.add(listener);
  }

  @Override
  public boolean revoked(X509Certificate peer) {
    return revoked.contains(peer);
  }

  private synchronized Credentials make(String identity) {
    TestAuthority.Held issued = authority.issue(TestAuthority.Leaf.of(identity));
    held.put(identity, issued);
    if (!(SpiffeId.parse(identity) instanceof SpiffeId.Valid(SpiffeId own))) {
      throw new IllegalArgumentException(identity);
    }
    TrustRoots roots = new TrustRoots(1, List.of(authority.root));
    try {
      Tls tls =
          new Tls(
              identity,
              issued.pair().getPrivate(),
              issued.chain(),
              new PeerVerifier(own, () -> roots, this::revoked, InstantSource.system()),
              Duration.ofSeconds(5));
      return new Credentials(identity, ++generation, List.of(issued.chain()), tls);
    } catch (SSLException e) {
      throw new IllegalStateException(e);
    }
  }
}
