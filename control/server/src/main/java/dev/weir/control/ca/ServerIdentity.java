package dev.weir.control.ca;

import java.net.Socket;
import java.security.KeyPair;
import java.security.Principal;
import java.security.PrivateKey;
import java.security.cert.X509Certificate;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import javax.net.ssl.SSLEngine;
import javax.net.ssl.X509ExtendedKeyManager;
import org.jspecify.annotations.Nullable;

/**
 * The TLS port's own certificate, by the CA that it serves. A handshake asks twice, for the name
 * and for what it stands for; the one before the current is kept for those in between.
 */
final class ServerIdentity extends X509ExtendedKeyManager {
  private static final Duration LIFE = Duration.ofDays(7);

  private record Held(String alias, PrivateKey key, X509Certificate[] chain, Instant renewAt) {}

  private final List<String> names;
  private volatile List<Held> held = List.of();
  private long count;

  ServerIdentity(List<String> names) {
    this.names = List.copyOf(names);
  }

  /** One thread. */
  void renew(Authority authority, Instant now) {
    KeyPair pair = Authority.newPair();
    Authority.Issued issued = authority.issueServer(pair.getPublic(), names, LIFE, now);
    List<X509Certificate> chain = new ArrayList<>(authority.issuers());
    chain.addFirst(issued.certificate());
    Instant end = issued.certificate().getNotAfter().toInstant();
    Held next =
        new Held(
            "weir-" + ++count,
            pair.getPrivate(),
            chain.toArray(X509Certificate[]::new),
            now.plus(Duration.between(now, end).dividedBy(2)));
    held = held.isEmpty() ? List.of(next) : List.of(next, held.getFirst());
  }

  boolean isDue(Instant now) {
    return held.isEmpty() || !now.isBefore(held.getFirst().renewAt());
  }

  Instant until() {
    List<Held> now = held;
    return now.isEmpty() ? Instant.EPOCH : now.getFirst().chain()[0].getNotAfter().toInstant();
  }

  private @Nullable Held named(String alias) {
    for (Held each : held) {
      if (each.alias().equals(alias)) {
        return each;
      }
    }
    return null;
  }

  @Override
  public @Nullable String chooseEngineServerAlias(
      String keyType, Principal @Nullable [] issuers, @Nullable SSLEngine engine) {
    List<Held> now = held;
    return keyType.equals("EC") && !now.isEmpty() ? now.getFirst().alias() : null;
  }

  @Override
  public X509Certificate @Nullable [] getCertificateChain(String alias) {
    Held one = named(alias);
    return one == null ? null : one.chain();
  }

  @Override
  public @Nullable PrivateKey getPrivateKey(String alias) {
    Held one = named(alias);
    return one == null ? null : one.key();
  }

  @Override
  public String @Nullable [] getServerAliases(String keyType, Principal @Nullable [] issuers) {
    String alias = chooseEngineServerAlias(keyType, issuers, null);
    return alias == null ? null : new String[] {alias};
  }

  @Override
  public @Nullable String chooseServerAlias(
      String keyType, Principal @Nullable [] issuers, @Nullable Socket socket) {
    return chooseEngineServerAlias(keyType, issuers, null);
  }

  @Override
  public String @Nullable [] getClientAliases(String keyType, Principal @Nullable [] issuers) {
    return null;
  }

  @Override
  public @Nullable String chooseClientAlias(
      String[] keyType, Principal @Nullable [] issuers, @Nullable Socket socket) {
    return null;
  }
}
