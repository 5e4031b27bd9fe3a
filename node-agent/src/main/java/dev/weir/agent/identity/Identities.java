package dev.weir.agent.identity;

import io.netty.util.concurrent.EventExecutor;
import java.security.cert.X509Certificate;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/** The node's identities. Any thread. */
public interface Identities {
  /** What is in force, never expired nor revoked; a map read. */
  @Nullable Credentials current(String identity);

  /**
   * Answers once, on the loop, within 10 s: what is in force, or what comes, or why nothing did.
   * Only for identities of pods that are enrolled here.
   */
  void obtain(String identity, EventExecutor loop, Consumer<Obtained> answer);

  /**
   * Told on the identity thread of new credentials, and of each identity's when the trusted roots
   * changed.
   */
  void onRotation(Consumer<Credentials> listener);

  /**
   * Told on the identity thread that other certificates are revoked now: ask again about those of
   * peers, and about own ones that are in use.
   */
  void onRevocation(Runnable listener);

  /** Whether a certificate is named by the CRL; one of which nothing is known is not. */
  boolean revoked(X509Certificate certificate);
}
