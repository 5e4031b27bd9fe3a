package dev.weir.agent.identity;

import java.security.cert.X509Certificate;
import java.time.Instant;
import java.util.List;
import java.util.Set;

/**
 * One identity's certificate and the TLS made of it, under one generation of roots. Immutable; any
 * thread. Key and chain are in native memory. Good for new ends until a minute after it was
 * replaced; what was made of it lives as long as it wants.
 */
public final class Credentials {
  private final String identity;
  private final long generation;
  private final List<X509Certificate> chain;
  private final Tls tls;
  private final long notAfterMillis;

  Credentials(String identity, long generation, List<X509Certificate> chain, Tls tls) {
    this.identity = identity;
    this.generation = generation;
    this.chain = List.copyOf(chain);
    this.tls = tls;
    this.notAfterMillis = notAfter().toEpochMilli();
  }

  public String identity() {
    return identity;
  }

  /** Grows with each new certificate and each change of the trusted roots. */
  public long generation() {
    return generation;
  }

  public Instant notBefore() {
    return certificate().getNotBefore().toInstant();
  }

  public Instant notAfter() {
    return certificate().getNotAfter().toInstant();
  }

  long notAfterMillis() {
    return notAfterMillis;
  }

  /** In hexadecimal. */
  public String serial() {
    return certificate().getSerialNumber().toString(16);
  }

  public X509Certificate certificate() {
    return chain.getFirst();
  }

  /** Leaf first, without the root. */
  List<X509Certificate> chain() {
    return chain;
  }

  Tls tls() {
    return tls;
  }

  /** The client's end of a handshake with one of these servers, by their SPIFFE ids. */
  public TlsEnd client(Set<String> expectedServers) {
    return tls.client(expectedServers);
  }

  /** The server's end; the client must show a certificate of the own trust domain. */
  public TlsEnd server() {
    return tls.server();
  }
}
