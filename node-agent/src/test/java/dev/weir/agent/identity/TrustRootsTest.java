package dev.weir.agent.identity;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.weir.agent.identity.TestAuthority.Leaf;
import java.io.ByteArrayInputStream;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import org.junit.jupiter.api.Test;

/** What is remembered of a chain spares work, and never a refusal. */
final class TrustRootsTest {
  private static final String ID = "spiffe://cluster.local/ns/bench/sa/default";
  private static final Duration HOUR = Duration.ofHours(1);

  private final Instant now = Instant.now();

  private final TestAuthority mesh = new TestAuthority("mesh");
  private final TrustRoots roots = new TrustRoots(1, List.of(mesh.root));
  private final X509Certificate[] chain = {
    mesh.issue(Leaf.of(ID).valid(now.minus(HOUR), now.plus(HOUR))).certificate()
  };

  @Test
  void takesAChainAgainWhileItIsInForce() throws PeerRefused {
    roots.check(chain, now);
    assertThatCode(() -> roots.check(chain, now.plusSeconds(60))).doesNotThrowAnyException();
  }

  @Test
  void refusesAKnownChainOnceItHasExpired() throws PeerRefused {
    roots.check(chain, now);
    assertThatThrownBy(() -> roots.check(chain, now.plus(HOUR.multipliedBy(2))))
        .isInstanceOfSatisfying(
            PeerRefused.class, refused -> assertThatCause(refused, PeerRefused.Cause.EXPIRED));
  }

  @Test
  void refusesAKnownChainBeforeItsTime() throws PeerRefused {
    roots.check(chain, now);
    assertThatThrownBy(() -> roots.check(chain, now.minus(HOUR.multipliedBy(2))))
        .isInstanceOfSatisfying(
            PeerRefused.class,
            refused -> assertThatCause(refused, PeerRefused.Cause.NOT_YET_VALID));
  }

  @Test
  void refusesWhatDiffersFromAKnownChainInItsSignatureAlone() throws Exception {
    roots.check(chain, now);
    byte[] forged = chain[0].getEncoded();
    forged[forged.length - 1] = (byte) (forged[forged.length - 1] ^ 1);
    X509Certificate[] other = {
      (X509Certificate)
          CertificateFactory.getInstance("X.509")
              .generateCertificate(new ByteArrayInputStream(forged))
    };
    assertThatThrownBy(() -> roots.check(other, now)).isInstanceOf(PeerRefused.class);
  }

  @Test
  void otherRootsKnowNothingOfIt() throws PeerRefused {
    roots.check(chain, now);
    TrustRoots others = new TrustRoots(2, List.of(new TestAuthority("others").root));
    assertThatThrownBy(() -> others.check(chain, now))
        .isInstanceOfSatisfying(
            PeerRefused.class, refused -> assertThatCause(refused, PeerRefused.Cause.UNTRUSTED));
  }

  private static void assertThatCause(PeerRefused refused, PeerRefused.Cause expected) {
    assertThat(refused.why()).isEqualTo(expected);
  }
}
