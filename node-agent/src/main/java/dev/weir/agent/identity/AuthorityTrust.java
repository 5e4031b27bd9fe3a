package dev.weir.agent.identity;

import java.io.IOException;
import java.net.InetAddress;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.security.cert.CertificateException;
import java.security.cert.CertificateParsingException;
import java.security.cert.X509Certificate;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Locale;
import java.util.function.Supplier;
import javax.net.ssl.SSLEngine;
import javax.net.ssl.X509ExtendedTrustManager;
import org.jspecify.annotations.Nullable;

/**
 * Judges the control plane's certificate, by the file that came with the agent and by the roots
 * that its CA gave since: during a change of roots either may be ahead. The file is read again when
 * it changes. On the thread of the control plane's socket.
 */
final class AuthorityTrust extends X509ExtendedTrustManager {
  private static final int DNS = 2;
  private static final int IP = 7;

  private final Path file;
  private final String host;
  private final Supplier<TrustRoots> learned;
  private final InstantSource clock;
  private String seen = "";
  private TrustRoots pinned = TrustRoots.NONE;

  AuthorityTrust(Path file, String host, Supplier<TrustRoots> learned, InstantSource clock) {
    this.file = file;
    this.host = host;
    this.learned = learned;
    this.clock = clock;
  }

  private TrustRoots pinned() throws CertificateException {
    String now = PemFile.print(file);
    if (!now.equals(seen)) {
      try {
        List<X509Certificate> roots =
            PemFile.certificates(new String(PemFile.read(file), StandardCharsets.ISO_8859_1));
        if (roots.isEmpty()) {
          throw new CertificateException("it holds no certificate");
        }
        pinned = new TrustRoots(0, roots);
        seen = now;
      } catch (IOException | CertificateException e) {
        if (pinned.roots().isEmpty()) {
          throw new LineFailure.NoRoot(
              "the root to trust, %s, cannot be read: %s".formatted(file, reason(e)), e);
        }
        // What was good stays in force; the file is looked at again next time.
      }
    }
    return pinned;
  }

  /** Of a file that is not there, the JDK tells its name alone. */
  private static String reason(Exception e) {
    return e instanceof NoSuchFileException
        ? "there is no such file"
        : String.valueOf(e.getMessage());
  }

  @Override
  public void checkServerTrusted(
      X509Certificate[] chain, String authentication, @Nullable SSLEngine engine)
      throws CertificateException {
    TrustRoots file = pinned();
    try {
      file.check(chain, clock.instant());
    } catch (PeerRefused refused) {
      if (refused.why() != PeerRefused.Cause.UNTRUSTED || learned.get().roots().isEmpty()) {
        throw refused;
      }
      learned.get().check(chain, clock.instant());
    }
    if (!names(chain[0])) {
      throw new PeerRefused(
          PeerRefused.Cause.WRONG_IDENTITY,
          "it is not for %s; --tls-name of the control plane adds it".formatted(host));
    }
  }

  private boolean names(X509Certificate leaf) throws CertificateParsingException {
    @Nullable Collection<List<?>> names = leaf.getSubjectAlternativeNames();
    InetAddress address = literal(host);
    for (List<?> name : names == null ? new ArrayList<List<?>>() : names) {
      int kind = name.getFirst() instanceof Integer number ? number : -1;
      String value = String.valueOf(name.get(1));
      if (address == null
          ? kind == DNS && value.toLowerCase(Locale.ROOT).equals(host.toLowerCase(Locale.ROOT))
          : kind == IP && address.equals(literal(value))) {
        return true;
      }
    }
    return false;
  }

  /** Null where it is a name. */
  static @Nullable InetAddress literal(String text) {
    try {
      return InetAddress.ofLiteral(text);
    } catch (IllegalArgumentException e) {
      return null;
    }
  }

  @Override
  public void checkServerTrusted(X509Certificate[] chain, String authentication)
      throws CertificateException {
    checkServerTrusted(chain, authentication, (@Nullable SSLEngine) null);
  }

  @Override
  public void checkServerTrusted(X509Certificate[] chain, String authentication, Socket socket)
      throws CertificateException {
    checkServerTrusted(chain, authentication);
  }

  @Override
  public void checkClientTrusted(
      X509Certificate[] chain, String authentication, @Nullable SSLEngine engine)
      throws CertificateException {
    throw new CertificateException("nobody calls the agent here");
  }

  @Override
  public void checkClientTrusted(X509Certificate[] chain, String authentication)
      throws CertificateException {
    throw new CertificateException("nobody calls the agent here");
  }

  @Override
  public void checkClientTrusted(X509Certificate[] chain, String authentication, Socket socket)
      throws CertificateException {
    throw new CertificateException("nobody calls the agent here");
  }

  @Override
  public X509Certificate[] getAcceptedIssuers() {
    return new X509Certificate[0];
  }
}
