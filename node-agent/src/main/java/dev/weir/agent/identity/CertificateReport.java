package dev.weir.agent.identity;

import java.security.cert.X509Certificate;
import java.time.Instant;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * How one identity stands, for people.
 *
 * @param pods enrolled under it
 * @param chain leaf first, empty where there is none yet
 * @param roots that are trusted now
 * @param nextAttempt when the next certificate is asked for; null while one is being asked for
 * @param failures in a row
 * @param lastCause of the last failure in a row, or {@code revoked}; empty where all is well
 */
public record CertificateReport(
    String identity,
    State state,
    int pods,
    long generation,
    List<X509Certificate> chain,
    List<X509Certificate> roots,
    @Nullable Instant nextAttempt,
    int failures,
    String lastCause,
    String lastError) {
  public CertificateReport {
    chain = List.copyOf(chain);
    roots = List.copyOf(roots);
  }

  /** In ztunnel's words. */
  public enum State {
    INITIALIZING("Initializing"),
    AVAILABLE("Available"),
    UNAVAILABLE("Unavailable"),
    EXPIRED("Expired"),
    /** The CRL names it, so nobody who reads the CRL takes it. */
    REVOKED("Revoked");

    private final String word;

    State(String word) {
      this.word = word;
    }

    public String word() {
      return word;
    }
  }
}
